//! A program on a terminal: the test is the screen and the keyboard of a pseudo-terminal.
//!
//! `vt100` computes the screen from the output, cursor movements included.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::num::NonZero;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{Winsize, grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::sys::termios::{Termios, tcgetattr};
use nix::unistd::Pid;

use crate::{PATIENCE, within};

/// A program on a terminal of its own. It is ended when it is dropped.
pub struct Pty {
    child: Child,
    /// Our side, until it hangs up.
    keyboard: Option<File>,
    /// The thread that draws the screen, and the way to stop it.
    painter: Option<(JoinHandle<()>, UnixStream)>,
    /// The program's side, kept open so that its settings can be read.
    terminal: OwnedFd,
    before: Termios,
    screen: Arc<Mutex<vt100::Parser>>,
    /// All that came, as it came.
    written: Arc<Mutex<Vec<u8>>>,
}

impl Pty {
    /// Starts `program` on a terminal of so many lines and columns.
    #[track_caller]
    pub fn start(program: &str, args: &[&OsStr], lines: u16, columns: u16) -> Self {
        let (keyboard, terminal) = open().expect("a pseudo-terminal");
        resize(&keyboard, lines, columns);
        let before = tcgetattr(&terminal).expect("a terminal");
        crate::ignored::reset();
        let mut command = Command::new(program);
        command.args(args).env("TERM", "xterm-256color").env_remove("NO_COLOR");
        let theirs = || terminal.try_clone().expect("dup");
        command.stdin(theirs()).stdout(theirs()).stderr(theirs());
        let take_terminal = || -> io::Result<()> {
            // SAFETY: two system calls on descriptors of this process.
            let taken = unsafe { libc::setsid() != -1 && libc::ioctl(0, libc::TIOCSCTTY, 0) != -1 };
            if taken { Ok(()) } else { Err(io::Error::last_os_error()) }
        };
        // SAFETY: between fork and exec it makes two system calls and allocates nothing.
        unsafe { command.pre_exec(take_terminal) };
        let child = command.spawn().unwrap_or_else(|error| panic!("start {command:?}: {error}"));
        let screen = Arc::new(Mutex::new(vt100::Parser::new(cells(lines), cells(columns), 0)));
        let (mut from, to) = (keyboard.try_clone().expect("dup"), Arc::clone(&screen));
        let written = Arc::<Mutex<Vec<u8>>>::default();
        let record = Arc::clone(&written);
        let (stop, stopped) = UnixStream::pair().expect("a socket pair");
        // It ends also with an error when both sides of the terminal are closed.
        let painter = thread::spawn(move || {
            let mut buf = [0; 4096];
            while has_input(&from, &stopped)
                && let Ok(count @ 1..) = from.read(&mut buf)
            {
                let mut record = record.lock().unwrap_or_else(PoisonError::into_inner);
                record.extend_from_slice(&buf[..count]);
                to.lock().unwrap_or_else(PoisonError::into_inner).process(&buf[..count]);
            }
        });
        let (keyboard, painter) = (Some(keyboard), Some((painter, stop)));
        Self { child, keyboard, painter, terminal, before, screen, written }
    }

    /// Closes our side: the terminal is gone.
    pub fn hang_up(&mut self) {
        self.keyboard = None;
        if let Some((painter, stop)) = self.painter.take() {
            drop(stop);
            painter.join().expect("it draws");
        }
    }

    fn ours(&self) -> &File {
        self.keyboard.as_ref().expect("it has not hung up")
    }

    /// Its process id.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a pid")
    }

    /// Presses keys.
    pub fn press(&mut self, keys: &[u8]) {
        self.ours().write_all(keys).expect("it reads keys");
    }

    /// What is on the screen: its lines.
    pub fn shown(&self) -> String {
        self.screen().screen().contents()
    }

    /// All that was written to the terminal, escape sequences included.
    pub fn written(&self) -> String {
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&written).into_owned()
    }

    /// Waits until the screen shows `text` somewhere.
    #[track_caller]
    pub fn until(&self, text: &str) {
        within(PATIENCE, &format!("{text:?} is shown"), || self.shown().contains(text));
    }

    /// Whether the program has the screen to itself, and will give back what was on it before.
    pub fn is_taken(&self) -> bool {
        self.screen().screen().alternate_screen()
    }

    fn screen(&self) -> MutexGuard<'_, vt100::Parser> {
        self.screen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the terminal another size.
    pub fn resize(&self, lines: u16, columns: u16) {
        self.screen().screen_mut().set_size(cells(lines), cells(columns));
        self.claim(lines, columns);
    }

    /// Says that the terminal is of another size, and leaves the screen as it is.
    pub fn claim(&self, lines: u16, columns: u16) {
        resize(self.ours(), lines, columns);
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).expect("it is ours and not reaped");
    }

    /// Waits for its end: the exit code, or the signal that ended it.
    #[track_caller]
    pub fn wait(&mut self) -> Result<i32, i32> {
        let mut status: Option<ExitStatus> = None;
        within(PATIENCE, "it ends", || {
            status = self.child.try_wait().expect("wait");
            status.is_some()
        });
        let status = status.expect("it has ended");
        status.code().ok_or_else(|| status.signal().unwrap_or(0))
    }

    /// Whether the terminal's settings are what they were before.
    pub fn is_set_as_before(&self) -> bool {
        tcgetattr(&self.terminal).expect("a terminal") == self.before
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("--- on the screen:\n{}\n---", self.shown());
        }
    }
}

/// Waits for output on `terminal`. False when the other end of `stopped` is closed.
fn has_input(terminal: &File, stopped: &UnixStream) -> bool {
    let both = [terminal.as_fd(), stopped.as_fd()];
    let mut both = both.map(|fd| PollFd::new(fd, PollFlags::POLLIN));
    while poll(&mut both, PollTimeout::NONE).is_err() {}
    both[1].any() == Some(false)
}

fn cells(count: u16) -> NonZero<u16> {
    NonZero::new(count).expect("a terminal has at least one cell")
}

/// Both sides of a pseudo-terminal, ours first. No program that starts meanwhile inherits them: a
/// program that has our side keeps the terminal there.
fn open() -> nix::Result<(File, OwnedFd)> {
    let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let ours = posix_openpt(flags)?;
    grantpt(&ours)?;
    unlockpt(&ours)?;
    let theirs = nix::fcntl::open(ptsname_r(&ours)?.as_str(), flags, Mode::empty())?;
    Ok((File::from(OwnedFd::from(ours)), theirs))
}

fn resize(terminal: &File, lines: u16, columns: u16) {
    let size = Winsize { ws_row: lines, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: it reads the size, which outlives the call.
    let done = unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) };
    assert_eq!(done, 0, "{}", io::Error::last_os_error());
}
