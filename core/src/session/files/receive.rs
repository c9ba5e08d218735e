//! Parses the stream of a server.

use super::options::{frame_in, kind_in, number_in, split_word};
use super::{FRAME_DEFAULT, REQUEST_MAX};
use crate::bytes::{first, put, split};
use crate::fault::{Fault, Limit, Peer};
use crate::file::{Digest, DigestKind};
use crate::frame::HeaderReader;

/// Parses the stream of a server, in pieces of any length. `B` is the memory for the name
/// with its options, for a reason and for a digest. The bytes of the file stay in the input.
#[derive(Debug, Clone)]
pub(super) struct Receiver<B> {
    memory: B,
    state: State,
    /// The largest payload of a frame of the file.
    frame: u32,
    /// The offset of the next byte in the file.
    at: u64,
    /// Bytes that are still to arrive, if the server sent the size.
    left: Option<u64>,
    digest: Option<DigestKind>,
}

#[cfg(feature = "defmt")]
impl<B: AsRef<[u8]>> defmt::Format for Receiver<B> {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(
            f,
            "Receiver {{ memory: {=usize}, state: {}, frame: {=u32}, at: {=u64}, left: {}, digest: {} }}",
            self.memory.as_ref().len(),
            self.state,
            self.frame,
            self.at,
            self.left,
            self.digest,
        );
    }
}

#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
enum State {
    /// Inside a header.
    Header { of: Of, header: HeaderReader },
    /// Inside a payload of `len` bytes that is copied to the memory: `have < len` of them arrived, and
    /// `len` bytes fit.
    Gathering { of: Of, len: usize, have: usize },
    /// Inside a frame of the file: `left` bytes of it follow.
    Body { left: u32 },
    /// All bytes have arrived.
    Done,
}

/// The content of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
enum Of {
    Name,
    Reason,
    File,
    Digest,
}

impl State {
    const fn header(of: Of) -> Self {
        Self::Header { of, header: HeaderReader::START }
    }
}

/// The next part of the stream, by its length in the memory or at the front of the input.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) enum Found {
    /// None: more of the stream has to arrive.
    More,
    /// The name and the options: their length in the memory.
    Answered(usize),
    /// The reason of a refusal: its length in the memory.
    Refused(usize),
    /// Bytes of the file: their number at the front of the input, at least one. They are not
    /// consumed yet.
    Body(usize),
    /// The file is complete; the length of its digest in the memory.
    End(usize),
}

impl<B: AsRef<[u8]> + AsMut<[u8]>> Receiver<B> {
    /// At the beginning of the stream. If a name does not fit into `memory`, the fault is
    /// [`Fault::Local`].
    pub(super) const fn new(memory: B) -> Self {
        Self {
            memory,
            state: State::header(Of::Name),
            frame: FRAME_DEFAULT,
            at: 0,
            left: None,
            digest: None,
        }
    }

    /// The first `len` bytes of the memory.
    pub(super) fn memory(&self, len: usize) -> &[u8] {
        first(self.memory.as_ref(), len)
    }

    /// The offset of the next byte in the file.
    pub(super) const fn at(&self) -> u64 {
        self.at
    }

    /// The size of the whole file in bytes, if the server sent it.
    pub(super) const fn size(&self) -> Option<u64> {
        match self.left {
            Some(left) => Some(self.at.saturating_add(left)),
            None => None,
        }
    }

    /// The kind of the digest that will follow the file.
    pub(super) const fn digest(&self) -> Option<DigestKind> {
        self.digest
    }

    /// The digest of a [`Found::End`].
    pub(super) fn digest_in(&self, len: usize) -> Option<Digest<&[u8; 32]>> {
        self.digest.and_then(|kind| Digest::from_bytes(kind, self.memory(len)))
    }

