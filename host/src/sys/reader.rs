//! A file that is read by a process of its own, because the read may never return: a FIFO without a
//! writer, a mount without its server, a device without end.
//!
//! ```text
//! child:   open, read, look at it; write it to a pipe; exit 0, or with the number of an error
//! parent:  a deadline, and a pipe that it can watch beside everything else
//! ```
//!
//! Only a process can be abandoned: a thread in such a system call stays there, and this process
//! could not end.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::pipe2;

use super::pidfd::Exit;
use super::process::{self, Child, SingleThreaded};
use super::{clock, poll};
use crate::error::{Error, Result};
use crate::printable::printable;

/// How long a file may take, in microseconds.
pub const TIMEOUT_US: u64 = 5_000_000;

/// The largest file that is read.
const LARGEST: u64 = 64 << 20;

/// The error when the child has not ended by then.
pub const LATE: &str = "it took longer than 5 s";

/// A file that is being read.
#[derive(Debug)]
pub struct Reading {
    child: Child,
    pipe: File,
    text: Vec<u8>,
    path: String,
}

impl Reading {
    /// Starts the child. In the child `look` gets the content of the file, so that files that it
    /// names on the same mount are touched by the child first.
    ///
    /// # Errors
    /// No descriptor is left, or no process.
    pub fn start(path: &Path, alone: &SingleThreaded, look: impl FnOnce(&[u8])) -> Result<Self> {
        let fail = || Error::of("read", printable(path));
        let (ours, theirs) = pipe2(OFlag::O_CLOEXEC).map_err(fail())?;
        fcntl(&ours, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map_err(fail())?;
        let life = || {
            process::leave_terminal_group();
            process::close_others(&[theirs.as_fd()]);
            read(path, theirs.into(), look)
        };
        let child = process::spawn(alone, life).map_err(fail())?;
        let path = printable(path).to_string();
        Ok(Self { child, pipe: ours.into(), text: Vec::new(), path })
    }

    /// The process that reads.
    pub fn child(&self) -> Child {
        self.child
    }

    /// The content of the file once it is complete; call it when the pipe is readable.
    pub fn take(&mut self) -> Option<Result<Vec<u8>>> {
        match self.pipe.read_to_end(&mut self.text) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
            Err(error) => return Some(Err(Error::new("read", &self.path, error))),
        }
        // The pipe ends with the process.
        let fail = |cause: String| Err(Error::new("read", &self.path, cause));
        Some(match self.child.reap() {
            Exit::Code(0) => Ok(std::mem::take(&mut self.text)),
            Exit::Code(number) => {
                Err(Error::new("read", &self.path, io::Error::from_raw_os_error(number)))
            }
            exit @ (Exit::Killed(_) | Exit::KilledByRealTime(_) | Exit::Unknown) => {
                fail(format!("the process that reads it {exit}"))
            }
        })
    }

    /// Waits for the content.
    ///
    /// # Errors
    /// The file cannot be read, or takes too long.
    pub fn wait(mut self) -> Result<Vec<u8>> {
        let until = clock::now().after(TIMEOUT_US);
        loop {
            if let Some(read) = self.take() {
                return read;
            }
            let left = until.since(clock::now());
            if left == 0 {
                self.child.kill();
                return Err(Error::new("read", &self.path, LATE));
            }
            poll::wait_for_input([Some(self.pipe.as_fd()), None, None], Some(left));
        }
    }
}

impl AsFd for Reading {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

/// In the child: its exit status.
fn read(path: &Path, mut pipe: File, look: impl FnOnce(&[u8])) -> i32 {
    let mut text = Vec::new();
    let read = File::open(path).and_then(|file| {
        file.take(LARGEST + 1).read_to_end(&mut text)?;
        if text.len() as u64 > LARGEST { Err(Errno::EFBIG.into()) } else { Ok(()) }
    });
    if let Err(error) = read {
        return error.raw_os_error().unwrap_or(Errno::EIO as i32);
    }
    look(&text);
    // If the parent reads no more, nothing is lost.
    let _ = pipe.write_all(&text);
    0
}
