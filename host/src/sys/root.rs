//! A folder with the files that are served, and nothing outside it.

mod pseudo;

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::{FileStat, SFlag, fstat};
use nix::sys::statfs::fstatfs;
use tracing::warn;
use windlass_core::file::Refusal;

use self::pseudo::{COPY_MAX, Sized};
use super::read_file::LOCAL;
use super::stamp::Stamp;
use crate::error::{Error, Result};
use crate::printable::{printable, words};

/// A folder, open. Its name may change: it stays this folder.
#[derive(Debug)]
pub struct Root {
    folder: OwnedFd,
    /// Its file system asks no other process and no other host.
    is_local: bool,
}

/// A regular file that was opened.
#[derive(Debug)]
pub struct Opened {
    /// The file.
    pub file: File,
    /// Its size in bytes.
    pub size: u64,
    /// Its version. `None`: it was made for this request, and nothing else can change it.
    pub stamp: Option<Stamp>,
}

/// `RESOLVE_CACHED`: what takes more than a look into the kernel's cache of names is `EAGAIN`.
const RESOLVE_CACHED: u64 = 0x20;

/// How often to try again when a rename during the lookup makes the kernel unsure whether it left the
/// folder.
const TRIES: u32 = 8;

impl Root {
    /// Opens the folder.
    ///
    /// # Errors
    /// It is not a folder, or may not be opened; or the kernel has no `openat2(2)` (before Linux
    /// 5.6), without which nothing is served.
    pub fn open(path: &Path) -> Result<Self> {
        let folder = File::options()
            .read(true)
            .custom_flags((OFlag::O_PATH | OFlag::O_DIRECTORY).bits())
            .open(path)
            .map_err(Error::of("open the root", printable(path)))?;
        let is_local = fstatfs(&folder).is_ok_and(|it| LOCAL.contains(&it.filesystem_type()));
        let root = Self { folder: folder.into(), is_local };
        root.beneath(b".", OFlag::O_PATH, ResolveFlag::empty())
            .map_err(Error::of("open beneath the root", printable(path)))?;
        Ok(root)
    }

    /// Opens a regular file in it. The name comes from a peer: it is
    /// relative, no component is `..`, and no symbolic link leads out (`RESOLVE_BENEATH`). What is
    /// not a regular file is examined and not opened, because opening a FIFO or a device has
    /// effects. Of a file without a known size, such as those of `/proc`, a copy is opened.
    ///
    /// # Errors
    /// Why the peer does not get it.
    pub fn file(&self, name: &[u8]) -> std::result::Result<Opened, Refusal> {
        self.find(name, ResolveFlag::empty()).map_err(|why| match why {
            Why::Refused(why) => why,
            Why::Failed(errno) => refusal(errno),
        })
    }

    /// The same, if it is known without waiting for a disk, a process or another host.
    pub fn file_at_once(&self, name: &[u8]) -> Option<std::result::Result<Opened, Refusal>> {
        // Before Linux 5.12 the second flag is unknown.
        let here = ResolveFlag::RESOLVE_NO_XDEV | ResolveFlag::from_bits_retain(RESOLVE_CACHED);
        if !self.is_local {
            return None;
        }
        match self.find(name, here) {
            Ok(found) => Some(Ok(found)),
            Err(Why::Refused(why)) => Some(Err(why)),
            Err(Why::Failed(Errno::EAGAIN | Errno::EXDEV | Errno::EINVAL)) => None,
            Err(Why::Failed(errno)) => Some(Err(refusal(errno))),
        }
    }

    /// Opens the folder of a file that is to be in it, and returns the name of the file in that folder.
    ///
    /// # Errors
    /// Why a peer may not send a file of this name.
    #[cfg(feature = "transfer")]
    pub fn folder_of<'n>(
        &self,
        name: &'n [u8],
    ) -> std::result::Result<(OwnedFd, &'n [u8]), Refusal> {
        let slash = name.iter().rposition(|&byte| byte == b'/');
        let (folder, file) = slash.map_or((&b"."[..], name), |at| (&name[..at], &name[at + 1..]));
        if !is_usable(name) || file.is_empty() || file == b"." {
            return Err(Refusal::BadName);
        }
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY;
        let folder = self.beneath(folder, flags, ResolveFlag::empty()).map_err(refusal)?;
        Ok((folder, file))
    }

    fn find(&self, name: &[u8], more: ResolveFlag) -> std::result::Result<Opened, Why> {
        if !is_usable(name) {
            return Err(Refusal::BadName.into());
        }
        stat_of_file(self.beneath(name, OFlag::O_PATH, more)?)?;
        // The name may lead to another file by now, so the open file is examined again.
        let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        let file = File::from(self.beneath(name, flags, more)?);
        let stat = stat_of_file(&file)?;
        match pseudo::size(file, &stat) {
            Ok(Sized::AsItSays(file)) => {
                let size = u64::try_from(stat.st_size).map_err(|_| Refusal::Failed)?;
                Ok(Opened { file, size, stamp: Some(Stamp::of(&stat)) })
            }
            Ok(Sized::Copy(file, size)) => Ok(Opened { file, size, stamp: None }),
            Ok(Sized::TooLarge) => {
                let name = words(name);
                warn!("{name} does not know its size and has more than {COPY_MAX} bytes: refused");
                Err(Refusal::Failed.into())
            }
            Err(error) => Err(Errno::try_from(error).unwrap_or(Errno::EIO).into()),
        }
    }

    fn beneath(
        &self,
        name: &[u8],
        flags: OFlag,
        more: ResolveFlag,
    ) -> std::result::Result<OwnedFd, Errno> {
        let how = OpenHow::new()
            .flags(flags | OFlag::O_CLOEXEC)
            .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS | more);
        let mut tries = if more.is_empty() { TRIES } else { 1 };
        loop {
            tries -= 1;
            match openat2(&self.folder, name, how) {
                Err(Errno::EAGAIN | Errno::EINTR) if tries > 0 => {}
                opened => return opened,
            }
        }
    }
}

