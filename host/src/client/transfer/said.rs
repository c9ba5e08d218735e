//! An ERROR of either protocol, as it is shown.

use std::fmt;

use crate::drive::Said;
use crate::printable::words;

/// What a peer said as it ended the transfer.
pub(super) struct Shown<'s>(pub(super) &'s Said);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.0.text.is_empty() {
            return write!(f, "{} (error {})", words(&self.0.text), self.0.code);
        }
        // RFC 1350 and RFC 2347.
        let name = match self.0.code {
            1 => "there is no such file",
            2 => "access denied",
            3 => "the disk is full",
            4 => "this is not an operation of TFTP",
            5 => "there is no such transfer",
            6 => "there is a file of this name already",
            7 => "there is no such user",
            8 => "it does not take these options",
            code => return write!(f, "error {code}"),
        };
        write!(f, "{name} (error {})", self.0.code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_a_peer_are_made_printable() {
        for (code, text, shown) in [
            (1, &b"not here"[..], "not here (error 1)"),
            (0, b"\x1b[2J\n", r"\u{1b}[2J\n (error 0)"),
            (6, b"", "there is a file of this name already (error 6)"),
            (77, b"", "error 77"),
        ] {
            let said = Said { code, text: text.into() };
            assert_eq!(Shown(&said).to_string(), shown);
        }
    }
}
