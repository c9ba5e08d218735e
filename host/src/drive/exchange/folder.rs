//! The files of a server's transfers: those of a folder.

use std::io::IoSliceMut;
use std::net::SocketAddr;
use std::sync::Arc;

use tracing::{debug, info};
use windlass_core::fault::{Fault, Peer, StorageFault};
use windlass_core::file::{Answer as FileAnswer, Digest, Head, Op, Refusal};
use windlass_core::transfer::netascii::Decoder;

use super::super::access_log;
use super::super::files::{self, Answer, Found, Late, OpenFile, Waits};
use super::super::gather::Gather;
use super::ahead::Ahead;
use super::outcome::Counts;
use super::sent_text::SentText;
use crate::digest::Hasher;
use crate::printable::words;
use crate::sys::root::Root;
use crate::sys::upload::Upload;
use crate::totals::Count;

/// The file of one transfer, in either direction.
pub(super) struct Folder {
    overwrite: bool,
    file: Option<OpenFile>,
    ahead: Ahead,
    /// In place of the file, if it is sent as text.
    text: Option<Box<SentText>>,
    upload: Option<Upload>,
    /// Of what was kept, if the peer told a digest.
    digest: Option<Hasher>,
    /// What travels as text is kept as a file.
    decoder: Decoder,
    /// Bytes of that file.
    decoded: u64,
    /// As the peer called it.
    name: Box<[u8]>,
    is_upload: bool,
    size: Option<u64>,
    refused: Option<Refusal>,
}

impl Folder {
    pub(super) fn new(overwrite: bool) -> Self {
        Self {
            overwrite,
            file: None,
            ahead: Ahead::default(),
            text: None,
            upload: None,
            digest: None,
            decoder: Decoder::new(),
            decoded: 0,
            name: Box::default(),
            is_upload: false,
            size: None,
            refused: None,
        }
    }

    /// Reads the blocks of a layout, of the first one all.
    pub(super) fn read(
        &mut self,
        gather: &mut Gather<'_>,
        first: usize,
        waits: Waits<'_>,
    ) -> Result<Found<usize>, Fault> {
        match (&mut self.file, &self.text) {
            (Some(file), _) => {
                let read = |offset, runs: &mut [IoSliceMut<'_>]| {
                    self.ahead.read(file, (offset, runs), first.max(1), waits)
                };
                gather.fill(read)
            }
            (None, Some(text)) => gather.fill(|offset, runs| text.read(offset, runs, waits)),
            (None, None) => Ok(Found::Now(gather.len())),
        }
    }

    /// Does an operation; `block` is what is to be stored, `memory` is for reading.
    pub(super) fn perform(
        &mut self,
        op: Op<'_>,
        text: bool,
        block: &[u8],
        root: Option<&Arc<Root>>,
        memory: &mut [u8],
        waits: Waits<'_>,
    ) -> Found<FileAnswer> {
        Found::Now(match op {
            Op::Open(name) => return self.open(name, text, root, waits),
            Op::Digest { kind, extent } => {
                let Some(file) = &mut self.file else { return failed() };
                let len = usize::try_from(extent.len).unwrap_or(usize::MAX).min(memory.len());
                let into = &mut [IoSliceMut::new(&mut memory[..len])];
                match file.read(extent.offset, into, 1, waits) {
                    Ok(Found::Now(n)) => {
                        file.digest(kind, extent.offset, &memory[..n]);
                        FileAnswer::Digested(n as u64)
                    }
                    Ok(Found::Later) => return Found::Later,
                    Err(fault) => FileAnswer::Failed(fault),
                }
            }
            Op::FinishDigest(kind) => {
                let digest = self.file.as_ref().and_then(|file| file.digest_so_far(kind));
                digest.map_or(
                    FileAnswer::Failed(StorageFault::Unsupported.into()),
                    FileAnswer::Digest,
                )
            }
            Op::Create(head) => return self.create(head, text, root, waits),
            Op::Store(extent) => {
                let Some(upload) = &self.upload else { return failed() };
                if let Some(digest) = &mut self.digest {
                    digest.update(block);
                }
                let written = if text {
                    let mut file = vec![0; block.len() + 1];
                    let n = self.decoder.decode(block, &mut file).written;
                    let at = self.decoded;
                    self.decoded += n as u64;
                    upload.write(at, &file[..n])
                } else {
                    upload.write(extent.offset, block)
                };
                match written {
                    Ok(()) => FileAnswer::Kept(block.len()),
                    Err(fault) => FileAnswer::Failed(fault),
                }
            }
            Op::Commit(digest) => return self.commit(digest.map(Digest::copied), waits),
            // What is sent is read as it is laid out.
            Op::Examine | Op::Read { .. } | Op::Close => {
                FileAnswer::Failed(StorageFault::Unsupported.into())
            }
        })
    }

    fn open(
        &mut self,
        name: &[u8],
        text: bool,
        root: Option<&Arc<Root>>,
        waits: Waits<'_>,
    ) -> Found<FileAnswer> {
        self.name = name.into();
        let opened = if text {
            let Found::Now(opened) = SentText::open(root, name, waits) else { return Found::Later };
            opened.map(|text| {
                let size = text.len();
                self.text = Some(Box::new(text));
                size
            })
        } else {
            let Found::Now(opened) = files::open(root, name, waits) else { return Found::Later };
            opened.map(|(file, size)| {
                self.file = Some(file);
                size
            })
        };
        Found::Now(match opened {
            Ok(size) => {
                self.size = Some(size);
                FileAnswer::Opened(size)
            }
            Err(why) => self.refuse(why),
        })
    }

