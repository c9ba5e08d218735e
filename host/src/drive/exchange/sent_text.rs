//! A file that is sent as text: it is translated where it is read, by a helper if there are any.

use std::io::{ErrorKind, IoSliceMut};
use std::sync::{Arc, Mutex, PoisonError};

use windlass_core::fault::Fault;
use windlass_core::file::Refusal;

use super::super::files::{Answer, Found, Late, Waits, scatter, shorter, unreadable};
use super::super::text::TextFile;
use crate::sys::Errno;
use crate::sys::root::Root;

/// A text, which a helper may be reading.
pub(super) struct SentText {
    text: Arc<Mutex<TextFile>>,
    len: u64,
}

/// The longest file that is sent as text, in bytes: a server looks at all of it for each request.
const TEXT_MAX: u64 = 16 << 20;

impl SentText {
    /// Opens the file of this name.
    pub(super) fn open(
        root: Option<&Arc<Root>>,
        name: &[u8],
        Waits { late, helpers }: Waits<'_>,
    ) -> Found<Result<Self, Refusal>> {
        let opened = match (late.take(), root, helpers) {
            (Some(Answer::Translated(opened)), ..) => opened,
            (_, None, _) => Err(Refusal::Failed),
            (_, Some(root), None) => translated(root, name),
            (_, Some(root), Some(helpers)) => {
                let (root, name) = (Arc::clone(root), name.to_vec());
                let work = move || Answer::Translated(translated(&root, &name));
                *late = Late::Asked(helpers.ask(work));
                return Found::Later;
            }
        };
        Found::Now(opened.map(|text| Self { len: text.len(), text: Arc::new(Mutex::new(text)) }))
    }

    /// Bytes of it as it travels.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Reads what travels from `offset` on into several places, up to its end.
    pub(super) fn read(
        &self,
        offset: u64,
        into: &mut [IoSliceMut<'_>],
        Waits { late, helpers }: Waits<'_>,
    ) -> Result<Found<usize>, Fault> {
        let room = into.iter().map(|place| place.len() as u64).sum::<u64>();
        let room = room.min(self.len.saturating_sub(offset)) as usize;
        let text = Arc::clone(&self.text);
        let work = move || {
            let mut bytes = vec![0; room];
            // A read that panicked leaves a place in the file, which the next read checks.
            let mut text = text.lock().unwrap_or_else(PoisonError::into_inner);
            match text.read_at(offset, &mut bytes) {
                Ok(()) => Ok(bytes),
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(Vec::new()),
                Err(error) => Err(Errno::from_raw(error.raw_os_error().unwrap_or(0))),
            }
        };
        let bytes = match (late.take(), helpers) {
            (Some(Answer::Read(at, read)), _) if at == offset => read,
            (_, None) => work(),
            (_, Some(helpers)) => {
                *late = Late::Asked(helpers.ask(move || Answer::Read(offset, work())));
                return Ok(Found::Later);
            }
        };
        match bytes {
            // The file ends before it did.
            Ok(bytes) if bytes.len() < room => Err(shorter()),
            Err(errno) => Err(unreadable(errno)),
            Ok(bytes) => Ok(Found::Now(scatter(&bytes, into))),
        }
    }
}

fn translated(root: &Root, name: &[u8]) -> Result<TextFile, Refusal> {
    let opened = root.file(name)?;
    if opened.size > TEXT_MAX {
        return Err(Refusal::TooLarge);
    }
    TextFile::new(opened.file).map_err(|_| Refusal::Failed)
}
