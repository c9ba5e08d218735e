//! A pipe for lines of many processes to one file.
//!
//! ```text
//!   workers, children, threads ──write(2), whole lines, at most PIPE_BUF──▶ pipe ──▶ one process ──▶ file
//! ```
//!
//! What serves clients never waits for a disk: if the pipe is full, lines are dropped and counted. It needs no
//! right but that to write to an open pipe, so a confined process can, and the process that reads can open the
//! file anew. A NUL among the lines asks it to: what was written before is in the old file.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::{pipe2, write};

use super::shared::Shared;
use crate::error::{Error, Result};

/// Bytes that are written as one.
pub const WHOLE: usize = libc::PIPE_BUF;

/// Asks for another file.
pub const REOPEN: u8 = 0;

/// Room for lines while the reader is busy, in bytes.
const ROOM: i32 = 1 << 20;

/// The end of the writers.
#[derive(Debug)]
pub struct Spool {
    to: OwnedFd,
    dropped: Arc<Shared<AtomicU64>>,
}

/// The end of the reader.
#[derive(Debug)]
pub struct SpoolReader {
    from: File,
    dropped: Arc<Shared<AtomicU64>>,
}

/// A pipe.
///
/// # Errors
/// `EMFILE`, `ENFILE`, `ENOMEM`.
pub fn spool() -> Result<(Spool, SpoolReader)> {
    let (from, to) = pipe2(OFlag::O_CLOEXEC).map_err(Error::of("open", "a pipe"))?;
    // The two ends have flags of their own; with less room more lines are dropped under load.
    let _ = fcntl(&to, FcntlArg::F_SETPIPE_SZ(ROOM));
    fcntl(&to, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map_err(Error::of("open", "a pipe"))?;
    let dropped = Arc::new(Shared::new(1)?);
    let reader = SpoolReader { from: from.into(), dropped: Arc::clone(&dropped) };
    Ok((Spool { to, dropped }, reader))
}

impl Spool {
    /// Writes whole lines, at most [`WHOLE`] bytes of them: all or none.
    pub fn put(&self, lines: &[u8]) {
        debug_assert!(lines.len() <= WHOLE, "the kernel may cut them");
        let mut written = write(&self.to, lines);
        while written == Err(Errno::EINTR) {
            written = write(&self.to, lines);
        }
        if written.is_err() {
            self.dropped[0].fetch_add(lines_in(lines), Ordering::Relaxed);
        }
    }

    /// The lines after this are for the file that has the name then.
    pub fn reopen(&self) {
        let _ = write(&self.to, &[REOPEN]);
    }
}

impl AsFd for Spool {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.to.as_fd()
    }
}

impl SpoolReader {
    /// Waits for lines; 0: no writer is left.
    pub fn read(&mut self, to: &mut [u8]) -> usize {
        loop {
            match self.from.read(to) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                read => return read.unwrap_or(0),
            }
        }
    }

    /// Lines that were dropped since the last call.
    pub fn dropped(&self) -> u64 {
        self.dropped[0].swap(0, Ordering::Relaxed)
    }
}

impl AsFd for SpoolReader {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.from.as_fd()
    }
}

/// How many lines end in these bytes.
pub fn lines_in(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_whole_or_dropped_and_the_end_is_that_of_the_last_writer() {
        let (spool, mut reader) = spool().unwrap();
        let line = [&[b'x'; WHOLE - 1][..], b"\n"].concat();
        let fit = ROOM as usize / WHOLE;
        for _ in 0..fit + 3 {
            spool.put(&line);
        }
        let dropped = reader.dropped();
        assert!(dropped >= 3, "{dropped}");
        let (mut all, mut buf) = (Vec::new(), vec![0; 1 << 16]);
        drop(spool);
        loop {
            match reader.read(&mut buf) {
                0 => break,
                n => all.extend_from_slice(&buf[..n]),
            }
        }
        assert_eq!(lines_in(&all) + dropped, fit as u64 + 3);
        assert!(all.chunks(WHOLE).all(|chunk| chunk == line));
        assert_eq!(reader.dropped(), 0);
    }
}
