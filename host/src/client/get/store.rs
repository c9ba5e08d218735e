//! The storage of a transfer: the operations create, store and commit of a receiver.
//!
//! ```text
//!   create ─┬─▶ part, with the facts beside it ──▶ store ──▶ commit: its digest, then rename(2)
//!           ├─▶ the file itself, where no part can be made beside it
//!           └─▶ an open file
//! ```
//!
//! The event loop writes to a pipe or a terminal itself: for that output, only the digest is
//! computed here.

use std::fs::File;
use std::io::Write;

use tracing::warn;
use windlass_core::file::Digest;

use super::file::reason;
use super::in_place::InPlace;
use super::part::Part;
use super::place::{Place, Target};
use super::said::Beginning;
use super::source::Source;
use crate::error::{Error, Result};
use crate::sys::stream::Stream;

/// Where the bytes of one transfer are kept.
pub(super) struct Store {
    target: Target,
    /// The part of an earlier transfer, until the answer of the server.
    part: Option<Part>,
    /// The digest of the part and of the received bytes, if it will be compared.
    digest: Option<blake3::Hasher>,
    sink: Sink,
}

enum Sink {
    /// There is no file yet, or none any more, or the event loop writes it.
    Nothing,
    Part(Part),
    InPlace(InPlace),
    Open(File),
}

impl Store {
    pub(super) fn new(target: &Target, part: Option<Part>, digest: Option<blake3::Hasher>) -> Self {
        Self { target: target.clone(), part, digest, sink: Sink::Nothing }
    }

    pub(super) fn target(&self) -> &Target {
        &self.target
    }

    /// The bytes of `begin` are about to come. Returns the output that the event loop has to write.
    pub(super) fn create(&mut self, place: Place, begin: Beginning) -> Result<Option<Stream>> {
        if begin.from == 0
            && let Some(digest) = &mut self.digest
        {
            // The server may have another file than that of the part.
            digest.reset();
        }
        self.sink = match place {
            Place::New { name } => {
                let part = match self.part.take() {
                    Some(mut part) => part.resume_from(begin.from, begin.facts).map(|()| part),
                    None => Part::begin(name.clone(), begin.facts),
                };
                match part {
                    Ok(part) => Sink::Part(part),
                    Err(error) => match InPlace::instead(&name, &error) {
                        Some(file) => {
                            let (at, why) = (&self.target, reason(error));
                            warn!("{at}: written in place: no part can be made beside it: {why}");
                            Sink::InPlace(file)
                        }
                        None => return Err(Error::new("create", &self.target, reason(error))),
                    },
                }
            }
            Place::Open(file) => Sink::Open(file),
            Place::Stream(stream) => return Ok(Some(stream)),
        };
        Ok(None)
    }

    /// The server has no digest, and none is needed.
    pub(super) fn compare_nothing(&mut self) {
        self.digest = None;
    }

    /// Keeps the next bytes, all of them.
    pub(super) fn store(&mut self, bytes: &[u8]) -> Result<()> {
        if let Some(digest) = &mut self.digest {
            digest.update(bytes);
        }
        let written = match &mut self.sink {
            Sink::Nothing => Ok(()),
            Sink::Part(part) => part.write(bytes),
            Sink::InPlace(file) => file.write(bytes),
            Sink::Open(file) => file.write_all(bytes),
        };
        written.map_err(|error| Error::new("write", &self.target, reason(error)))
    }

    /// All bytes were kept: compares their digest with the sender's, and gives the file its name.
    pub(super) fn commit(&mut self, source: &Source, digest: Option<Digest>) -> Result<()> {
        let sink = std::mem::replace(&mut self.sink, Sink::Nothing);
        let known = self.digest.as_ref().map(|known| Digest::Blake3(known.finalize().into()));
        if known.is_some() && known != digest {
            match sink {
                // A later transfer must not resume from wrong bytes.
                Sink::Part(part) => part.discard(),
                other => self.sink = other,
            }
            return Err(Error::new(
                "verify",
                source,
                "the received bytes differ from the file of the server",
            ));
        }
        match sink {
            Sink::Part(part) => part.finish().map_err(|(error, kept)| {
                let error =
                    Error::new("give the complete file the name", &self.target, reason(error));
                match kept {
                    Some(kept) => error.and(kept),
                    None => error,
                }
            }),
            Sink::InPlace(file) => file.finish().map_err(|error| {
                let error = Error::new("write", &self.target, reason(error));
                error.and("it was written in place and is empty now")
            }),
            Sink::Open(_) | Sink::Nothing => Ok(()),
        }
    }

    /// The file is not complete, and the part may stay. Returns what to report.
    pub(super) fn keep(&mut self) -> Option<String> {
        match std::mem::replace(&mut self.sink, Sink::Nothing) {
            Sink::Part(part) => part.keep(),
            Sink::InPlace(file) => Some(file.give_up(&self.target)),
            Sink::Open(_) | Sink::Nothing => None,
        }
    }
}
