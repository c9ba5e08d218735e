//! The file of a Unix socket: made, replaced when it is stale, given away, removed.
//!
//! The file of a server that was killed stays, and nothing can be bound to its path until it is removed.
//! Whether it is stale is found out by connecting. Between that and its removal another server may have
//! put its own socket there; and a socket that is bound and does not listen yet looks stale. So servers
//! take turns, from `bind` to `listen`, and when they remove a file at their end:
//!
//! ```text
//! lock ─▶ bind ─▶ in use, and nothing answers: remove it, bind again ─▶ owner, mode ─▶ listen ─▶ unlock
//! ```

use std::fs::{File, OpenOptions, TryLockError, remove_file};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag};
use nix::sys::socket::{Backlog, UnixAddr, bind, listen};
use nix::sys::stat::{FchmodatFlags, Mode, fchmodat, fstat, umask};
use nix::unistd::{Gid, Uid, fchownat};

use crate::addr::Address;
use crate::error::{Error, Result};
use crate::printable::printable;
use crate::sys::clock;
use crate::sys::connect::probe;
use crate::sys::file::folder_of;
use crate::sys::poll::wait_for_input;
use crate::sys::user::User;

/// Which processes may connect: a process needs permission to write to the socket file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Access {
    /// The permissions of the file; otherwise they are what the umask leaves of 0777.
    pub mode: Option<u32>,
    /// The group of the file, by its number; otherwise it is that of the file's user.
    pub group: Option<u32>,
}

impl Access {
    /// Its owner and root.
    pub const PRIVATE: Self = Self { mode: Some(0o600), group: None };

    /// The same for a file of `user` that was made with `before`: what only that said is undone.
    #[must_use]
    pub fn after(self, before: Self, user: Option<&User>) -> Self {
        let group = || user.map_or_else(Gid::effective, |user| user.ids().1).as_raw();
        Self {
            mode: self.mode.or_else(|| before.mode.map(|_| default_mode())),
            group: self.group.or_else(|| before.group.map(|_| group())),
        }
    }
}

/// A socket file that a listener made.
#[derive(Debug)]
pub(super) struct OwnedPath {
    pub(super) path: PathBuf,
    /// The identity of the file: another server may have replaced it.
    pub(super) file: Option<FileId>,
    /// The process that removes it: a child that closes its copy must not.
    pub(super) owner: u32,
}

/// Device and inode.
pub(super) type FileId = (u64, u64);

impl OwnedPath {
    /// The file that is at `path` now, to be removed by process `owner`.
    pub(super) fn at(path: &Path, owner: u32) -> Self {
        Self { path: path.to_owned(), file: file_id(path), owner }
    }

    fn is_there(&self) -> bool {
        file_id(&self.path) == self.file
    }

    /// Removes the file, if it is this process's and still the same. If it cannot be locked it stays, and
    /// is stale: without the lock it could be another server's by the time it is removed.
    pub(super) fn remove(&self) {
        if self.owner == std::process::id()
            && self.is_there()
            && let Ok(_turn) = Turn::take(&self.path)
            && self.is_there()
        {
            let _ = remove_file(&self.path);
        }
    }

    /// Gives the file to `user`, or to this process's user, with `access`.
    pub(super) fn give_to(&self, user: Option<&User>, access: Access) -> Result<()> {
        let fail = |errno| {
            Error::new("set owner and mode of the socket file", printable(&self.path), errno)
        };
        // The file at the path may have been replaced, so only the file that was examined is changed.
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let fd = nix::fcntl::open(&self.path, flags, Mode::empty()).map_err(fail)?;
        let now = fstat(&fd).map_err(fail)?;
        if Some((now.st_dev, now.st_ino)) != self.file {
            return Err(fail(Errno::ESTALE).and("it was replaced"));
        }
        let is_ours = user.is_none() && now.st_uid == Uid::effective().as_raw();
        // The group of one that is ours may be that of the folder, and then it stays so.
        if !is_ours || access.group.is_some() {
            let (uid, gid) = user.map_or_else(|| (Uid::effective(), Gid::effective()), User::ids);
            let gid = access.group.map_or(gid, Gid::from_raw);
            fchownat(&fd, "", Some(uid), Some(gid), AtFlags::AT_EMPTY_PATH).map_err(fail)?;
        }
        // After the owner: to change that may clear bits of the mode.
        if let Some(mode) = access.mode.map(Mode::from_bits_truncate) {
            // fchmod(2) refuses a descriptor that is only a path; its link leads to the same file.
            let link = format!("/proc/self/fd/{}", fd.as_raw_fd());
            let here = nix::fcntl::AT_FDCWD;
            fchmodat(here, &*link, mode, FchmodatFlags::FollowSymlink).map_err(fail)?;
        }
        Ok(())
    }
}

