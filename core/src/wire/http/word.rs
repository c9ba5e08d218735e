//! The words that heads are made of, and what is wrong with one.

/// Why a request is not understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Bad {
    /// It does not follow the grammar.
    Syntax,
    /// Its version of HTTP is not 1.0 or 1.1.
    Version,
    /// Its body has a transfer coding other than `chunked`.
    Coding,
    /// Its path names nothing that can be there.
    Path,
}

/// A set of characters: a bit for each.
pub(crate) struct Letters([u8; 16]);

impl Letters {
    /// Those of a method or of a field's name (RFC 9110, 5.6.2).
    pub(crate) const TOKEN: &Self = &Self::with(b"!#$%&'*+-.^_`|~");
    /// Those of a host's name, and of an address in brackets (RFC 3986, 3.2.2).
    pub(crate) const HOST: &Self = &Self::with(b"-._~%!$&'()*+,;=");
    pub(crate) const ADDRESS: &Self = &Self::with(b":.-_~%");
    /// Those of a path that need not be encoded.
    pub(crate) const PATH: &Self = &Self::with(b"/-._~");

    /// Letters, digits, and others.
    const fn with(mut others: &[u8]) -> Self {
        let mut bits: u128 = 0;
        let mut letter: u8 = 0;
        while letter < 128 {
            if letter.is_ascii_alphanumeric() {
                bits |= 1 << letter;
            }
            letter += 1;
        }
        while let [letter, rest @ ..] = others {
            bits |= 1 << *letter;
            others = rest;
        }
        Self(bits.to_le_bytes())
    }

    /// Whether it is one of them.
    pub(crate) fn has(&self, letter: u8) -> bool {
        let bits = self.0.get(usize::from(letter >> 3));
        bits.is_some_and(|bits| bits >> (letter & 7) & 1 != 0)
    }

    /// Whether the bytes are of them alone. A function of its own: on a device it is one loop.
    #[inline(never)]
    pub(crate) fn are(&self, bytes: &[u8]) -> bool {
        bytes.iter().all(|&byte| self.has(byte))
    }
}

/// Without the spaces and tabs around it.
#[inline(never)]
pub(crate) const fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}
