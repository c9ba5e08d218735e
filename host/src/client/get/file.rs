//! A file that has its name only when it is whole.

use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile};

use crate::sys::Errno;

/// A file under a temporary name, in the folder that it is to be in. If it is dropped it is removed.
pub(super) struct NewFile {
    file: NamedTempFile<File>,
    name: PathBuf,
}

impl NewFile {
    /// Begins the file `name`. It gets `permissions`, or else those of any new file.
    ///
    /// The temporary name begins with `.windlass-`. A signal that kills leaves it there, so catch
    /// them before.
    pub(super) fn create(name: PathBuf, permissions: Option<&Permissions>) -> io::Result<Self> {
        let folder = match name.parent() {
            Some(folder) if folder != Path::new("") => folder,
            Some(_) | None => Path::new("."),
        };
        let (permissions, mode) = succeeding(permissions);
        let mut open = File::options();
        open.write(true).create_new(true).mode(mode);
        // What the kernel said, without the temporary name, which tells nobody anything.
        let mut errno = None;
        let file = Builder::new()
            .prefix(".windlass-")
            .make_in(folder, |path| {
                open.open(path).inspect_err(|error| errno = error.raw_os_error())
            })
            .map_err(|error| errno.map_or(error, io::Error::from_raw_os_error))?;
        if let Some(permissions) = permissions {
            // Where the file system has none there is nothing to keep.
            let _ = file.as_file().set_permissions(permissions);
        }
        Ok(Self { file, name })
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.as_file_mut().write_all(bytes)
    }

    /// It is whole: it takes its name, and the place of whoever had that.
    pub(super) fn finish(self) -> io::Result<()> {
        self.file.persist(self.name).map(drop).map_err(|error| error.error)
    }
}

/// The permissions of a file that takes the place of one with these, and the mode to create it with, of
/// which the kernel takes the umask off.
pub(super) fn succeeding(permissions: Option<&Permissions>) -> (Option<Permissions>, u32) {
    // Who replaces a file does not make its successor runnable as somebody else.
    let permissions = permissions.map(|it| Permissions::from_mode(it.mode() & 0o777));
    let mode = permissions.as_ref().map_or(0o666, Permissions::mode);
    (permissions, mode)
}

/// What the kernel said, in its words and without its number.
pub(super) fn reason(error: io::Error) -> Box<dyn std::error::Error + Send + Sync> {
    match error.raw_os_error() {
        Some(errno) => Errno::from_raw(errno).into(),
        None => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_has_its_name_when_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let name = folder.path().join("name");
        let names = || {
            let names = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name());
            names.collect::<Vec<_>>()
        };
        let mut file = NewFile::create(name.clone(), None).unwrap();
        file.write(b"half").unwrap();
        assert!(matches!(&names()[..], [name] if name.to_str().unwrap().starts_with(".windlass-")));
        drop(file);
        assert!(names().is_empty());
        let mut file = NewFile::create(name.clone(), None).unwrap();
        file.write(b"whole").unwrap();
        file.finish().unwrap();
        assert_eq!(names(), ["name"]);
        assert_eq!(fs::read(name).unwrap(), b"whole");
    }

    #[test]
    fn permissions_are_those_of_the_predecessor_or_of_any_new_file() {
        let folder = tempfile::tempdir().unwrap();
        let mode = |name: &Path| fs::metadata(name).unwrap().permissions().mode() & 0o7777;
        let [any, new, old] = ["any", "new", "old"].map(|name| folder.path().join(name));
        fs::write(&any, b"").unwrap();
        NewFile::create(new.clone(), None).unwrap().finish().unwrap();
        assert_eq!(mode(&new), mode(&any));
        for (before, after) in [(0o600, 0o600), (0o777, 0o777), (0o4755, 0o755)] {
            let permissions = Permissions::from_mode(before);
            NewFile::create(old.clone(), Some(&permissions)).unwrap().finish().unwrap();
            assert_eq!(mode(&old), after);
        }
    }

    #[test]
    fn a_reason_is_the_kernels() {
        let error = NewFile::create("/no/such/folder/name".into(), None).err().unwrap();
        assert_eq!(reason(error).to_string(), Errno::ENOENT.to_string());
    }
}