impl AsFd for Root {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.folder.as_fd()
    }
}

/// Whether a name of a peer is relative, and does not go up.
fn is_usable(name: &[u8]) -> bool {
    let is_up = |component: &[u8]| component == b"..";
    !(name.is_empty()
        || name.starts_with(b"/")
        || name.contains(&0)
        || name.split(|&byte| byte == b'/').any(is_up))
}

/// Opens a regular file, and no other kind of file: no link, no FIFO.
///
/// # Errors
/// It is something else, or cannot be opened like that.
pub fn open_regular(path: &Path, how: &mut OpenOptions) -> io::Result<File> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = how.custom_flags(flags.bits()).open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::other("it is there, and is not a file"))
    }
}

/// Why there is no file.
enum Why {
    Refused(Refusal),
    Failed(Errno),
}

impl From<Refusal> for Why {
    fn from(why: Refusal) -> Self {
        Self::Refused(why)
    }
}

impl From<Errno> for Why {
    fn from(errno: Errno) -> Self {
        Self::Failed(errno)
    }
}

fn stat_of_file(fd: impl AsFd) -> std::result::Result<FileStat, Why> {
    let stat = fstat(fd)?;
    match SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT {
        SFlag::S_IFREG => Ok(stat),
        SFlag::S_IFDIR => Err(Refusal::IsFolder.into()),
        _ => Err(Refusal::NotAFile.into()),
    }
}

fn refusal(errno: Errno) -> Refusal {
    match errno {
        Errno::ENOENT | Errno::ENOTDIR => Refusal::NotFound,
        Errno::EACCES | Errno::EPERM | Errno::EXDEV | Errno::ELOOP => Refusal::NotAllowed,
        Errno::ENAMETOOLONG => Refusal::TooLong,
        Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM | Errno::EAGAIN => Refusal::Busy,
        _ => Refusal::Failed,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;

    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use super::*;

    /// A root with a file, a folder, a FIFO and links of all kinds; a secret beside it.
    fn place() -> (tempfile::TempDir, PathBuf) {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("root");
        fs::create_dir_all(root.join("folder")).unwrap();
        fs::write(root.join("folder/file"), b"12345").unwrap();
        fs::write(place.path().join("secret"), b"secret").unwrap();
        mkfifo(&root.join("fifo"), Mode::S_IRWXU).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
        for (link, to) in [
            ("inside", PathBuf::from("folder/file")),
            ("round", PathBuf::from("folder/../folder/file")),
            ("out", PathBuf::from("../secret")),
            ("absolute", place.path().join("secret")),
            ("home", root.join("folder/file")),
            ("loop", PathBuf::from("loop")),
            ("nowhere", PathBuf::from("nothing")),
            ("up", PathBuf::from("..")),
            ("magic", PathBuf::from("/proc/self/cwd")),
        ] {
            symlink(to, root.join(link)).unwrap();
        }
        (place, root)
    }

    #[test]
    fn a_name_leads_to_a_file_in_the_root_or_nowhere() {
        let (_place, path) = place();
        let root = Root::open(&path).unwrap();
        for name in ["folder/file", "inside", "round", "./folder//file"] {
            assert_eq!(root.file(name.as_bytes()).unwrap().size, 5, "{name}");
        }
        let (long, longest) = ("x".repeat(256), "x/".repeat(2500));
        for (name, why) in [
            ("", Refusal::BadName),
            ("/etc/passwd", Refusal::BadName),
            ("/", Refusal::BadName),
            ("..", Refusal::BadName),
            ("../secret", Refusal::BadName),
            ("folder/../../secret", Refusal::BadName),
            ("folder/../folder/file", Refusal::BadName),
            ("a\0b", Refusal::BadName),
            ("nothing", Refusal::NotFound),
            ("nowhere", Refusal::NotFound),
            ("folder/file/", Refusal::NotFound),
            ("folder/file/x", Refusal::NotFound),
            ("....//secret", Refusal::NotFound),
            (".", Refusal::IsFolder),
            ("folder", Refusal::IsFolder),
            ("fifo", Refusal::NotAFile),
            ("socket", Refusal::NotAFile),
            ("out", Refusal::NotAllowed),
            ("absolute", Refusal::NotAllowed),
            ("home", Refusal::NotAllowed),
            ("up/secret", Refusal::NotAllowed),
            ("magic", Refusal::NotAllowed),
            ("loop", Refusal::NotAllowed),
            (&long, Refusal::TooLong),
            (&longest, Refusal::TooLong),
        ] {
            assert_eq!(root.file(name.as_bytes()).unwrap_err(), why, "{name}");
        }
    }

    /// Or it is said that it would take time.
    #[test]
    fn what_is_known_at_once_is_the_same() {
        let (_place, path) = place();
        let root = Root::open(&path).unwrap();
        for name in ["folder/file", "inside", "", "../secret", "nothing", "folder", "fifo", "out"] {
            let found = root.file(name.as_bytes()).map(|opened| opened.size);
            let at_once = root.file_at_once(name.as_bytes());
            assert!(
                at_once.is_none_or(|at_once| at_once.map(|opened| opened.size) == found),
                "{name}"
            );
        }
    }

    #[test]
    fn a_root_is_a_folder() {
        let (_place, path) = place();
        for name in ["folder/file", "nothing", "fifo"] {
            let error = Root::open(&path.join(name)).unwrap_err().to_string();
            assert!(error.starts_with("open the root "), "{error}");
        }
    }
}
