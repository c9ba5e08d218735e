//! Files that peers send: kept under another name in their folder until they are whole.
//!
//! ```text
//!   create ──▶ .windlass-PID-N.part ──write──▶ sync ──rename──▶ NAME
//!                     └── dropped: removed
//! ```

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::NixPath;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::{Mode, SFlag, fstatat};
use nix::sys::statvfs::fstatvfs;
use nix::unistd::{UnlinkatFlags, unlinkat};
use tracing::warn;
use windlass_core::fault::{Fault, StorageFault};
use windlass_core::file::Refusal;

use super::root::Root;

/// A file that a peer sends.
#[derive(Debug)]
pub struct Upload {
    folder: OwnedFd,
    /// What it will be called, in the folder.
    name: Vec<u8>,
    /// What it is called until it is whole.
    part: Option<Vec<u8>>,
    file: Arc<File>,
    overwrite: bool,
}

/// Tells the parts of one process from each other.
static NEXT: AtomicU64 = AtomicU64::new(0);

impl Upload {
    /// Finds a place for the file `name` of `root`, which the peer says has `size` bytes. A file that is there
    /// is replaced only with `overwrite`.
    ///
    /// # Errors
    /// Why the peer may not send it.
    pub fn create(
        root: &Root,
        name: &[u8],
        size: Option<u64>,
        overwrite: bool,
    ) -> Result<Self, Refusal> {
        let (folder, name) = root.folder_of(name)?;
        match fstatat(&folder, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Err(Errno::ENOENT) => {}
            Err(errno) => return Err(refusal(errno)),
            Ok(stat)
                if SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT != SFlag::S_IFREG =>
            {
                return Err(Refusal::NotAFile);
            }
            Ok(_) if overwrite => {}
            Ok(_) => return Err(Refusal::Exists),
        }
        if let (Some(size), Ok(stat)) = (size, fstatvfs(&folder))
            && stat.blocks_available().saturating_mul(stat.fragment_size()) < size
        {
            return Err(Refusal::NoRoom);
        }
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
        let how = OpenHow::new()
            .flags(flags | OFlag::O_NOFOLLOW | OFlag::O_NOCTTY)
            .mode(Mode::from_bits_truncate(0o666))
            .resolve(ResolveFlag::RESOLVE_BENEATH);
        loop {
            let nth = NEXT.fetch_add(1, Ordering::Relaxed);
            let part = format!(".windlass-{}-{nth}.part", std::process::id()).into_bytes();
            match openat2(&folder, part.as_slice(), how) {
                Ok(file) => {
                    let (name, file) = (name.to_vec(), Arc::new(File::from(file)));
                    return Ok(Self { folder, name, part: Some(part), file, overwrite });
                }
                // Of a process with this id that was killed.
                Err(Errno::EEXIST | Errno::EINTR) => {}
                Err(errno) => return Err(refusal(errno)),
            }
        }
    }

    /// Writes all of `bytes` at `offset`.
    ///
    /// # Errors
    /// The disk is full, or does not write.
    pub fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), Fault> {
        self.file.write_all_at(bytes, offset).map_err(|error| fault("write", &error))
    }

    /// All of it was written: it goes to the disk, and has its name from now on.
    ///
    /// # Errors
    /// The disk does not take it, or there is a file of this name by now.
    pub fn commit(mut self) -> Result<(), Fault> {
        self.file.sync_all().map_err(|error| fault("sync", &error))?;
        let Some(part) = &self.part else { return Err(StorageFault::Failed.into()) };
        rename(&self.folder, part, &self.name, self.overwrite)
            .map_err(|errno| fault("give its name to", &errno.into()))?;
        self.part = None;
        // The name too: without it the file would be gone after a power cut.
        let _ = nix::unistd::fsync(self.folder.as_fd());
        Ok(())
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let Some(part) = &self.part {
            let _ = unlinkat(&self.folder, part.as_slice(), UnlinkatFlags::NoRemoveDir);
        }
    }
}

