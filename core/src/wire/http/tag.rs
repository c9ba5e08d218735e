//! Entity tags: how a server names one version of a file.

use super::word::trim;
use crate::bytes::{after, find, first, put};
use crate::text::Text;

/// The tag of a version: three numbers in hexadecimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Tag {
    /// The numbers.
    pub parts: [u64; 3],
    /// Another version could have the same numbers.
    pub is_weak: bool,
}

/// The longest tag without its `W/`: quotes, digits, two dashes, and the mark of a weak one.
const LEN_MAX: usize = 2 + 3 * 16 + 2 + 2;

impl Tag {
    /// Writes it as in a field `ETag`.
    pub(crate) fn put(&self, text: &mut Text<'_>) {
        let mut opaque = [0; LEN_MAX];
        if self.is_weak {
            text.put(b"W/");
        }
        text.put(self.opaque(&mut opaque));
    }

    /// The tag in its quotes. A weak one is not that of the same version when it is strong: what had
    /// the weak one may have had other bytes.
    fn opaque<'t>(&self, room: &'t mut [u8; LEN_MAX]) -> &'t [u8] {
        let mut len = 0;
        let mut before = b"\"";
        for part in self.parts {
            len = put(room, len, before);
            before = b"-";
            let mut is_in_front = true;
            for byte in part.to_be_bytes() {
                for digit in [byte >> 4, byte & 15] {
                    is_in_front &= digit == 0;
                    if !is_in_front {
                        let letter = if digit < 10 { b'0' } else { b'a' - 10 };
                        len = put(room, len, &[letter + digit]);
                    }
                }
            }
        }
        if self.is_weak {
            len = put(room, len, b"-w");
        }
        len = put(room, len, b"\"");
        first(room, len)
    }

    /// Whether a list of tags has it: `*`, or the tag. Weakly: as `If-None-Match` compares; else as
    /// `If-Match` does. A weak tag is equal to none.
    pub fn is_in(&self, list: &[u8], weakly: bool) -> bool {
        let mut room = [0; LEN_MAX];
        let own = self.opaque(&mut room);
        let mut rest = trim(list);
        if rest == b"*" {
            return true;
        }
        while !rest.is_empty() {
            if let [b',' | b' ' | b'\t', behind @ ..] = rest {
                rest = behind;
                continue;
            }
            let (is_weak, tag) = match rest {
                [b'W', b'/', tag @ ..] => (true, tag),
                tag => (false, tag),
            };
            let Some(end) = tag.strip_prefix(b"\"").and_then(|tag| find(b'"', tag)) else {
                return false;
            };
            let (tag, behind) = (first(tag, end + 2), after(tag, end + 2));
            if tag == own && !self.is_weak && (weakly || !is_weak) {
                return true;
            }
            rest = behind;
        }
        false
    }

    /// Whether it is this tag alone, and both are strong: as `If-Range` compares.
    pub fn is_strongly(&self, tag: &[u8]) -> bool {
        let mut room = [0; LEN_MAX];
        !self.is_weak && tag == self.opaque(&mut room)
    }
}
