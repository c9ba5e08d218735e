//! The part: the file that a transfer writes until it is complete.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use tracing::debug;
use windlass_core::file::Digest;
use windlass_core::session::files::PREFIX_WINDOW;

use super::facts::Facts;
use super::file::{reason, replace_by};
use super::place::Target;
use crate::error::{Error, Result};
use crate::printable::printable;
use crate::sys::Errno;
use crate::sys::file::open_own;

/// The received bytes of a file, in `.windlass-NAME-DIGEST.part` in the folder of the file. If the
/// transfer fails, a part that a later transfer can resume stays, and any other part is removed.
///
/// While it is open it is locked, and the path still names it: two transfers never write one part.
///
/// A name that begins with `.windlass-` is hardly that of a user's file, and a file with this name
/// is only written if facts are beside it, in `.windlass-NAME-DIGEST.facts`, or if it is empty.
pub(super) struct Part {
    file: File,
    path: PathBuf,
    facts_path: PathBuf,
    name: PathBuf,
    facts: Facts,
    /// The number of bytes of the part.
    len: u64,
    /// Whether the part stays, was renamed or was removed is decided: nothing is left to do when it is dropped.
    is_decided: bool,
}

/// Digests of the bytes of the part.
pub(super) struct Had {
    pub(super) len: u64,
    /// Of its last bytes, for the server to compare.
    pub(super) window: Digest,
    /// Of all its bytes, if requested; this digest can be continued.
    pub(super) all: Option<blake3::Hasher>,
}

/// Bytes of a file's name in the name of its part. A long name fits with what is put
/// around it, also where a file system encrypts names and leaves 143 bytes of the 255.
const SHOWN: usize = 64;

/// The paths of the part of the file `name` and of its facts. The digest is of the last component:
/// names that begin alike have different parts.
fn paths_of(name: &Path) -> [PathBuf; 2] {
    let last = name.file_name().unwrap_or_default().as_bytes();
    let digest = blake3::hash(last).to_hex();
    let shown = match std::str::from_utf8(last) {
        Ok(text) => {
            let fits = |&at: &usize| text.is_char_boundary(at);
            &last[..(0..=SHOWN.min(last.len())).rev().find(fits).unwrap_or(0)]
        }
        Err(_) => &last[..last.len().min(SHOWN)],
    };
    [".part", ".facts"].map(|end| {
        let path = [b".windlass-", shown, b"-", &digest.as_bytes()[..16], end.as_bytes()].concat();
        name.with_file_name(OsString::from_vec(path))
    })
}

impl Part {
    /// The part of an earlier transfer of the file `name`, if this transfer can resume it.
    pub(super) fn find(name: &Path) -> io::Result<Option<Self>> {
        match Self::open(name.to_owned(), File::options().read(true).write(true), None) {
            Ok(part) if part.facts.resumable => Ok(Some(part)),
            Ok(_) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The part of an earlier transfer of the file at `target`, unless it is empty.
    pub(super) fn earlier(target: &Target) -> Result<Option<Self>> {
        let Some(name) = target.name() else { return Ok(None) };
        let fail = |error| Error::new("resume", target, reason(error));
        let found = Self::find(&name).map_err(fail)?.filter(|part| part.len > 0);
        if let Some(part) = &found {
            debug!(source = part.facts.source, "an earlier transfer left a part");
        }
        Ok(found)
    }

    /// An empty part of the file `name`.
    pub(super) fn begin(name: PathBuf, facts: Facts) -> io::Result<Self> {
        // Until it gets the mode of the file that it replaces, only its user can read it.
        let mode = if name.exists() { 0o600 } else { 0o666 };
        let how = &mut File::options();
        let how = how.read(true).write(true).create(true).mode(mode);
        let mut part = Self::open(name, how, Some(&facts))?;
        part.resume_from(0, facts)?;
        Ok(part)
    }

    /// Opens it and reads its facts. If there are none it gets `facts`, and has to be empty.
    fn open(name: PathBuf, how: &mut OpenOptions, facts: Option<&Facts>) -> io::Result<Self> {
        let [path, facts_path] = paths_of(&name);
        loop {
            let file = open_own(&path, how)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(io::Error::other("another transfer is writing it"));
                }
                Err(TryLockError::Error(error)) if has_no_locks(&error) => {
                    debug!("{}: this file system has no locks", printable(&path));
                }
                Err(TryLockError::Error(error)) => return Err(error),
            }
            let found = file.metadata()?;
            // The transfer that had the lock may have finished and renamed the file.
            let named = fs::symlink_metadata(&path);
            if !named.is_ok_and(|it| (it.dev(), it.ino()) == (found.dev(), found.ino())) {
                continue;
            }
            let facts = match (Facts::read(&facts_path)?, facts) {
                (Some(facts), _) => facts,
                (None, Some(facts)) if found.len() == 0 => facts.clone(),
                (None, None) if found.len() == 0 => return Err(io::ErrorKind::NotFound.into()),
                (None, _) => {
                    let path = printable(&path);
                    let not_ours = format!("{path} exists, and no transfer has made it");
                    return Err(io::Error::other(not_ours));
                }
            };
            let (len, is_decided) = (found.len(), false);
            return Ok(Self { file, path, facts_path, name, facts, len, is_decided });
        }
    }