/// `renameat2(2)` within a folder, by its number: musl has no function for it.
fn rename(folder: &OwnedFd, old: &[u8], new: &[u8], overwrite: bool) -> nix::Result<()> {
    let fd = folder.as_raw_fd();
    let flags = if overwrite { 0 } else { libc::RENAME_NOREPLACE };
    let renamed = old.with_nix_path(|old| {
        new.with_nix_path(|new| {
            // SAFETY: both names end with a NUL, and outlive the call.
            unsafe { libc::syscall(libc::SYS_renameat2, fd, old.as_ptr(), fd, new.as_ptr(), flags) }
        })
    });
    Errno::result(renamed??).map(drop)
}

fn fault(op: &str, error: &std::io::Error) -> Fault {
    warn!("{op} a file that is being received: {error}");
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENOSPC | Errno::EDQUOT | Errno::EFBIG) => StorageFault::Full.into(),
        _ => StorageFault::Failed.into(),
    }
}

fn refusal(errno: Errno) -> Refusal {
    match errno {
        Errno::ENOENT | Errno::ENOTDIR => Refusal::NotFound,
        Errno::EACCES | Errno::EPERM | Errno::EROFS => Refusal::ReadOnly,
        Errno::ENAMETOOLONG => Refusal::TooLong,
        Errno::ENOSPC | Errno::EDQUOT => Refusal::NoRoom,
        Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM => Refusal::Busy,
        _ => Refusal::Failed,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn listed(folder: &std::path::Path) -> Vec<String> {
        let name = |entry: std::io::Result<fs::DirEntry>| {
            entry.unwrap().file_name().into_string().unwrap()
        };
        let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(name).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_has_its_name_when_it_is_whole() {
        let place = tempfile::tempdir().unwrap();
        let root = Root::open(place.path()).unwrap();
        let upload = Upload::create(&root, b"new", Some(5), false).unwrap();
        upload.write(3, b"lo").unwrap();
        upload.write(0, b"hel").unwrap();
        assert!(!place.path().join("new").exists());
        upload.commit().unwrap();
        assert_eq!(listed(place.path()), ["new"]);
        assert_eq!(fs::read(place.path().join("new")).unwrap(), b"hello");
        drop(Upload::create(&root, b"gone", None, false).unwrap());
        assert_eq!(listed(place.path()), ["new"]);
        assert_eq!(Upload::create(&root, b"new", None, false).unwrap_err(), Refusal::Exists);
        let upload = Upload::create(&root, b"new", None, true).unwrap();
        upload.write(0, b"bye").unwrap();
        upload.commit().unwrap();
        assert_eq!(fs::read(place.path().join("new")).unwrap(), b"bye");
    }

    #[test]
    fn a_file_that_came_meanwhile_stays() {
        let place = tempfile::tempdir().unwrap();
        let root = Root::open(place.path()).unwrap();
        let upload = Upload::create(&root, b"new", None, false).unwrap();
        fs::write(place.path().join("new"), b"first").unwrap();
        assert_eq!(upload.commit(), Err(StorageFault::Failed.into()));
        assert_eq!(listed(place.path()), ["new"]);
        assert_eq!(fs::read(place.path().join("new")).unwrap(), b"first");
    }

    #[test]
    fn nothing_is_created_outside_or_over_what_is_no_file() {
        let place = tempfile::tempdir().unwrap();
        let inside = place.path().join("root");
        fs::create_dir_all(inside.join("folder")).unwrap();
        let root = Root::open(&inside).unwrap();
        symlink("..", inside.join("up")).unwrap();
        symlink("../secret", inside.join("link")).unwrap();
        for (name, why) in [
            (&b""[..], Refusal::BadName),
            (b"/new", Refusal::BadName),
            (b"../new", Refusal::BadName),
            (b"folder/", Refusal::BadName),
            (b"folder/..", Refusal::BadName),
            (b"a\0b", Refusal::BadName),
            (b".", Refusal::BadName),
            (b"folder", Refusal::NotAFile),
            (b"link", Refusal::NotAFile),
            (b"none/new", Refusal::NotFound),
            (b"up/new", Refusal::NotAllowed),
        ] {
            assert_eq!(Upload::create(&root, name, None, true).unwrap_err(), why, "{name:?}");
        }
        let most = u64::MAX;
        assert_eq!(Upload::create(&root, b"new", Some(most), true).unwrap_err(), Refusal::NoRoom);
        Upload::create(&root, b"folder/new", None, false).unwrap().commit().unwrap();
        assert!(inside.join("folder/new").exists());
    }
}
