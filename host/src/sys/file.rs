//! Files that a user names as the place to write to.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{BorrowedFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};
use std::{fs, process};

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::statfs::{PROC_SUPER_MAGIC, statfs};
use nix::unistd::geteuid;

use super::root::open_regular;
use crate::printable::printable;

/// What a path leads to when the symbolic links at its end are followed.
#[derive(Debug, PartialEq, Eq)]
pub enum Leads {
    /// To this name, which is no symbolic link. There may be nothing of that name.
    To(PathBuf),
    /// To an open file of this process: `/dev/stdout`, `/dev/fd/3`, `/proc/self/fd/3`.
    Own(RawFd),
    /// Through a link of `/proc` to another file that is open. Its text need not be a path.
    Open,
}

/// The most symbolic links that are followed: as many as the kernel follows (`path_resolution(7)`).
const LINKS_MAX: usize = 40;

/// Follows the symbolic links at the end of `path`. The folders before it are for the kernel to follow.
///
/// # Errors
/// A link cannot be read, or there are too many (`ELOOP`).
pub fn follow(path: &Path) -> io::Result<Leads> {
    let mut here = path.to_owned();
    for _ in 0..LINKS_MAX {
        if !here.is_symlink() {
            return Ok(Leads::To(here));
        }
        let folder = folder_of(&here).to_owned();
        if statfs(&folder).is_ok_and(|it| it.filesystem_type() == PROC_SUPER_MAGIC) {
            // `/proc/self` is a link as any other; a link to an open file is below a process.
            let folder = fs::canonicalize(&folder)?;
            if folder.components().count() > 2 {
                return Ok(own_descriptor(&folder, &here).map_or(Leads::Open, Leads::Own));
            }
        }
        here = folder.join(fs::read_link(&here)?);
    }
    Err(Errno::ELOOP.into())
}

/// The folder that a name is in.
pub fn folder_of(name: &Path) -> &Path {
    match name.parent() {
        Some(folder) if folder != Path::new("") => folder,
        Some(_) | None => Path::new("."),
    }
}

/// The number that `link`, in a folder of `/proc`, has if that is the folder of our descriptors.
fn own_descriptor(folder: &Path, link: &Path) -> Option<RawFd> {
    let own = fs::canonicalize("/proc/self").unwrap_or_else(|_| process::id().to_string().into());
    let ours = folder.starts_with(own) && folder.ends_with("fd");
    let Component::Normal(number) = link.components().next_back()? else { return None };
    number.to_str()?.parse().ok().filter(|_| ours)
}

/// A copy of one of this process's descriptors: the same open file, with its offset and flags.
///
/// # Errors
/// `EBADF`: it is not open.
pub fn duplicate(fd: RawFd) -> io::Result<File> {
    if fd < 0 {
        return Err(Errno::EBADF.into());
    }
    // SAFETY: it is borrowed for one call, which answers EBADF if it is not open.
    let open = unsafe { BorrowedFd::borrow_raw(fd) };
    open.try_clone_to_owned().map(File::from)
}

/// Opens a regular file that has one name, belongs to this user or to the owner of its folder, and is
/// no symbolic link. So in a folder that others can write to, none of them can put a file there for us
/// to fill, and change it later.
///
/// # Errors
/// It is another file, or cannot be opened.
pub fn open_own(path: &Path, how: &mut OpenOptions) -> io::Result<File> {
    let file = open_regular(path, how)?;
    let found = file.metadata()?;
    if found.nlink() > 1 {
        return Err(io::Error::other(format!("{} has another name too", printable(path))));
    }
    let is_ours =
        found.uid() == geteuid().as_raw() || fs::metadata(folder_of(path))?.uid() == found.uid();
    if !is_ours {
        return Err(io::Error::other(format!("{} belongs to another user", printable(path))));
    }
    Ok(file)
}

/// Has room kept for `len` bytes of the file; its size stays. Where the file system cannot, nothing is
/// done.
///
/// # Errors
/// `ENOSPC`, `EDQUOT`, `EFBIG`: the file system has no room for `len` bytes.
pub fn reserve(file: &File, len: u64) -> io::Result<()> {
    let len = i64::try_from(len).map_err(|_| Errno::EFBIG)?;
    match fallocate(file, FallocateFlags::FALLOC_FL_KEEP_SIZE, 0, len) {
        Err(errno @ (Errno::ENOSPC | Errno::EDQUOT | Errno::EFBIG)) => Err(errno.into()),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Opens a file to write behind its end, and makes it if there is none. A FIFO without a reader is an error.
///
/// # Errors
/// That of `open(2)`.
pub fn open_to_append(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(0o640).custom_flags(libc::O_NONBLOCK);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_are_followed_to_a_name_or_to_an_open_file() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("file"), b"").unwrap();
        let open = File::open(at("file")).unwrap();
        let number = open.as_raw_fd();
        for (link, to) in
            [("link", "file"), ("twice", "link"), ("nowhere", "none"), ("loop", "loop")]
        {
            symlink(to, at(link)).unwrap();
        }
        symlink(format!("/proc/self/fd/{number}"), at("stdout")).unwrap();
        for (path, leads) in [
            (at("file"), Leads::To(at("file"))),
            (at("none"), Leads::To(at("none"))),
            (at("twice"), Leads::To(at("file"))),
            (at("nowhere"), Leads::To(at("none"))),
            ("relative".into(), Leads::To("relative".into())),
            (at("stdout"), Leads::Own(number)),
            (format!("/dev/fd/{number}").into(), Leads::Own(number)),
            (format!("/proc/self/fd/{number}").into(), Leads::Own(number)),
            (format!("/proc/thread-self/fd/{number}").into(), Leads::Own(number)),
            (format!("/proc/{}/fd/{number}", process::id()).into(), Leads::Own(number)),
            ("/proc/self/exe".into(), Leads::Open),
            ("/proc/1/exe".into(), Leads::Open),
        ] {
            if path.symlink_metadata().is_ok() || matches!(leads, Leads::To(_)) {
                assert_eq!(follow(&path).unwrap(), leads, "{}", printable(&path));
            }
        }
        assert_eq!(follow(&at("loop")).unwrap_err().raw_os_error(), Some(Errno::ELOOP as i32));
    }

    #[test]
    fn a_copy_is_the_same_open_file() {
        let mut file = tempfile::tempfile().unwrap();
        let mut copy = duplicate(file.as_raw_fd()).unwrap();
        io::Write::write_all(&mut copy, b"12345").unwrap();
        assert_eq!(io::Seek::stream_position(&mut file).unwrap(), 5);
        for closed in [-1, RawFd::MAX] {
            assert_eq!(duplicate(closed).unwrap_err().raw_os_error(), Some(Errno::EBADF as i32));
        }
    }

    #[test]
    fn what_is_of_another_or_has_two_names_is_not_ours() {
        let folder = tempfile::tempdir().unwrap();
        let [one, two, link] = ["one", "two", "link"].map(|name| folder.path().join(name));
        fs::write(&one, b"").unwrap();
        let open = |path: &Path| open_own(path, File::options().read(true)).map(drop);
        open(&one).unwrap();
        symlink(&one, &link).unwrap();
        assert!(open(&link).is_err());
        fs::hard_link(&one, &two).unwrap();
        assert!(open(&one).unwrap_err().to_string().ends_with("one has another name too"));
        fs::remove_file(&two).unwrap();
        if geteuid().is_root() {
            std::os::unix::fs::chown(&one, Some(12345), None).unwrap();
            assert!(open(&one).unwrap_err().to_string().ends_with("one belongs to another user"));
        }
    }
}