/// The permissions that the umask leaves. It can only be read by setting it; until it is set back,
/// what another thread makes has no permissions, rather than too many.
fn default_mode() -> u32 {
    let mask = umask(Mode::from_bits_truncate(0o777));
    umask(mask);
    0o777 & !mask.bits()
}

/// Binds `fd` to `path`, and with a backlog makes it listen; the file that this made. `address` is that path.
pub(super) fn bind_path(
    fd: &OwnedFd,
    address: &Address,
    path: &Path,
    backlog: Option<Backlog>,
    access: Access,
) -> Result<OwnedPath> {
    let failed = |errno| {
        let error = Error::new("listen on", address, errno);
        let is_file = errno == Errno::EADDRINUSE && !is_socket(path);
        if is_file { error.and("the file there is not a socket") } else { error }
    };
    let at = UnixAddr::new(path).map_err(failed)?;
    let turn = Turn::take(path).map_err(|errno| {
        // Where no lock can be made no socket can be, and what is there is the reason that counts.
        let is_taken = path.symlink_metadata().is_ok();
        failed(if is_taken { Errno::EADDRINUSE } else { errno })
    })?;
    match bind(fd.as_raw_fd(), &at) {
        Err(Errno::EADDRINUSE) if is_stale(path) => {
            remove_file(path).map_err(Error::of("remove stale socket", printable(path)))?;
            bind(fd.as_raw_fd(), &at).map_err(failed)?;
        }
        bound => bound.map_err(failed)?,
    }
    let file = OwnedPath::at(path, std::process::id());
    // Nothing can connect to a stream socket before it listens.
    let is_set = if access == Access::default() { Ok(()) } else { file.give_to(None, access) };
    let listens = is_set.and_then(|()| match backlog {
        Some(backlog) => listen(fd, backlog).map_err(failed),
        None => Ok(()),
    });
    if let Err(error) = listens {
        let _ = remove_file(path);
        return Err(error);
    }
    drop(turn);
    Ok(file)
}

/// The right to bind to a path, or to remove the file there: a lock on a file beside it. The file
/// is of the user's alone, so no other user can hold the lock; and it goes with the turn.
struct Turn {
    path: PathBuf,
    /// Locked (flock(2)) until it is closed, however this process ends.
    _file: File,
}

/// How long another process may have its turn, in microseconds. It takes one far less than a millisecond,
/// unless it is stopped.
const TURN_US: u64 = 5_000_000;

impl Turn {
    fn take(socket: &Path) -> std::result::Result<Self, Errno> {
        let mut name = std::ffi::OsString::from(".");
        name.push(socket.file_name().ok_or(Errno::EISDIR)?);
        name.push(".windlass-lock");
        let path = folder_of(socket).join(name);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).mode(0o600);
        // Not through a link, and not waiting for the other end of a FIFO.
        options.custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits());
        let end = clock::now().after(TURN_US);
        loop {
            let file = options.open(&path).map_err(errno_of)?;
            match file.try_lock() {
                // Its holder may have removed it before this process got the lock.
                Ok(())
                    if file
                        .metadata()
                        .is_ok_and(|it| file_id(&path) == Some((it.dev(), it.ino()))) =>
                {
                    return Ok(Self { path, _file: file });
                }
                Ok(()) => {}
                Err(TryLockError::Error(error)) => return Err(errno_of(error)),
                Err(TryLockError::WouldBlock) if clock::now() >= end => return Err(Errno::EBUSY),
                Err(TryLockError::WouldBlock) => {
                    wait_for_input([None; 3], Some(2_000));
                }
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // Before the lock goes with the descriptor: the next process makes a new one.
        let _ = remove_file(&self.path);
    }
}

fn errno_of(error: io::Error) -> Errno {
    Errno::try_from(error).unwrap_or(Errno::EIO)
}

fn file_id(path: &Path) -> Option<FileId> {
    let meta = path.symlink_metadata().ok()?;
    Some((meta.dev(), meta.ino()))
}

/// Whether `path` is a socket that nothing listens on any more, and is still the same one after that was
/// found out.
fn is_stale(path: &Path) -> bool {
    let before = file_id(path);
    is_socket(path) && probe(path) == Err(Errno::ECONNREFUSED) && file_id(path) == before
}

/// Whether `path` is a socket, and not a link to one.
fn is_socket(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|meta| meta.file_type().is_socket())
}

#[cfg(test)]
pub(super) mod tests;
