//! FIFOs: made, and opened at either end.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use super::stream::Stream;
use crate::error::{Error, Result};

/// Makes a FIFO that its owner can write and everybody can read (0644, seeds N1 4.3). True when it
/// was not there before.
///
/// # Errors
/// It cannot be made, or the path is something else.
pub fn make(path: &Path) -> Result<bool> {
    match mkfifo(path, Mode::from_bits_truncate(0o644)) {
        Ok(()) => Ok(true),
        Err(nix::errno::Errno::EEXIST) => Ok(false),
        Err(errno) => Err(Error::new("make the FIFO", path.display(), errno)),
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

/// Opens the end that writes. Waits until somebody reads, as fifo(7) has it: without a reader there
/// is nobody to write to.
///
/// # Errors
/// It cannot be opened, or it is no FIFO.
pub fn open_writer(path: &Path) -> Result<Stream> {
    checked(path, File::options().write(true).open(path))
}

fn checked(path: &Path, opened: io::Result<File>) -> Result<Stream> {
    let file = opened.and_then(|file| {
        let is_fifo = file.metadata()?.file_type().is_fifo();
        // Opened just now, so nobody shares the flag.
        let flags = OFlag::from_bits_retain(fcntl(&file, FcntlArg::F_GETFL)?);
        fcntl(&file, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
        if is_fifo { Ok(file) } else { Err(io::Error::other("it is no FIFO")) }
    });
    let file = file.map_err(Error::of("open the FIFO", path.display()))?;
    Ok(Stream::new(OwnedFd::from(file)))
}
