//! A file that is kept under a name of its own until it is whole.

use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use windlass_core::session::files::{Digest, PREFIX_WINDOW};

use super::file::succeeding;
use crate::sys::root::open_regular;

/// What has come of a file, as `NAME.part` beside the name that it is to have. If the transfer fails it
/// stays, and the next one may go on from there. While it is open it is locked, and it is the file that
/// has the name: two transfers of one file do not meet in it.
pub(super) struct Part {
    file: File,
    path: PathBuf,
    name: PathBuf,
    /// Bytes of the file that are there.
    len: u64,
}

/// Digests of what is there.
pub(super) struct Had {
    pub(super) len: u64,
    /// Of the end of it, as a server is asked to compare.
    pub(super) window: Digest,
    /// Of all of it, which can go on; if that is wanted.
    pub(super) all: Option<blake3::Hasher>,
}

impl Part {
    /// Where the parts of the file `name` are kept.
    fn path_of(name: &Path) -> PathBuf {
        let mut path = name.as_os_str().to_owned();
        path.push(".part");
        path.into()
    }

    /// What an earlier transfer left of the file `name`. `None`: nothing.
    pub(super) fn find(name: &Path) -> io::Result<Option<Self>> {
        match Self::open(name.to_owned(), File::options().read(true).write(true)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            part => part.map(Some),
        }
    }

    /// A part of the file `name`, with nothing in it.
    pub(super) fn begin(name: PathBuf, permissions: Option<&Permissions>) -> io::Result<Self> {
        let (permissions, mode) = succeeding(permissions);
        let how = &mut File::options();
        let mut part = Self::open(name, how.read(true).write(true).create(true).mode(mode))?;
        part.go_on_from(0)?;
        if let Some(permissions) = permissions {
            // Where the file system has none there is nothing to keep.
            let _ = part.file.set_permissions(permissions);
        }
        Ok(part)
    }

    fn open(name: PathBuf, how: &mut OpenOptions) -> io::Result<Self> {
        let path = Self::path_of(&name);
        loop {
            let file = open_regular(&path, how)?;
            file.try_lock().map_err(|error| match error {
                TryLockError::Error(error) => error,
                TryLockError::WouldBlock => io::Error::other("another transfer is writing it"),
            })?;
            let found = file.metadata()?;
            if found.nlink() > 1 {
                return Err(io::Error::other(
                    "the part of it has another name too, and is not ours",
                ));
            }
            // Whoever had the lock may have finished, and the file may have its own name by now.
            let named = fs::symlink_metadata(&path);
            if named.is_ok_and(|it| (it.dev(), it.ino()) == (found.dev(), found.ino())) {
                return Ok(Self { file, path, name, len: found.len() });
            }
        }
    }

    /// Whether nothing is there.
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Digests what is there; with `all`, from its beginning.
    pub(super) fn digest(&mut self, all: bool) -> io::Result<Had> {
        let from = self.len.saturating_sub(PREFIX_WINDOW);
        let all = if all { Some(self.digest_from(0)?) } else { None };
        let window = match &all {
            Some(all) if from == 0 => all.finalize(),
            Some(_) | None => self.digest_from(from)?.finalize(),
        };
        Ok(Had { len: self.len, window: window.into(), all })
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

    /// Goes on behind the first `from` bytes of what is there.
    pub(super) fn go_on_from(&mut self, from: u64) -> io::Result<()> {
        if from > self.len {
            return Err(io::Error::other("less of it is there than is to be gone on from"));
        }
        self.file.set_len(from)?;
        self.file.seek(SeekFrom::Start(from))?;
        self.len = from;
        Ok(())
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.file.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => {
                    self.len += n as u64;
                    rest = &rest[n..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// It is whole: it takes its name, and the place of whoever had that.
    pub(super) fn finish(self) -> io::Result<()> {
        fs::rename(self.path, self.name)
    }

    /// It comes to nothing, and stays. What to tell of it.
    pub(super) fn keep(self) -> Option<String> {
        if self.len == 0 {
            self.discard();
            return None;
        }
        let (len, path) = (self.len, self.path.display());
        Some(format!("{len} bytes are kept in {path}, and --continue goes on from there"))
    }

    /// It is of no use.
    pub(super) fn discard(self) {
        let _ = fs::remove_file(self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_is_gone_on_from() {
        let folder = tempfile::tempdir().unwrap();
        let name = folder.path().join("name");
        assert!(Part::find(&name).unwrap().is_none());
        let mut part = Part::begin(name.clone(), None).unwrap();
        part.write(b"hello").unwrap();
        assert!(part.keep().unwrap().starts_with("5 bytes are kept in "));
        let mut part = Part::find(&name).unwrap().unwrap();
        for all in [false, true] {
            let had = part.digest(all).unwrap();
            assert_eq!((had.len, had.window), (5, blake3::hash(b"hello").into()));
            assert_eq!(had.all.map(|it| it.finalize()), all.then(|| blake3::hash(b"hello")));
        }
        // A hole would be bytes that nobody sent.
        assert!(part.go_on_from(6).is_err());
        part.go_on_from(4).unwrap();
        part.write(b"!").unwrap();
        part.finish().unwrap();
        assert_eq!(fs::read(&name).unwrap(), b"hell!");
        assert!(Part::find(&name).unwrap().is_none());
    }

    #[test]
    fn nothing_is_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let part = Part::begin(folder.path().join("name"), None).unwrap();
        assert_eq!(part.keep(), None);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    }

    #[test]
    fn two_do_not_write_one_file() {
        let folder = tempfile::tempdir().unwrap();
        let name = folder.path().join("name");
        let first = Part::begin(name.clone(), None).unwrap();
        let error = Part::begin(name.clone(), None).err().unwrap();
        assert_eq!(error.to_string(), "another transfer is writing it");
        assert!(Part::find(&name).is_err());
        // Who opened it before it was finished finds out that it is another file by now.
        let late = File::options().write(true).open(Part::path_of(&name)).unwrap();
        first.finish().unwrap();
        let second = Part::begin(name, None).unwrap();
        let inode = |file: &File| file.metadata().unwrap().ino();
        assert_ne!(inode(&late), inode(&second.file));
    }

    #[test]
    fn what_is_somebody_elses_is_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let [name, victim] = ["name", "victim"].map(|name| folder.path().join(name));
        fs::write(&victim, b"precious").unwrap();
        std::os::unix::fs::symlink(&victim, Part::path_of(&name)).unwrap();
        assert!(Part::begin(name.clone(), None).is_err());
        fs::remove_file(Part::path_of(&name)).unwrap();
        fs::hard_link(&victim, Part::path_of(&name)).unwrap();
        assert!(Part::begin(name, None).is_err());
        assert_eq!(fs::read(victim).unwrap(), b"precious");
    }
}
