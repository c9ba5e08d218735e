//! Files that the kernel generates when they are read: those of `/proc` and `/sys`.
//!
//! Their size is 0, or a page, whatever they hold. A client is told the size before the content, so such
//! a file is read whole when it is opened, and the copy is sent.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;

use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::stat::FileStat;

/// The largest size of such a file: each slow client holds a copy.
pub(super) const COPY_MAX: u64 = 256 * 1024;

/// The result of examining a file.
#[derive(Debug)]
pub(super) enum Sized {
    /// Its size is true, or it is not such a file.
    AsItSays(File),
    /// A copy of its content, and the size.
    Copy(File, u64),
    /// It is larger than the largest copy.
    TooLarge,
}

/// Finds out whether `file` has as many bytes as its `stat(2)`, `says`, tells. A file with blocks on a disk has.
///
/// # Errors
/// It cannot be read, or there is no memory for a copy.
pub(super) fn size(file: File, says: &FileStat) -> io::Result<Sized> {
    let size = u64::try_from(says.st_size).unwrap_or(u64::MAX);
    // The size of a sparse file is true, and a pseudo file that reports such a size reports its own.
    if says.st_blocks != 0 || size > COPY_MAX {
        return Ok(Sized::AsItSays(file));
    }
    // One byte more is read, to see whether the file is longer.
    let mut content = Vec::new();
    read_to(&file, &mut content, size + 1)?;
    if content.len() as u64 == size {
        return Ok(Sized::AsItSays(file));
    }
    read_to(&file, &mut content, COPY_MAX + 1)?;
    let size = content.len() as u64;
    if size > COPY_MAX {
        return Ok(Sized::TooLarge);
    }
    let mut copy = File::from(memfd_create(c"windlass-copy", MFdFlags::MFD_CLOEXEC)?);
    copy.write_all(&content)?;
    Ok(Sized::Copy(copy, size))
}

/// Reads on until `content` has `len` bytes or the file ends.
fn read_to(file: &File, content: &mut Vec<u8>, len: u64) -> io::Result<()> {
    let mut at = content.len();
    content.resize(usize::try_from(len).unwrap_or(usize::MAX), 0);
    while at < content.len() {
        match file.read_at(&mut content[at..], at as u64) {
            Ok(0) => break,
            Ok(n) => at += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    content.truncate(at);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(file: &File) -> Sized {
        size(file.try_clone().unwrap(), &nix::sys::stat::fstat(file).unwrap()).unwrap()
    }

    #[test]
    fn what_the_kernel_makes_up_is_copied() {
        let status = "/proc/self/limits";
        let expected = std::fs::read(status).unwrap();
        let made_up = File::open(status).unwrap();
        let Sized::Copy(copy, size) = look(&made_up) else { panic!("no copy") };
        let mut content = vec![0; expected.len() + 1];
        assert_eq!(copy.read_at(&mut content, 0).unwrap() as u64, size);
        assert_eq!(content[..expected.len()], expected);
        // The table of the kernel's symbols, where there is one, has megabytes.
        if let Ok(large) = File::open("/proc/kallsyms") {
            assert!(matches!(look(&large), Sized::TooLarge));
        }
    }

    #[test]
    fn a_file_with_its_own_size_is_taken_as_it_is() {
        let mut file = tempfile::tempfile().unwrap();
        assert!(matches!(look(&file), Sized::AsItSays(_)));
        for size in [COPY_MAX * 4, 100] {
            file.set_len(size).unwrap();
            assert!(matches!(look(&file), Sized::AsItSays(_)));
        }
        file.write_all(b"content").unwrap();
        assert!(matches!(look(&file), Sized::AsItSays(_)));
    }
}
