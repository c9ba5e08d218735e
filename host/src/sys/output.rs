//! Bytes to a descriptor that others hold too, standard output say, until all of them are written.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::unistd::write;

use super::poll::wait;
use super::ready::Interest;

/// Bytes that the kernel writes to a pipe as one.
pub const WHOLE: usize = libc::PIPE_BUF;

/// Writes all of `bytes`, and waits where there is no room: also when another holder of the open file
/// description has made it nonblocking, as a program does that ran in the same terminal.
///
/// # Errors
/// The error of `write(2)`: `EPIPE`, `ENOSPC`.
pub fn write_all(fd: BorrowedFd<'_>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match write(fd, bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => {
                wait(fd, Interest::WRITE, None, None);
            }
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

/// A writer that is not buffered and that does so.
#[derive(Debug)]
pub struct Output<F>(pub F);

impl<F: AsFd> io::Write for Output<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        write_all(self.0.as_fd(), bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use nix::fcntl::{FcntlArg, OFlag, fcntl};

    use super::*;

    #[test]
    fn all_is_written_to_a_pipe_that_another_holder_made_nonblocking() {
        let (mut reader, writer) = io::pipe().unwrap();
        let holder = writer.try_clone().unwrap();
        fcntl(&holder, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
        // More than a pipe has room for.
        let bytes: Vec<u8> = (0..1_000_000_u32).map(|n| n as u8).collect();
        let read = std::thread::spawn(move || {
            let mut all = Vec::new();
            reader.read_to_end(&mut all).unwrap();
            all
        });
        Output(writer).write_all(&bytes).unwrap();
        drop(holder);
        assert!(read.join().unwrap() == bytes);
    }

    #[test]
    fn a_pipe_that_is_not_read_is_an_error() {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let error = write_all(writer.as_fd(), b"x").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }
}
