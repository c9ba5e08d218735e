//! Parses an answer as it arrives (RFC 9112).
//!
//! ```text
//!              ┌─ 1xx ─┐           ┌─▶ Length ──┐
//!              ▼       │           │            │
//!            Head ─────┴─▶ framing ┼─▶ Chunked ─┼─▶ Done
//!                                  │            │
//!                                  └─▶ Close ───┘
//! ```

use std::fmt;

use super::chunked::{ChunkError, Chunked, Piece, up_to};
use super::head::{Collected, Collector, Framing, Head, HeadError};

/// The answer to one GET, fed in pieces of any length.
///
/// The head is copied, up to its limit; the body is lent from the input. Whatever the server sends,
/// a call takes time in proportion to its input, and memory stays within the head's limit.
#[derive(Debug)]
pub struct Response {
    state: State,
    /// Bytes of the body that were returned.
    received: u64,
}

#[derive(Debug)]
enum State {
    Head(Collector),
    /// `left <= of` bytes of the body are still to come.
    Length {
        left: u64,
        of: u64,
    },
    Chunked(Chunked),
    /// The end of the connection will be the end of the body.
    Close,
    Done,
}

/// What [`Response::feed`] found. `rest` is the input after it, perhaps none: feed that next, until
/// there is [`More`](Self::More) to be received or an [`End`](Self::End).
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub enum Fed<'i> {
    /// All of the input is taken, and the answer is not complete.
    More,
    /// The head of the answer. It comes once, before the body.
    Head {
        /// The head.
        head: Head,
        /// The input after it.
        rest: &'i [u8],
    },
    /// Some of the body.
    Body {
        /// The bytes; at least one.
        bytes: &'i [u8],
        /// The input after it.
        rest: &'i [u8],
    },
    /// The answer is complete. Further input is not part of it.
    End,
}

/// Why an answer is not usable. The error is final: further input is not parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResponseError {
    /// Its head is not understood.
    Head(HeadError),
    /// Its chunks are not understood.
    Chunk(ChunkError),
    /// The connection ended before the body began.
    NoAnswer {
        /// Bytes of the head that came.
        received: usize,
    },
    /// The connection ended inside the body.
    Truncated {
        /// Bytes of the body that arrived.
        received: u64,
        /// Its length, unless it is chunked.
        of: Option<u64>,
    },
}

impl Response {
    /// A response without input.
    pub fn new() -> Self {
        Self { state: State::Head(Collector::new()), received: 0 }
    }

    /// Takes input up to the end of the first head or piece of the body in it.
    ///
    /// # Errors
    /// The answer is not understood, or over a limit.
    pub fn feed<'i>(&mut self, input: &'i [u8]) -> Result<Fed<'i>, ResponseError> {
        let (bytes, rest) = match &mut self.state {
            State::Head(collector) => {
                let Some(Collected { head, framing, rest }) = collector.feed(input)? else {
                    return Ok(Fed::More);
                };
                self.state = match framing {
                    Framing::Length(of) => State::Length { left: of, of },
                    Framing::Chunked => State::Chunked(Chunked::new()),
                    Framing::Close => State::Close,
                };
                return Ok(Fed::Head { head, rest });
            }
            State::Length { left: 0, .. } | State::Done => return Ok(Fed::End),
            State::Length { left, .. } => {
                let (bytes, rest) = input.split_at(up_to(*left, input.len()));
                *left -= bytes.len() as u64;
                (bytes, rest)
            }
            State::Chunked(chunked) => match chunked.feed(input)? {
                Piece::More => return Ok(Fed::More),
                Piece::Data { bytes, rest } => (bytes, rest),
                Piece::End => {
                    self.state = State::Done;
                    return Ok(Fed::End);
                }
            },
            State::Close => (input, &input[input.len()..]),
        };
        if bytes.is_empty() {
            return Ok(Fed::More);
        }
        self.received += bytes.len() as u64;
        Ok(Fed::Body { bytes, rest })
    }

    /// The server will send no more, and all that it sent was fed.
    ///
    /// # Errors
    /// The answer is not complete.
    pub fn eof(&mut self) -> Result<(), ResponseError> {
        let received = self.received;
        match &self.state {
            State::Head(collector) => {
                Err(ResponseError::NoAnswer { received: collector.received() })
            }
            State::Length { left: 0, .. } | State::Done => Ok(()),
            State::Length { of, .. } => Err(ResponseError::Truncated { received, of: Some(*of) }),
            State::Chunked(_) => Err(ResponseError::Truncated { received, of: None }),
            State::Close => {
                self.state = State::Done;
                Ok(())
            }
        }
    }
}

impl Default for Response {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for ResponseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ResponseError::Head(error) => error.fmt(f),
            ResponseError::Chunk(error) => error.fmt(f),
            ResponseError::NoAnswer { received: 0 } => {
                f.write_str("the server closed the connection without an answer")
            }
            ResponseError::NoAnswer { received } => {
                write!(f, "the connection ended {received} bytes into the answer's head")
            }
            ResponseError::Truncated { received, of: Some(of) } => {
                write!(f, "the connection ended after {received} of {of} bytes")
            }
            ResponseError::Truncated { received, of: None } => {
                write!(f, "the connection ended after {received} bytes, before the last chunk")
            }
        }
    }
}

impl std::error::Error for ResponseError {}

impl From<HeadError> for ResponseError {
    fn from(error: HeadError) -> Self {
        ResponseError::Head(error)
    }
}

impl From<ChunkError> for ResponseError {
    fn from(error: ChunkError) -> Self {
        ResponseError::Chunk(error)
    }
}

#[cfg(test)]
mod tests;
