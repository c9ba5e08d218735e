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

/// A character of a method or of a field's name (RFC 9110, 5.6.2).
pub(crate) const fn is_token(byte: u8) -> bool {
    matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~')
        || byte.is_ascii_alphanumeric()
}

/// Without the spaces and tabs around it.
pub(crate) const fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}
