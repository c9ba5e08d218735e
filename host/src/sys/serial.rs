//! Serial ports: opened, and set to pass every byte as it is.

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;

use super::stream::Stream;
use crate::error::{Error, Result};
use crate::printable::printable;

/// Opens the serial port at `path`: 8 data bits, no parity, no flow control, `baud` bits per second, and no
/// byte has a meaning to the kernel. What arrived before is dropped, and no other process can open it meanwhile.
///
/// # Errors
/// It cannot be opened, is no terminal, or cannot have that rate.
pub fn open(path: &Path, baud: u32) -> Result<Stream> {
    let flags = (OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits();
    let file = File::options().read(true).write(true).custom_flags(flags).open(path);
    let file = file.map_err(Error::of("open the serial port", printable(path)))?;
    set(&file, baud).map_err(|errno| {
        let (op, path) = ("set the serial port", printable(path));
        match errno {
            // The C library calls it "Not a typewriter".
            Errno::ENOTTY => Error::new(op, path, "it is no serial port"),
            errno => Error::new(op, path, errno),
        }
    })?;
    Ok(Stream::new(OwnedFd::from(file)))
}

fn set(port: &File, baud: u32) -> std::result::Result<(), Errno> {
    let fd = port.as_raw_fd();
    // SAFETY: integers of zero are one.
    let mut modes: libc::termios2 = unsafe { std::mem::zeroed() };
    // SAFETY: TCGETS2 fills one `termios2`, which outlives the call.
    Errno::result(unsafe { libc::ioctl(fd, libc::TCGETS2, &raw mut modes) })?;
    // As cfmakeraw(3) does.
    modes.c_iflag &= !(libc::IGNBRK
        | libc::BRKINT
        | libc::PARMRK
        | libc::ISTRIP
        | libc::INLCR
        | libc::IGNCR
        | libc::ICRNL
        | libc::IXON);
    modes.c_oflag &= !libc::OPOST;
    modes.c_lflag &= !(libc::ECHO | libc::ECHONL | libc::ICANON | libc::ISIG | libc::IEXTEN);
    modes.c_cflag &=
        !(libc::CSIZE | libc::PARENB | libc::CSTOPB | libc::CRTSCTS | libc::CBAUD | libc::CIBAUD);
    // `BOTHER`: the rate is a number and not one of a list.
    modes.c_cflag |= libc::CS8 | libc::CLOCAL | libc::CREAD | libc::BOTHER;
    (modes.c_ispeed, modes.c_ospeed) = (baud, baud);
    (modes.c_cc[libc::VMIN], modes.c_cc[libc::VTIME]) = (1, 0);
    // SAFETY: TCSETS2 reads one `termios2`, which outlives the call.
    Errno::result(unsafe { libc::ioctl(fd, libc::TCSETS2, &raw const modes) })?;
    // SAFETY: it takes no argument.
    Errno::result(unsafe { libc::ioctl(fd, libc::TIOCEXCL) })?;
    // SAFETY: its argument is a number.
    Errno::result(unsafe { libc::ioctl(fd, libc::TCFLSH, libc::TCIOFLUSH) })?;
    Ok(())
}
