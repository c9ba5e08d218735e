//! A file that is kept under a name of its own until it is whole.

use std::fs::{self, File, Permissions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use windlass_core::session::files::Digest;

use crate::sys::root::open_regular;

/// What has come of a file, as `NAME.part` beside the name that it is to have. If the transfer fails it
/// stays, and the next one may go on from there.
pub(super) struct Part {
    file: File,
    path: PathBuf,
    name: PathBuf,
    /// Bytes of the file that are there.
    len: u64,
}

/// What is there already.
pub(super) struct Had {
    pub(super) len: u64,
    /// Its digest so far, which can go on.
    pub(super) digest: blake3::Hasher,
}

impl Had {
    pub(super) fn digest(&self) -> Digest {
        self.digest.finalize().into()
    }
}

impl Part {
    /// Where the parts of the file `name` are kept.
    fn path_of(name: &Path) -> PathBuf {
        let mut path = name.as_os_str().to_owned();
        path.push(".part");
        path.into()
    }

    /// What an earlier transfer left of the file `name`. `None`: nothing.
    pub(super) fn look(name: &Path) -> io::Result<Option<Had>> {
        let mut file = match open_regular(&Self::path_of(name), File::options().read(true)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let mut digest = blake3::Hasher::new();
        let (mut len, mut buf) = (0, vec![0; 256 * 1024]);
        loop {
            match file.read(&mut buf)? {
                0 => return Ok((len > 0).then_some(Had { len, digest })),
                n => {
                    digest.update(&buf[..n]);
                    len += n as u64;
                }
            }
        }
    }

    /// Begins the file `name`, or goes on behind its first `from` bytes.
    pub(super) fn begin(
        name: PathBuf,
        from: u64,
        permissions: Option<&Permissions>,
    ) -> io::Result<Self> {
        let path = Self::path_of(&name);
        // Who replaces a file does not make its successor runnable as somebody else.
        let permissions = permissions.map(|it| Permissions::from_mode(it.mode() & 0o777));
        let mode = permissions.as_ref().map_or(0o666, Permissions::mode);
        let how = &mut File::options();
        let mut file = open_regular(&path, how.write(true).create(true).mode(mode))?;
        file.try_lock().map_err(|error| match error {
            TryLockError::Error(error) => error,
            TryLockError::WouldBlock => io::Error::other("another transfer is writing it"),
        })?;
        file.set_len(from)?;
        file.seek(SeekFrom::Start(from))?;
        if let Some(permissions) = permissions {
            // Where the file system has none there is nothing to keep.
            let _ = file.set_permissions(permissions);
        }
        Ok(Self { file, path, name, len: from })
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
        assert!(Part::look(&name).unwrap().is_none());
        let mut part = Part::begin(name.clone(), 0, None).unwrap();
        part.write(b"hello").unwrap();
        assert!(part.keep().unwrap().starts_with("5 bytes are kept in "));
        let had = Part::look(&name).unwrap().unwrap();
        assert_eq!((had.len, had.digest()), (5, blake3::hash(b"hello").into()));
        let mut part = Part::begin(name.clone(), 4, None).unwrap();
        part.write(b"!").unwrap();
        part.finish().unwrap();
        assert_eq!(fs::read(&name).unwrap(), b"hell!");
        assert!(Part::look(&name).unwrap().is_none());
    }

    #[test]
    fn nothing_is_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let part = Part::begin(folder.path().join("name"), 0, None).unwrap();
        assert_eq!(part.keep(), None);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    }

    #[test]
    fn two_do_not_write_one_file() {
        let folder = tempfile::tempdir().unwrap();
        let name = folder.path().join("name");
        let _first = Part::begin(name.clone(), 0, None).unwrap();
        let error = Part::begin(name, 0, None).err().unwrap();
        assert_eq!(error.to_string(), "another transfer is writing it");
    }

    #[test]
    fn a_link_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let name = folder.path().join("name");
        std::os::unix::fs::symlink("elsewhere", folder.path().join("name.part")).unwrap();
        assert!(Part::begin(name, 0, None).is_err());
    }
}