    fn create(
        &mut self,
        head: Head<'_>,
        text: bool,
        root: Option<&Arc<Root>>,
        Waits { late, helpers }: Waits<'_>,
    ) -> Found<FileAnswer> {
        (self.name, self.is_upload) = (head.name.into(), true);
        let created = match (late.take(), root) {
            (Some(Answer::Created(created)), _) => created,
            (_, None) => Err(Refusal::ReadOnly),
            (_, Some(root)) => {
                let (root, name) = (Arc::clone(root), self.name.clone());
                let (size, overwrite) = (head.size.filter(|_| !text), self.overwrite);
                let work = move || Upload::create(&root, &name, size, overwrite);
                match helpers {
                    None => work(),
                    Some(helpers) => {
                        *late = Late::Asked(helpers.ask(move || Answer::Created(work())));
                        return Found::Later;
                    }
                }
            }
        };
        Found::Now(match created {
            Ok(upload) => {
                self.upload = Some(upload);
                self.digest = head.digest.map(Hasher::new);
                FileAnswer::Done
            }
            Err(why) => self.refuse(why),
        })
    }

    fn commit(
        &mut self,
        digest: Option<Digest>,
        Waits { late, helpers }: Waits<'_>,
    ) -> Found<FileAnswer> {
        if let Some(Answer::Committed(committed)) = late.take() {
            return Found::Now(committed.map_or_else(FileAnswer::Failed, |()| FileAnswer::Done));
        }
        let Some(upload) = self.upload.take() else { return failed() };
        let is_same = self.digest.as_ref().is_none_or(|known| known.finish() == digest);
        let (last, at) = (self.decoder.finish(), self.decoded);
        let work = move || {
            if !is_same {
                return Err(Fault::Integrity);
            }
            if let Some(byte) = last {
                upload.write(at, &[byte])?;
            }
            upload.commit()
        };
        if let Some(helpers) = helpers {
            *late = Late::Asked(helpers.ask(move || Answer::Committed(work())));
            return Found::Later;
        }
        let committed = work();
        Found::Now(committed.map_or_else(FileAnswer::Failed, |()| FileAnswer::Done))
    }

    /// The client has as much as it may have, so its request is refused.
    pub(super) fn turn_away(&mut self, op: Op<'_>, why: Refusal) -> FileAnswer {
        match op {
            Op::Open(name) => self.name = name.into(),
            Op::Create(head) => (self.name, self.is_upload) = (head.name.into(), true),
            _ => {}
        }
        self.refuse(why)
    }

    fn refuse(&mut self, why: Refusal) -> FileAnswer {
        self.refused = Some(why);
        access_log::refused();
        FileAnswer::Refused(why)
    }

    pub(super) fn close(&mut self) {
        (self.file, self.text, self.upload) = (None, None, None);
    }

    /// What became of the file; `None`: none was named, or its size alone was wanted.
    pub(super) fn outcome(&self, how: Result<(), Fault>) -> Option<Count> {
        match how {
            Ok(()) if self.is_upload => Some(Count::FilesReceived),
            Ok(()) => Some(Count::FilesSent),
            Err(_) if self.refused.is_some() => Some(Count::FilesRefused),
            Err(Fault::Peer(Peer::Declined)) => None,
            Err(_) if self.name.is_empty() => None,
            Err(_) => Some(Count::FilesFailed),
        }
    }

    /// One line about a transfer that is over.
    pub(super) fn log(
        &self,
        peer: SocketAddr,
        how: Result<(), Fault>,
        counts: &Counts,
        took_us: u64,
    ) {
        let (name, ms) = (words(&self.name), took_us / 1000);
        let &Counts { sent, heard, lost, bytes, sent_to, .. } = counts;
        // RFC 1350, section 6: then the peer may have all of it.
        let has_left = self.size.is_some_and(|size| size > 0 && sent_to >= size);
        let [what, not] = match (self.is_upload, has_left) {
            (true, _) => ["received", "not received"],
            (false, true) => ["sent", "sent, but not acknowledged to its end"],
            (false, false) => ["sent", "not sent"],
        };
        match (how, self.refused) {
            (Ok(()), _) => {
                let bytes = if self.is_upload { bytes } else { self.size.unwrap_or(0) };
                info!(%peer, %name, bytes, ms, datagrams = sent, "{what}");
            }
            (Err(_), Some(why)) => info!(%peer, %name, "refused: {why}"),
            // That is how a boot loader asks for the size.
            (Err(Fault::Peer(Peer::Declined)), _) => {
                debug!(%peer, %name, "the peer asked for the size");
            }
            (Err(_), _) if self.name.is_empty() => debug!(%peer, "no request"),
            (Err(fault), _) if counts.replaced => {
                debug!(%peer, %name, %fault, "the peer asks for something else");
            }
            (Err(fault), _) => {
                info!(%peer, %name, ms, datagrams = sent, heard, lost, %fault, "{not}");
            }
        }
    }
}

/// There is no file: the machine asked in another order than the contract says.
fn failed() -> Found<FileAnswer> {
    Found::Now(FileAnswer::Failed(StorageFault::Failed.into()))
}