    /// Consumes input up to the next part, and returns the rest of the input.
    pub(super) fn find<'i>(&mut self, mut input: &'i [u8]) -> Result<(Found, &'i [u8]), Fault> {
        loop {
            match &mut self.state {
                State::Done => return Ok((Found::More, input)),
                State::Body { left: 0 } => self.state = State::header(Of::File),
                State::Body { left } => {
                    let len = input.len().min(*left as usize);
                    let found = if len == 0 { Found::More } else { Found::Body(len) };
                    return Ok((found, input));
                }
                State::Header { of, header } => {
                    let of = *of;
                    let (header, rest) = header.take(input);
                    input = rest;
                    let Some(header) = header else { return Ok((Found::More, rest)) };
                    if self.begin(of, header.len())? {
                        return Ok((Found::End(0), rest));
                    }
                }
                State::Gathering { of, len, have } => {
                    let (piece, rest) = split(input, *len - *have);
                    *have = put(self.memory.as_mut(), *have, piece);
                    if have < len {
                        return Ok((Found::More, rest));
                    }
                    let (of, len) = (*of, *len);
                    return Ok((self.gathered(of, len)?, rest));
                }
            }
        }
    }

    /// Consumes `n` bytes of a [`Found::Body`].
    pub(super) fn consume(&mut self, bytes: usize) {
        if let State::Body { left } = &mut self.state {
            // At most the bytes of the frame.
            *left = left.saturating_sub(u32::try_from(bytes).unwrap_or(u32::MAX));
            self.at = self.at.saturating_add(bytes as u64);
            self.left = self.left.map(|left| left.saturating_sub(bytes as u64));
        }
    }

    /// A frame of `len` bytes begins. Returns whether the file is complete with it.
    fn begin(&mut self, of: Of, len: u32) -> Result<bool, Fault> {
        match of {
            Of::Name if len == 0 => self.state = State::header(Of::Reason),
            Of::File if len == 0 => {
                if self.left.is_some_and(|left| left > 0) {
                    return Err(Peer::Malformed.into());
                }
                self.state = match self.digest {
                    Some(_) => State::header(Of::Digest),
                    None => State::Done,
                };
                return Ok(self.digest.is_none());
            }
            Of::File => {
                if len > self.frame {
                    return Err(Peer::TooLong { claimed: len, max: self.frame }.into());
                }
                if self.left.is_some_and(|left| left < u64::from(len)) {
                    return Err(Peer::Malformed.into());
                }
                self.state = State::Body { left: len };
            }
            Of::Digest if len > 32 => return Err(Peer::Malformed.into()),
            Of::Name | Of::Reason | Of::Digest => {
                let (need, have) = (len as usize, self.memory.as_mut().len());
                if need > REQUEST_MAX {
                    // The memory need not be larger than the protocol allows.
                    let max = u32::try_from(REQUEST_MAX).unwrap_or(u32::MAX);
                    return Err(Peer::TooLong { claimed: len, max }.into());
                }
                if need > have {
                    return Err(Limit { need, have }.into());
                }
                self.state = State::Gathering { of, len: need, have: 0 };
            }
        }
        Ok(false)
    }

    /// A payload is in the memory.
    fn gathered(&mut self, of: Of, len: usize) -> Result<Found, Fault> {
        let payload = first(self.memory.as_ref(), len);
        match of {
            Of::Name => {
                // Not all of `Options`: those of requests would cost a device flash.
                let options = split_word(payload).1;
                self.frame = frame_in(options).unwrap_or(FRAME_DEFAULT);
                self.at = number_in(options, b"offset").unwrap_or(0);
                self.digest = kind_in(options);
                self.left = match number_in(options, b"size") {
                    Some(size) => Some(size.checked_sub(self.at).ok_or(Peer::Malformed)?),
                    None => None,
                };
                self.state = State::header(Of::File);
                Ok(Found::Answered(len))
            }
            Of::Reason => {
                self.state = State::Done;
                Ok(Found::Refused(len))
            }
            Of::Digest => {
                self.state = State::Done;
                let digest = self.digest_in(len);
                digest.map(|_| Found::End(len)).ok_or(Peer::Malformed.into())
            }
            // The bytes stay in the input.
            Of::File => Err(Peer::Malformed.into()),
        }
    }
}
