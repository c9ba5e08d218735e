//! Lines of many processes to one file.
//!
//! ```text
//!   workers, children, threads ── whole lines ──▶ rings in shared memory ──▶ one process ──▶ file
//!                              └── a byte that wakes it, or asks for another file ──▶ pipe ──┘
//! ```
//!
//! What serves clients never waits for a disk: if the rings are full, lines are dropped and counted. It needs no
//! right but that to write to an open pipe, so a confined process can, and the process that reads can open the
//! file anew. The pipe also tells the reader that no writer is left.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::unistd::{pipe2, write};

use super::poll::wait_for_input;
pub use super::rings::lines_in;
use super::rings::{Put, Rings};
use crate::error::{Error, Result};

/// The end of the writers.
#[derive(Debug)]
pub struct Spool {
    to: OwnedFd,
    rings: Arc<Rings>,
}

/// The end of the reader.
#[derive(Debug)]
pub struct SpoolReader {
    from: File,
    rings: Arc<Rings>,
    /// Lines on their way to the file.
    lines: Vec<u8>,
}

/// What the reader is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// To go on.
    Nothing,
    /// To open the file again.
    Reopen,
    /// To end: no writer is left.
    End,
}

/// Bytes of the pipe.
const WAKE: u8 = b'w';
const REOPEN: u8 = b'r';

/// Bytes that are handed on together at most.
const TOGETHER: usize = 1 << 16;

/// How long lines gather while there are many, in microseconds: so their writers wake the reader seldom.
const GATHER_US: u64 = 20_000;

/// A pipe, and rings.
///
/// # Errors
/// `EMFILE`, `ENFILE`, `ENOMEM`.
pub fn spool() -> Result<(Spool, SpoolReader)> {
    let flags = OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
    let (from, to) = pipe2(flags).map_err(Error::of("open", "a pipe"))?;
    let rings = Arc::new(Rings::new()?);
    let reader = SpoolReader { from: from.into(), rings: Arc::clone(&rings), lines: Vec::new() };
    Ok((Spool { to, rings }, reader))
}

impl Spool {
    /// Keeps whole lines for the reader: all or none.
    pub fn put(&self, lines: &[u8]) {
        if self.rings.put(lines) == Put::Wake {
            self.say(WAKE);
        }
    }

    /// The lines after this are for the file that has the name then.
    pub fn reopen(&self) {
        self.say(REOPEN);
    }

    /// If the pipe is full, the reader has enough to wake up for.
    fn say(&self, what: u8) {
        while write(&self.to, &[what]) == Err(Errno::EINTR) {}
    }
}

impl AsFd for Spool {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.to.as_fd()
    }
}

impl SpoolReader {
    /// The same for another process, after this one has ended.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`.
    pub fn share(&self) -> Result<Self> {
        let from = self.from.try_clone().map_err(Error::of("copy", "a pipe"))?;
        Ok(Self { from, rings: Arc::clone(&self.rings), lines: Vec::new() })
    }

    /// Hands whole lines to `write`, and waits for more if there are none. A file that is asked for is for the
    /// lines of the next call.
    pub fn next(&mut self, mut write: impl FnMut(&[u8])) -> Asked {
        self.lines.reserve(TOGETHER);
        let mut drain = |lines: &mut Vec<u8>| self.rings.drain(lines, &mut write);
        if drain(&mut self.lines) {
            wait_for_input([Some(self.from.as_fd()), None, None], Some(GATHER_US));
        } else {
            self.rings.sleep(true);
            if !drain(&mut self.lines) {
                wait_for_input([Some(self.from.as_fd()), None, None], None);
            }
            self.rings.sleep(false);
        }
        let mut said = [0; 512];
        let asked = match self.from.read(&mut said) {
            Ok(0) => Asked::End,
            Ok(count) if said[..count].contains(&REOPEN) => Asked::Reopen,
            Ok(_) | Err(_) => Asked::Nothing,
        };
        if asked != Asked::Nothing {
            // Those that were there before that was asked.
            self.rings.drain(&mut self.lines, write);
        }
        asked
    }

    /// Lines that were dropped since the last call.
    pub fn dropped(&self) -> u64 {
        self.rings.dropped()
    }
}

impl AsFd for SpoolReader {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.from.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_until_the_last_writer_is_gone() {
        let (spool, mut reader) = spool().unwrap();
        spool.put(b"a\n");
        spool.put(b"b\nc\n");
        let mut all = Vec::new();
        assert_eq!(reader.next(|lines| all.extend_from_slice(lines)), Asked::Nothing);
        assert_eq!(all, b"a\nb\nc\n");
        spool.put(b"d\n");
        spool.reopen();
        assert_eq!(reader.next(|lines| all.extend_from_slice(lines)), Asked::Reopen);
        assert_eq!(all, b"a\nb\nc\nd\n");
        // The next reader has what this one has not taken.
        let mut next = reader.share().unwrap();
        drop(reader);
        spool.put(b"e\n");
        drop(spool);
        while next.next(|lines| all.extend_from_slice(lines)) != Asked::End {}
        assert_eq!((&all[7..], next.dropped()), (&b"\ne\n"[..], 0));
    }

    #[test]
    fn a_reader_that_waits_is_woken() {
        let (spool, mut reader) = spool().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for nth in 0..1000 {
                    spool.put(format!("{nth}\n").as_bytes());
                    if nth % 100 == 0 {
                        std::thread::yield_now();
                    }
                }
            });
            let mut all = Vec::new();
            while reader.next(|lines| all.extend_from_slice(lines)) != Asked::End {}
            let text = String::from_utf8(all).unwrap();
            assert!(text.lines().eq((0..1000).map(|nth| nth.to_string())));
        });
    }
}
