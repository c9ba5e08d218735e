//! Entity tags: how a server names one version of a file.

use super::word::trim;
use crate::bytes::{after, fill, find, first, hex};
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
        if self.is_weak {
            text.put(b"W/");
        }
        self.put_opaque(text);
    }

    /// The tag in its quotes. A weak one is not that of the same version when it is strong: what had
    /// the weak one may have had other bytes.
    #[inline(never)]
    fn put_opaque(&self, text: &mut Text<'_>) {
        let mut before = b"\"";
        for part in self.parts {
            text.put(before);
            before = b"-";
            let mut digits = [0; 16];
            for (two, byte) in digits.chunks_exact_mut(2).zip(part.to_be_bytes()) {
                fill(two, &hex(byte));
            }
            let begin = digits.iter().position(|&digit| digit != b'0');
            text.put(after(&digits, begin.unwrap_or(digits.len())));
        }
        text.put(if self.is_weak { b"-w\"" } else { b"\"" });
    }

    /// The same in memory.
    fn opaque<'t>(&self, room: &'t mut [u8; LEN_MAX]) -> &'t [u8] {
        let mut text = Text::new(room, 0);
        self.put_opaque(&mut text);
        let len = text.written();
        first(room, len)
    }

    /// Whether a list of tags has it: `*`, or the tag. Weakly: as `If-None-Match` compares; else as
    /// `If-Match` does. A weak tag is equal to none.
    #[inline(never)]
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
