//! The target of a request: its path, decoded to the name of a file, and its query.

use super::fields::is_host;
use super::word::{Bad, Letters};
use crate::bytes::{after, cut, find, first, hex, place_of, unhex};
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
/// (`http://HOST/PATH`, or `https:`) behind the host, where it may be empty. A query is behind it.
///
/// # Errors
/// The target has another form.
pub fn reference(target: &[u8]) -> Result<(usize, usize), Bad> {
    let begin = if target.starts_with(b"/") {
        0
    } else {
        let (scheme, rest) = cut(b'/', target).ok_or(Bad::Syntax)?;
        let rest = rest.strip_prefix(b"/").ok_or(Bad::Syntax)?;
        let end = rest.iter().position(|&byte| matches!(byte, b'/' | b'?' | b'#'));
        let host = first(rest, end.unwrap_or(rest.len()));
        // A proxy before this server may have taken TLS off, or put it on.
        let is_known = place_of(scheme, b"http:\nhttps:\n").is_some();
        if !is_known || host.is_empty() || !is_host(host) {
            return Err(Bad::Syntax);
        }
        scheme.len().saturating_add(2).saturating_add(host.len())
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
                let (mut value, digits) = ([0], first(after(bytes, read.saturating_add(1)), 2));
                let is_byte = unhex(digits, &mut value);
                read = read.saturating_add(2);
                match value {
                    [b'/'] if is_byte => return Err(Bad::Path),
                    [value] if is_byte && value > 0 => value,
                    _ => return Err(Bad::Syntax),
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
#[inline(never)]
pub(crate) fn put_path(text: &mut Text<'_>, name: &[u8]) {
    text.put(b"/");
    for &byte in name {
        if Letters::PATH.has(byte) {
            text.put(&[byte]);
        } else {
            text.put(b"%");
            text.put(&hex(byte).map(|digit| digit.to_ascii_uppercase()));
        }
    }
}
