//! The target of a request: its path, decoded to the name of a file, and its query.

use super::fields::is_host;
use super::word::Bad;
use crate::bytes::{find, first, hex_digit, is_word};
use crate::text::Text;

/// A path after it was decoded in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Path {
    /// The length of the name. It is relative, its components are not empty and neither `.` nor `..`, and
    /// that of a folder ends with `/`. The name of the root is empty.
    pub len: usize,
    /// A component begins with a dot. The first may be `.well-known` (RFC 8615).
    pub is_hidden: bool,
}

/// Where the path of a target begins and ends: in origin form at byte 0; in absolute form
/// (`http://HOST/PATH`) behind the host, where it may be empty. A query is behind it.
///
/// # Errors
/// The target has another form.
pub fn reference(target: &[u8]) -> Result<(usize, usize), Bad> {
    const SCHEME: usize = b"http://".len();
    let begin = if target.starts_with(b"/") {
        0
    } else {
        let (scheme, rest) = target.split_at_checked(SCHEME).ok_or(Bad::Syntax)?;
        let end = rest.iter().position(|&byte| matches!(byte, b'/' | b'?' | b'#'));
        let host = first(rest, end.unwrap_or(rest.len()));
        if !is_word(scheme, b"http://") || host.is_empty() || !is_host(host) {
            return Err(Bad::Syntax);
        }
        SCHEME.saturating_add(host.len())
    };
    if find(b'#', target).is_some() {
        return Err(Bad::Syntax);
    }
    let path = target.get(begin..).unwrap_or_default();
    Ok((begin, begin.saturating_add(find(b'?', path).unwrap_or(path.len()))))
}

/// Decodes a path in place to the name of a file. Empty components and `.` are left out.
///
/// # Errors
/// [`Bad::Syntax`]: it has a `%` without two digits, a NUL, or a component `..`. [`Bad::Path`]: it has an
/// encoded `/`, which no name has.
pub fn path(bytes: &mut [u8]) -> Result<Path, Bad> {
    let (mut read, mut written, mut component) = (0, 0, 0);
    let mut is_hidden = false;
    loop {
        let raw = bytes.get(read).copied();
        let byte = match raw {
            Some(b'%') => {
                let mut value = 0;
                for at in [1, 2] {
                    let digit = bytes.get(read.saturating_add(at)).copied();
                    value = value << 4 | hex_digit(digit.ok_or(Bad::Syntax)?).ok_or(Bad::Syntax)?;
                }
                read = read.saturating_add(2);
                match value {
                    0 => return Err(Bad::Syntax),
                    b'/' => return Err(Bad::Path),
                    value => value,
                }
            }
            Some(b'/') | None => {
                match bytes.get(component..written).unwrap_or_default() {
                    [] => {}
                    b"." => written = component,
                    b".." => return Err(Bad::Syntax),
                    name => {
                        let is_well_known = component == 0 && name == b".well-known";
                        is_hidden |= name.starts_with(b".") && !is_well_known;
                        component = written.saturating_add(1);
                    }
                }
                let Some(byte) = raw else { return Ok(Path { len: written, is_hidden }) };
                if component <= written {
                    read = read.saturating_add(1);
                    continue;
                }
                byte
            }
            Some(0) => return Err(Bad::Syntax),
            Some(byte) => byte,
        };
        if let Some(slot) = bytes.get_mut(written) {
            *slot = byte;
        }
        (read, written) = (read.saturating_add(1), written.saturating_add(1));
    }
}

/// Writes the path of a name: every byte that is not a plain letter of a path is encoded, so that no name
/// can end a line or begin a host.
pub(crate) fn put_path(text: &mut Text<'_>, name: &[u8]) {
    text.put(b"/");
    for &byte in name {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            text.put(&[byte]);
        } else {
            let digit = |value: u8| if value < 10 { b'0' + value } else { b'A' - 10 + value };
            text.put(&[b'%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
}
