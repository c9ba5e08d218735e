//! Takes the chunked transfer coding off a body (RFC 9112 7.1).
//!
//! ```text
//! SIZE [;EXTENSION] CRLF  DATA CRLF  …  0 CRLF  [TRAILER CRLF …]  CRLF
//! ```
//!
//! It is strict where two readers could disagree about where a chunk begins: a size has a digit, and
//! its line ends in CRLF and nothing else, also behind an extension. `httparse::parse_chunk_size`
//! takes an empty size for the last chunk, and wants a whole line at once.

use std::fmt;

/// The longest line with a size, with the end of the chunk before it, in bytes.
const LINE_MAX: usize = 4 * 1024;
/// The longest trailer section, in bytes.
const TRAILERS_MAX: usize = 64 * 1024;

/// A chunked body in the making.
#[derive(Debug)]
pub(super) struct Chunked {
    state: State,
    /// How many more bytes the line with a size may have, or the trailers.
    room: usize,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// In the digits of a size.
    Size {
        size: u64,
        has_digit: bool,
    },
    /// In the blanks behind a size. Some servers write sizes in a field of fixed width.
    Blank {
        size: u64,
    },
    /// In an extension, which is ignored.
    Extension {
        size: u64,
    },
    /// Before the LF of a line with a size.
    SizeLf {
        size: u64,
    },
    /// In data: `left > 0` bytes are still to come.
    Data {
        left: u64,
    },
    /// Before the CR behind data.
    DataCr,
    /// Before the LF behind data.
    DataLf,
    /// At the start of a line of the trailers, which may be the empty one that ends them.
    TrailerStart,
    /// In a trailer, which is ignored.
    Trailer,
    /// Before the LF of the empty line.
    LastLf,
    Done,
}

/// Why a chunked body is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChunkError {
    /// The line with a chunk's size has something else, or does not end in CRLF.
    Size,
    /// A size of 2^64 or more.
    SizeTooLarge,
    /// A line with a size that is too long.
    LineTooLong {
        /// The limit.
        max: usize,
    },
    /// A chunk does not end where its size says.
    Overrun,
    /// A carriage return alone in the empty line behind the trailers.
    Trailers,
    /// Trailers that are too long.
    TrailersTooLong {
        /// The limit.
        max: usize,
    },
}

/// What [`Chunked::feed`] found.
pub(super) enum Piece<'i> {
    /// All of the input is taken.
    More,
    /// Data, and the input after it.
    Data { bytes: &'i [u8], rest: &'i [u8] },
    /// The body is whole.
    End,
}

impl Chunked {
    pub(super) fn new() -> Self {
        Self { state: State::SIZE, room: LINE_MAX }
    }

    /// Takes input up to the end of the first data in it.
    pub(super) fn feed<'i>(&mut self, mut input: &'i [u8]) -> Result<Piece<'i>, ChunkError> {
        loop {
            if let State::Done = self.state {
                return Ok(Piece::End);
            }
            let Some((&byte, behind)) = input.split_first() else { return Ok(Piece::More) };
            if let State::Data { left } = self.state {
                let (bytes, rest) = input.split_at(up_to(left, input.len()));
                self.state = match left - bytes.len() as u64 {
                    0 => State::DataCr,
                    left => State::Data { left },
                };
                return Ok(Piece::Data { bytes, rest });
            }
            self.state = self.step(byte)?;
            input = behind;
        }
    }

    /// The state after one byte that is not data.
    fn step(&mut self, byte: u8) -> Result<State, ChunkError> {
        self.room = self.room.checked_sub(1).ok_or(match self.state {
            State::TrailerStart | State::Trailer | State::LastLf => {
                ChunkError::TrailersTooLong { max: TRAILERS_MAX }
            }
            State::Size { .. }
            | State::Blank { .. }
            | State::Extension { .. }
            | State::SizeLf { .. }
            | State::Data { .. }
            | State::DataCr
            | State::DataLf
            | State::Done => ChunkError::LineTooLong { max: LINE_MAX },
        })?;
        match (self.state, byte) {
            (State::Size { size, has_digit }, _) => match char::from(byte).to_digit(16) {
                Some(digit) => {
                    let shifted = size.checked_mul(16).ok_or(ChunkError::SizeTooLarge)?;
                    Ok(State::Size { size: shifted | u64::from(digit), has_digit: true })
                }
                None if has_digit => behind_size(size, byte),
                None => Err(ChunkError::Size),
            },
            (State::Blank { size }, _) => behind_size(size, byte),
            (State::Extension { size }, b'\r') => Ok(State::SizeLf { size }),
            (State::Extension { .. }, b'\n') => Err(ChunkError::Size),
            (State::Extension { size }, _) => Ok(State::Extension { size }),
            (State::SizeLf { size: 0 }, b'\n') => {
                self.room = TRAILERS_MAX;
                Ok(State::TrailerStart)
            }
            (State::SizeLf { size }, b'\n') => {
                self.room = LINE_MAX;
                Ok(State::Data { left: size })
            }
            (State::SizeLf { .. }, _) => Err(ChunkError::Size),
            (State::DataCr, b'\r') => Ok(State::DataLf),
            (State::DataLf, b'\n') => Ok(State::SIZE),
            (State::DataCr | State::DataLf, _) => Err(ChunkError::Overrun),
            (State::TrailerStart, b'\r') => Ok(State::LastLf),
            (State::TrailerStart | State::LastLf, b'\n') => Ok(State::Done),
            (State::LastLf, _) => Err(ChunkError::Trailers),
            (State::Trailer, b'\n') => Ok(State::TrailerStart),
            (State::TrailerStart | State::Trailer, _) => Ok(State::Trailer),
            (State::Data { .. } | State::Done, _) => {
                debug_assert!(false, "feed answers in these states");
                Ok(self.state)
            }
        }
    }
}

impl State {
    const SIZE: Self = State::Size { size: 0, has_digit: false };
}

fn behind_size(size: u64, byte: u8) -> Result<State, ChunkError> {
    match byte {
        b' ' | b'\t' => Ok(State::Blank { size }),
        b';' => Ok(State::Extension { size }),
        b'\r' => Ok(State::SizeLf { size }),
        _ => Err(ChunkError::Size),
    }
}

/// The number of bytes, of `len`, that `left` allows.
pub(super) fn up_to(left: u64, len: usize) -> usize {
    usize::try_from(left).map_or(len, |left| left.min(len))
}

impl fmt::Display for ChunkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ChunkError::Size => f.write_str("a chunk has no valid size"),
            ChunkError::SizeTooLarge => f.write_str("a chunk has a size of 2^64 or more"),
            ChunkError::LineTooLong { max } => {
                write!(f, "the line with a chunk's size is longer than {max} bytes")
            }
            ChunkError::Overrun => f.write_str("a chunk does not end where its size says"),
            ChunkError::Trailers => f.write_str("a stray carriage return behind the last chunk"),
            ChunkError::TrailersTooLong { max } => {
                write!(f, "the trailers behind the last chunk are longer than {max} bytes")
            }
        }
    }
}

impl std::error::Error for ChunkError {}

#[cfg(test)]
mod tests;
