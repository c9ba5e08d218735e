//! A folder with the files that are served, and nothing outside it.

mod pages;
mod pseudo;

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, openat2};
#[cfg(feature = "supervise")]
use nix::sys::stat::stat;
use nix::sys::stat::{FileStat, SFlag, fstat, fstatat};
use nix::sys::statfs::fstatfs;
use tracing::warn;
use windlass_core::file::Refusal;

pub use self::pages::Pages;
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
    /// What the name of a folder stands for. `None`: for nothing.
    pages: Option<Pages>,
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

/// The longest path that the kernel takes, with the NUL at its end.
const PATH_MAX: usize = libc::PATH_MAX as usize;

/// The page of a folder.
const PAGE: &[u8] = b"index.html";

/// `RESOLVE_CACHED`: what takes more than a look into the kernel's cache of names is `EAGAIN`.
const RESOLVE_CACHED: u64 = 0x20;

/// How often to try again when a rename during the lookup makes the kernel unsure whether it left the
/// folder.
const TRIES: u32 = 8;

/// How often to look into the cache of names. A mount or a rename anywhere on the host makes the kernel unsure too,
/// for a moment; then it answers as if the name were not in the cache. A look costs a fraction of a helper's work.
const LOOKS: u32 = 3;

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
        let root = Self { folder: folder.into(), is_local, pages: None };
        root.beneath(b".", OFlag::O_PATH, ResolveFlag::empty())
            .map_err(Error::of("open beneath the root", printable(path)))?;
        Ok(root)
    }

    /// Whether it is the folder that `path` names now: a link may lead to another one since, and a folder may
    /// have been renamed.
    ///
    /// # Errors
    /// There is none.
    #[cfg(feature = "supervise")]
    pub fn is_at(&self, path: &Path) -> Result<bool> {
        let fail = || Error::of("look at the root", printable(path));
        let there = stat(path).map_err(fail())?;
        let here = fstat(&self.folder).map_err(fail())?;
        Ok((here.st_dev, here.st_ino) == (there.st_dev, there.st_ino))
    }

    /// From now on a name that is empty or ends with `/` is of a folder, and its page is opened: `index.html`,
    /// or a list.
    #[must_use]
    pub fn with_pages(self, pages: Pages) -> Self {
        Self { pages: Some(pages), ..self }
    }

    /// Whether it reads folders, to list them.
    pub fn lists(&self) -> bool {
        self.pages.is_some_and(|pages| pages.lists)
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

    /// The version of the file of this name, which is not opened. `at_once`: only if that is known without
    /// waiting, as for [`file_at_once`](Self::file_at_once).
    ///
    /// A name in the folder itself takes one call: there is nothing to resolve. A symbolic link of this name
    /// is then seen as one, and resolved as every other name.
    pub fn stamp(&self, name: &[u8], at_once: bool) -> Option<Stamp> {
        let here = ResolveFlag::RESOLVE_NO_XDEV | ResolveFlag::from_bits_retain(RESOLVE_CACHED);
        let more = if at_once { here } else { ResolveFlag::empty() };
        let mut page;
        let name = if self.pages.is_some() && is_of_folder(name) {
            page = PageName::new();
            page.of(name)?
        } else {
            name
        };
        if !is_usable(name) || (at_once && !self.is_local) {
            return None;
        }
        if !name.contains(&b'/') {
            let flags = AtFlags::AT_SYMLINK_NOFOLLOW | AtFlags::AT_NO_AUTOMOUNT;
            let stat = fstatat(&self.folder, name, flags).ok()?;
            if kind(&stat) == SFlag::S_IFREG {
                return Some(Stamp::of(&stat));
            }
        }
        let stat = stat_of_file(self.beneath(name, OFlag::O_PATH, more).ok()?).ok()?;
        Some(Stamp::of(&stat))
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
        match self.pages {
            Some(pages) if is_of_folder(name) => self.page(pages, name, more),
            Some(_) | None => self.find_file(name, more),
        }
    }

    /// Opens the page of a folder; its name is empty or ends with `/`.
    fn page(
        &self,
        pages: Pages,
        folder: &[u8],
        more: ResolveFlag,
    ) -> std::result::Result<Opened, Why> {
        let mut page = PageName::new();
        match self.find_file(page.of(folder).ok_or(Refusal::TooLong)?, more) {
            Err(Why::Failed(Errno::ENOENT)) if pages.lists => {
                if !more.is_empty() {
                    // To read a folder can take time.
                    return Err(Errno::EAGAIN.into());
                }
                let name = if folder.is_empty() { b"." } else { folder };
                let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY;
                let (file, size) = pages::list(self.beneath(name, flags, more)?, folder, pages)?;
                Ok(Opened { file, size, stamp: None })
            }
            Err(Why::Refused(Refusal::IsFolder)) => Err(Refusal::NotFound.into()),
            found => found,
        }
    }

    fn find_file(&self, name: &[u8], more: ResolveFlag) -> std::result::Result<Opened, Why> {
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
        let mut tries = if more.is_empty() { TRIES } else { LOOKS };
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

/// The name of a folder's page, which is made for a request without an allocation.
struct PageName([u8; PATH_MAX]);

impl PageName {
    const fn new() -> Self {
        Self([0; PATH_MAX])
    }

    /// `None`: it is longer than every name of a file.
    fn of(&mut self, folder: &[u8]) -> Option<&[u8]> {
        let (name, len) = (&mut self.0, folder.len() + PAGE.len());
        name.get_mut(..folder.len())?.copy_from_slice(folder);
        name.get_mut(folder.len()..len)?.copy_from_slice(PAGE);
        Some(&name[..len])
    }
}

/// Whether a name is that of a folder, where those have pages.
fn is_of_folder(name: &[u8]) -> bool {
    matches!(name, [] | [.., b'/'])
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

fn kind(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT
}

fn stat_of_file(fd: impl AsFd) -> std::result::Result<FileStat, Why> {
    let stat = fstat(fd)?;
    match kind(&stat) {
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
mod tests;
