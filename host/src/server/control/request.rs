//! The requests of a client of the control socket.

use crate::printable::printable_bytes;

/// The longest line in bytes, without its end.
pub const LINE_MAX: usize = 64;

/// The beginning of a client's input.
#[derive(Debug)]
pub enum Request {
    /// No line is complete.
    More,
    /// No line is complete, and none will be.
    Ended,
    /// The line is too long.
    TooLong,
    /// A question for the state: `len` bytes with its end.
    Status {
        /// The length.
        len: usize,
    },
    /// Another line.
    Unknown {
        /// Its length with its end.
        len: usize,
        /// The line, made printable and cut.
        word: String,
    },
}

/// Reads the first request.
pub fn request(input: &[u8], eof: bool) -> Request {
    let Some(end) = input.iter().position(|&byte| byte == b'\n') else {
        return match (input.len() > LINE_MAX, eof) {
            (true, _) => Request::TooLong,
            (false, true) => Request::Ended,
            (false, false) => Request::More,
        };
    };
    let (len, word) = (end + 1, input[..end].trim_ascii());
    if word == b"status" {
        return Request::Status { len };
    }
    Request::Unknown { len, word: printable_bytes(word).cut(LINE_MAX).to_string() }
}