    /// Its facts.
    pub(super) fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The number of its bytes.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Digests its last bytes; with `all`, all of its bytes.
    pub(super) fn digest(&mut self, all: bool) -> io::Result<Had> {
        let from = self.len.saturating_sub(PREFIX_WINDOW);
        let all = if all { Some(self.digest_from(0)?) } else { None };
        let window = match &all {
            Some(all) if from == 0 => all.finalize(),
            Some(_) | None => self.digest_from(from)?.finalize(),
        };
        Ok(Had { len: self.len, window: Digest::Blake3(window.into()), all })
    }

    fn digest_from(&mut self, from: u64) -> io::Result<blake3::Hasher> {
        self.file.seek(SeekFrom::Start(from))?;
        let mut digest = blake3::Hasher::new();
        let (mut left, mut buf) = (self.len - from, vec![0; 256 * 1024]);
        while left > 0 {
            let room = buf.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            match self.file.read(&mut buf[..room])? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => {
                    digest.update(&buf[..n]);
                    left -= n as u64;
                }
            }
        }
        Ok(digest)
    }

    /// Continues behind the first `from` bytes, with bytes to which `facts` apply.
    pub(super) fn resume_from(&mut self, from: u64, facts: Facts) -> io::Result<()> {
        if from > self.len {
            return Err(io::Error::other("the part is shorter than the offset to resume from"));
        }
        self.file.set_len(from)?;
        self.file.seek(SeekFrom::Start(from))?;
        self.len = from;
        // Before the first byte: a part that has bytes has facts.
        facts.write(&self.facts_path)?;
        self.facts = facts;
        Ok(())
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let written = self.file.write_all(bytes);
        self.len = match written {
            Ok(()) => self.len + bytes.len() as u64,
            // Some of them may be written.
            Err(_) => self.file.stream_position()?,
        };
        written
    }

    /// The part is complete: it replaces the file with the name. If that fails the part stays.
    ///
    /// Its bytes are written to the disk before. Otherwise a power failure could leave the name
    /// with none of them, and a file server would report a full disk too late.
    pub(super) fn finish(mut self) -> std::result::Result<(), (io::Error, Option<String>)> {
        if let Err(error) = self.file.sync_data() {
            return Err((error, self.keep()));
        }
        self.is_decided = true;
        if let Err(error) = replace_by(&mut self.file, &self.path, &self.name) {
            let there = format!("all of it is in {}", printable(&self.path));
            return Err((error, Some(there)));
        }
        Facts::remove(&self.facts_path);
        Ok(())
    }

    /// The transfer failed: the part stays if it can be resumed. Returns what to report.
    pub(super) fn keep(mut self) -> Option<String> {
        if self.len == 0 || !self.facts.resumable {
            return None;
        }
        self.is_decided = true;
        let (len, path) = (self.len, printable(&self.path));
        Some(format!(
            "{len} bytes are kept in {path}, and --continue resumes from there if the server can"
        ))
    }

    /// The part cannot be resumed.
    pub(super) fn discard(mut self) {
        self.remove();
    }

    fn remove(&mut self) {
        self.is_decided = true;
        let _ = fs::remove_file(&self.path);
        Facts::remove(&self.facts_path);
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.is_decided && (self.len == 0 || !self.facts.resumable) {
            self.remove();
        }
    }
}

/// Lustre and some file systems in user space lack them. A transfer without a lock is better than
/// none, although another transfer may then write the same part.
fn has_no_locks(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw);
    matches!(errno, Some(Errno::ENOSYS | Errno::EOPNOTSUPP | Errno::ENOLCK))
}

#[cfg(test)]
mod tests;
