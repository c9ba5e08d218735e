//! FIFOs: made, and opened at either end.

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use super::stream::Stream;
use crate::error::{Error, Result};
use crate::printable::printable;

/// Makes a FIFO that its owner can write and every user can read (0644, seeds N1 4.3). True when it
/// was not there before.
///
/// # Errors
/// It cannot be made, or the path is something else.
pub fn make(path: &Path) -> Result<bool> {
    match mkfifo(path, Mode::from_bits_truncate(0o644)) {
        Ok(()) => Ok(true),
        Err(nix::errno::Errno::EEXIST) => Ok(false),
        Err(errno) => Err(Error::new("make the FIFO", printable(path), errno)),
    }
}

/// A FIFO that was made here. It is removed when this is dropped, unless its name belongs to
/// another file by then.
#[derive(Debug)]
pub struct Made {
    path: PathBuf,
    /// Opened for neither reading nor writing: while it is, no other file gets its inode number.
    itself: File,
}

impl Made {
    /// As [`make`]. `None` when it was there before.
    ///
    /// # Errors
    /// As [`make`].
    pub fn make(path: &Path) -> Result<Option<Self>> {
        if !make(path)? {
            return Ok(None);
        }
        let flags = (OFlag::O_PATH | OFlag::O_NOFOLLOW).bits();
        let itself = File::options().read(true).custom_flags(flags).open(path);
        let itself = itself.map_err(Error::of("open the FIFO", printable(path)))?;
        Ok(Some(Self { path: path.to_owned(), itself }))
    }

    fn has_its_name(&self) -> io::Result<bool> {
        let (made, found) = (self.itself.metadata()?, self.path.symlink_metadata()?);
        Ok(made.file_type().is_fifo() && (made.dev(), made.ino()) == (found.dev(), found.ino()))
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        if self.has_its_name().is_ok_and(|its| its) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Opens the end that reads, at once, whether or not there is a writer.
///
/// # Errors
/// It cannot be opened, or it is no FIFO.
pub fn open_reader(path: &Path) -> Result<Stream> {
    let open = |path| File::options().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path);
    checked(path, open(path))
}

/// Opens the end that writes. Waits for a reader, as fifo(7) has it: without a reader there
/// is no process to write to.
///
/// # Errors
/// It cannot be opened, or it is no FIFO.
pub fn open_writer(path: &Path) -> Result<Stream> {
    checked(path, File::options().write(true).open(path))
}

fn checked(path: &Path, opened: io::Result<File>) -> Result<Stream> {
    let file = opened.and_then(|file| {
        let is_fifo = file.metadata()?.file_type().is_fifo();
        // Opened just now, so no other process shares the flag.
        let flags = OFlag::from_bits_retain(fcntl(&file, FcntlArg::F_GETFL)?);
        fcntl(&file, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
        if is_fifo { Ok(file) } else { Err(io::Error::other("it is no FIFO")) }
    });
    let file = file.map_err(Error::of("open the FIFO", printable(path)))?;
    Ok(Stream::new(OwnedFd::from(file)))
}
