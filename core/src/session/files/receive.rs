//! The client's end.

use super::{Digest, FRAME_DEFAULT, Options, REQUEST_MAX};
use crate::fault::Peer;
use crate::wire::FrameHeader;

/// Takes a server's stream apart. `N` bounds the name with its options, and a reason, in bytes.
///
/// The file's bytes are lent from the input, without a copy.
#[derive(Debug, Clone)]
pub struct Receiver<const N: usize = REQUEST_MAX> {
    buf: [u8; N],
    state: State,
    /// Bytes of a frame at most.
    frame: u32,
    /// Bytes that are still to come, if the server said how many there are.
    left: Option<u64>,
    digest: bool,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// `have` bytes of a header came.
    Header {
        of: Of,
        bytes: [u8; FrameHeader::LEN],
        have: usize,
    },
    /// `have` of `len` bytes came, to be kept.
    Kept {
        of: Of,
        len: usize,
        have: usize,
    },
    /// `left` bytes of the file follow.
    Payload {
        left: u32,
    },
    Done,
}

/// What a frame is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Of {
    Name,
    Reason,
    File,
    Digest,
}

impl State {
    const fn header(of: Of) -> Self {
        Self::Header { of, bytes: [0; FrameHeader::LEN], have: 0 }
    }
}

/// What a server says of the file before it comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head<'a> {
    /// Its name: a claim of the peer, and no path to write to.
    pub name: &'a [u8],
    /// What the server does of what was asked.
    pub options: Options,
}

/// What [`Receiver::feed`] found. `rest` is the input after it: feed that next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Fed<'a, 'i> {
    /// All of the input is taken.
    More,
    /// There is such a file.
    Head {
        /// What it is.
        head: Head<'a>,
        /// The input after it.
        rest: &'i [u8],
    },
    /// There is none, and why: the peer's words, not to be shown as they are.
    Refused(&'a [u8]),
    /// The next bytes of the file.
    Body {
        /// They.
        bytes: &'i [u8],
        /// The input after them.
        rest: &'i [u8],
    },
    /// The file is whole.
    End {
        /// The digest of all of it, if the server said so.
        digest: Option<Digest>,
        /// The input after it.
        rest: &'i [u8],
    },
}

impl<const N: usize> Default for Receiver<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> Receiver<N> {
    /// Nothing has come yet.
    pub const fn new() -> Self {
        Self {
            buf: [0; N],
            state: State::header(Of::Name),
            frame: FRAME_DEFAULT,
            left: None,
            digest: false,
        }
    }

    /// Takes input up to the next thing to tell.
    ///
    /// # Errors
    /// The server breaks the protocol: a frame longer than agreed, a file longer or shorter than it
    /// said, a digest that is none. Nothing may be fed after that.
    pub fn feed<'a, 'i: 'a>(&'a mut self, mut input: &'i [u8]) -> Result<Fed<'a, 'i>, Peer> {
        loop {
            match &mut self.state {
                State::Done => return Ok(Fed::More),
                State::Payload { left } if *left > 0 => {
                    if input.is_empty() {
                        return Ok(Fed::More);
                    }
                    let n = (*left as usize).min(input.len());
                    // `n <= *left`, so it fits.
                    *left -= u32::try_from(n).unwrap_or(*left);
                    let (bytes, rest) = input.split_at(n);
                    return Ok(Fed::Body { bytes, rest });
                }
                State::Payload { .. } => self.state = State::header(Of::File),
                State::Header { of, bytes, have } => {
                    let n = input.len().min(FrameHeader::LEN - *have);
                    bytes[*have..*have + n].copy_from_slice(&input[..n]);
                    *have += n;
                    input = &input[n..];
                    if *have < FrameHeader::LEN {
                        return Ok(Fed::More);
                    }
                    let (of, len) = (*of, FrameHeader::from(*bytes).len());
                    if self.begin(of, len)? {
                        return Ok(Fed::End { digest: None, rest: input });
                    }
                }
                State::Kept { of, len, have } => {
                    let n = input.len().min(*len - *have);
                    self.buf[*have..*have + n].copy_from_slice(&input[..n]);
                    *have += n;
                    input = &input[n..];
                    if have < len {
                        return Ok(Fed::More);
                    }
                    let (of, len) = (*of, *len);
                    return self.kept(of, len, input);
                }
            }
        }
    }

    /// Tells it that the stream ended.
    ///
    /// # Errors
    /// [`Peer::Truncated`]: the file is not whole.
    pub fn finish(&self) -> Result<(), Peer> {
        match self.state {
            State::Done => Ok(()),
            State::Header { .. } | State::Kept { .. } | State::Payload { .. } => {
                Err(Peer::Truncated)
            }
        }
    }

    /// A frame of `len` bytes begins. Whether the file is whole with it.
    fn begin(&mut self, of: Of, len: u32) -> Result<bool, Peer> {
        let max = u32::try_from(N).unwrap_or(u32::MAX);
        match of {
            Of::Name if len == 0 => self.state = State::header(Of::Reason),
            Of::File if len == 0 => {
                if self.left.is_some_and(|left| left > 0) {
                    return Err(Peer::Malformed);
                }
                self.state = if self.digest { State::header(Of::Digest) } else { State::Done };
                return Ok(!self.digest);
            }
            Of::File => {
                if len > self.frame {
                    return Err(Peer::TooLong { claimed: len, max: self.frame });
                }
                if let Some(left) = &mut self.left {
                    *left = left.checked_sub(len.into()).ok_or(Peer::Malformed)?;
                }
                self.state = State::Payload { left: len };
            }
            Of::Digest if len as usize != size_of::<Digest>() => return Err(Peer::Malformed),
            Of::Name | Of::Reason | Of::Digest => {
                if len > max {
                    return Err(Peer::TooLong { claimed: len, max });
                }
                self.state = State::Kept { of, len: len as usize, have: 0 };
            }
        }
        Ok(false)
    }

    /// A frame that is kept is whole.
    fn kept<'a, 'i: 'a>(
        &'a mut self,
        of: Of,
        len: usize,
        rest: &'i [u8],
    ) -> Result<Fed<'a, 'i>, Peer> {
        let payload = &self.buf[..len];
        match of {
            Of::Name => {
                let (name, options) = match payload.iter().position(|&byte| byte == 0) {
                    Some(nul) => (&payload[..nul], Options::parse(&payload[nul + 1..])),
                    None => (payload, Options::default()),
                };
                self.state = State::header(Of::File);
                self.frame = options.frame.unwrap_or(FRAME_DEFAULT);
                self.digest = options.digest;
                self.left = match options.size {
                    Some(size) => {
                        let offset = options.offset.unwrap_or(0);
                        Some(size.checked_sub(offset).ok_or(Peer::Malformed)?)
                    }
                    None => None,
                };
                Ok(Fed::Head { head: Head { name, options }, rest })
            }
            Of::Reason => {
                self.state = State::Done;
                Ok(Fed::Refused(payload))
            }
            Of::Digest => {
                self.state = State::Done;
                let digest = payload.try_into().map_err(|_| Peer::Malformed)?;
                Ok(Fed::End { digest: Some(digest), rest })
            }
            // It is lent as it comes.
            Of::File => Err(Peer::Malformed),
        }
    }
}
