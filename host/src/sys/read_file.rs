//! Parts of files, read with or without waiting.

use std::fs::File;
use std::io::IoSliceMut;
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::sys::statfs::{
    BTRFS_SUPER_MAGIC, EXT4_SUPER_MAGIC, FsType, OVERLAYFS_SUPER_MAGIC, TMPFS_MAGIC, fstatfs,
};
use nix::sys::uio::preadv;

/// `preadv(2)`: one run of the file from `offset` on, into several places. Fewer bytes than there is
/// room for mean that the file ends there.
///
/// # Errors
/// `EIO`.
pub fn read_at(file: &File, offset: u64, into: &mut [IoSliceMut<'_>]) -> Result<usize, Errno> {
    let offset = i64::try_from(offset).map_err(|_| Errno::EOVERFLOW)?;
    loop {
        match preadv(file, into, offset) {
            Err(Errno::EINTR) => {}
            read => return read,
        }
    }
}

/// The same from the page cache alone (`preadv2(2)` with `RWF_NOWAIT`). Fewer bytes than there is room for
/// mean that the file ends there, or that no more of it is cached.
///
/// # Errors
/// `EAGAIN`: the first byte is not in the page cache, and is not waited for. `EOPNOTSUPP`, `ENOSYS`: this
/// file system or this kernel does not tell.
pub fn read_cached(file: &File, offset: u64, into: &mut [IoSliceMut<'_>]) -> Result<usize, Errno> {
    let offset = i64::try_from(offset).map_err(|_| Errno::EOVERFLOW)?;
    let count = libc::c_int::try_from(into.len()).map_err(|_| Errno::EINVAL)?;
    // SAFETY: an `IoSliceMut` is an `iovec` (std), and the memory of each is ours to write to.
    let read = unsafe {
        libc::preadv2(file.as_raw_fd(), into.as_mut_ptr().cast(), count, offset, libc::RWF_NOWAIT)
    };
    Errno::result(read).map(isize::unsigned_abs)
}

/// Whether the file system has all of its files in memory: no read of them waits for a device.
pub fn is_in_memory(file: &File) -> bool {
    fstatfs(file).is_ok_and(|it| it.filesystem_type() == TMPFS_MAGIC)
}

/// File systems of this kernel alone: with a name in the kernel's cache, to open the file waits for nothing.
/// Others ask a process or another host.
pub(super) const LOCAL: [FsType; 5] =
    [BTRFS_SUPER_MAGIC, EXT4_SUPER_MAGIC, OVERLAYFS_SUPER_MAGIC, TMPFS_MAGIC, XFS_SUPER_MAGIC];

/// `linux/magic.h`; `nix` has it for glibc only.
const XFS_SUPER_MAGIC: FsType = FsType(0x5846_5342);

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn what_is_cached_is_read_and_nothing_else_is_waited_for() {
        // The tests' folder is on a disk, most of the time.
        let mut file = tempfile::tempfile_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        file.write_all(b"0123456789").unwrap();
        let (mut one, mut two) = ([0; 3], [0; 20]);
        let into = &mut [IoSliceMut::new(&mut one), IoSliceMut::new(&mut two)];
        assert_eq!(read_at(&file, 1, into), Ok(9));
        match read_cached(&file, 1, into) {
            Ok(n) => assert_eq!((n, &one, &two[..6]), (9, b"123", &b"456789"[..])),
            Err(errno) => assert_eq!(errno, Errno::EOPNOTSUPP),
        }
        let nothing = &mut [IoSliceMut::new(&mut one)];
        assert!(matches!(read_cached(&file, 10, nothing), Ok(0) | Err(Errno::EOPNOTSUPP)));
    }
}
