//! Listening sockets that the parent passes to this program, or that this program passes to its
//! next binary.
//!
//! ```text
//! systemd ── LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES ──▶ Inherited::take
//! the old binary ── WINDLASS_HANDOVER ──▶ the new one ── "ready", over a channel ──▶ the old one
//! ```
//!
//! `WINDLASS_HANDOVER` has the number of the channel in its first line, and in each further line the
//! number of a socket, `own` or `given`, and the address as it was configured.

use std::fmt::Write as _;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use windlass_core::stream::Write;

use super::clock;
use super::listener::Listener;
use super::pass::Channel;
use super::pidfd::PidFd;
use super::poll::{Woken, wait};
use super::program::Program;
use super::ready::Interest;
use super::successor::Successor;
use crate::addr::Address;
use crate::error::{Error, Result};

/// How long the old binary may take to leave, in microseconds.
const LEAVES_US: u64 = 2_000_000;

const HANDOVER: &str = "WINDLASS_HANDOVER";

/// Variables for one process only; a program that it starts must not inherit them.
const OF_ONE_PROCESS: [&str; 5] =
    [HANDOVER, "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_PID"];

/// The descriptors that were passed to this process.
#[derive(Debug, Default)]
pub struct Inherited {
    passed: Vec<Passed>,
    /// The numbers of all of them, claimed or not, and that of the channel.
    numbers: Vec<RawFd>,
    /// The channel on which the old binary waits for the message that this one serves.
    old: Option<Channel>,
    /// The process of the old binary.
    process: Option<PidFd>,
}

/// A socket that was passed to this process.
#[derive(Debug)]
struct Passed {
    number: RawFd,
    by: By,
    what: What,
}

/// The kind of the descriptor.
#[derive(Debug)]
enum What {
    Listener(Listener),
    /// Nothing that this program can serve on: service managers pass files, FIFOs and other sockets too.
    Other {
        fd: OwnedFd,
        error: Error,
    },
}

/// The process that passed it.
#[derive(Debug)]
enum By {
    /// A service manager, which gave it this name.
    Manager { name: String },
    /// The old binary, which was told to listen there.
    OldBinary { configured: Address },
}

impl Inherited {
    /// Takes what the environment says was passed, and removes that from the environment. Call it
    /// before anything is opened, and before the first thread is started.
    ///
    /// # Errors
    /// The environment is not what it should be, or a socket of the old binary does not listen.
    pub fn take() -> Result<Self> {
        let mut inherited = Self::default();
        if let Ok(text) = std::env::var(HANDOVER) {
            inherited.take_handover(&text).ok_or_else(|| {
                Error::new("take over", "listeners", format!("{HANDOVER} is not understood"))
            })??;
        }
        // SAFETY: there is one thread, so no other thread reads the environment meanwhile.
        let passed = unsafe { sd_notify::listen_fds_with_names_and_unset_env() };
        let passed = passed.map_err(Error::of("inherit", "the sockets of LISTEN_FDS"))?;
        for (number, name) in passed {
            let what = match Listener::bind(&Address::Fd(number), 1) {
                Ok(listener) => What::Listener(listener),
                Err(error) => {
                    // SAFETY: it is open, since it was marked to be closed on exec; it was passed to this
                    // process, and what was refused is still the caller's.
                    let fd = unsafe { OwnedFd::from_raw_fd(number) };
                    What::Other { fd, error }
                }
            };
            inherited.numbers.push(number);
            inherited.passed.push(Passed { number, by: By::Manager { name }, what });
        }
        // SAFETY: as above.
        unsafe { std::env::remove_var(HANDOVER) };
        Ok(inherited)
    }

    /// `None` if the text is not what [`Program::start`] writes.
    fn take_handover(&mut self, text: &str) -> Option<Result<()>> {
        let mut lines = text.lines();
        let channel: RawFd = lines.next()?.parse().ok().filter(|&raw| raw > 2)?;
        self.numbers.push(channel);
        // SAFETY: it is only borrowed here, and only if it is open; it is owned further down.
        let open = unsafe { BorrowedFd::borrow_raw(channel) };
        fcntl(open, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).ok()?;
        // SAFETY: it is open, and the old binary left it so for us.
        let channel = unsafe { OwnedFd::from_raw_fd(channel) };
        let channel = Channel::of(channel).ok()?;
        self.process = channel.maker().and_then(PidFd::open).ok();
        self.old = Some(channel);
        for line in lines {
            let (number, rest) = line.split_once(' ')?;
            let (owner, configured) = rest.split_once(' ')?;
            let (number, configured) = (number.parse().ok()?, configured.parse::<Address>().ok()?);
            // A number that is given twice would be closed twice.
            if self.numbers.contains(&number) {
                return None;
            }
            self.numbers.push(number);
            match Listener::take_over(number, &configured, owner == "own") {
                Ok(listener) => {
                    let by = By::OldBinary { configured };
                    let what = What::Listener(listener);
                    self.passed.push(Passed { number, by, what });
                }
                Err(error) => return Some(Err(error)),
            }
        }
        Some(Ok(()))
    }

    /// The socket for the listener with the address `address` and the name `name`: the one with that
    /// name, else the one with that number or address.
    ///
    /// # Errors
    /// The descriptor with that name or number is not a listening socket.
    pub fn claim(&mut self, address: &Address, name: Option<&str>) -> Result<Option<Listener>> {
        let named = |passed: &Passed| match &passed.by {
            By::Manager { name: given } => name == Some(given),
            By::OldBinary { .. } => false,
        };
        let numbered =
            |passed: &Passed| matches!(address, Address::Fd(number) if *number == passed.number);
        let meant = |passed: &Passed| match (&passed.by, &passed.what) {
            (By::Manager { .. }, What::Listener(listener)) => {
                numbered(passed) || address.is_same(listener.address())
            }
            (By::OldBinary { configured }, _) => configured == address,
            (By::Manager { .. }, What::Other { .. }) => false,
        };
        let listens = |passed: &Passed| matches!(passed.what, What::Listener(_));
        let fits = |passed: &Passed| match &passed.what {
            What::Listener(listener) => {
                address.transport().is_none_or(|transport| transport == listener.transport())
            }
            What::Other { .. } => false,
        };
        let find = |is_it: &dyn Fn(&Passed) -> bool| self.passed.iter().position(is_it);
        // Several may have one name, and not all of them listen.
        let at = find(&|passed| named(passed) && meant(passed));
        let at = at.or_else(|| find(&|passed| named(passed) && fits(passed)));
        let at = at.or_else(|| find(&|passed| named(passed) && listens(passed)));
        let at = at.or_else(|| find(&meant));
        let at = at.or_else(|| find(&named)).or_else(|| find(&numbered));
        match at.map(|at| self.passed.remove(at).what) {
            None => Ok(None),
            Some(What::Listener(listener)) => Ok(Some(listener)),
            Some(What::Other { error, .. }) => Err(error),
        }
    }

    /// Whether descriptor `number`, that was not [`claim`](Self::claim)ed, may be listened on: the
    /// process that started us can leave one open without a word.
    ///
    /// # Errors
    /// It was passed for another listener; or an old binary passes its listeners, and
    /// other open descriptors belong to that binary.
    pub fn check_number(&self, number: RawFd) -> Result<()> {
        let why = if self.is_upgrade() {
            "a descriptor is inherited at the start, and not by the next binary"
        } else if self.numbers.contains(&number) {
            "it was passed, and another listener has it"
        } else {
            return Ok(());
        };
        Err(Error::new("inherit", Address::Fd(number), why))
    }

    /// Whether an old binary waits for this one.
    pub fn is_upgrade(&self) -> bool {
        self.old.is_some()
    }

    /// The descriptors that no listener claimed, each in a sentence.
    pub fn unclaimed(&self) -> impl Iterator<Item = String> {
        self.passed.iter().map(|passed| match &passed.what {
            What::Listener(listener) => {
                let address = listener.address();
                format!("{address} was passed, and nothing is configured to be served there")
            }
            What::Other { fd, error } => {
                format!("fd:{} was passed and is not used: {error}", fd.as_raw_fd())
            }
        })
    }

    /// This process serves: tells the old binary, and closes what was not claimed, with its file. Returns the process
    /// of the old binary, which has clients still.
    pub fn ready(&mut self) -> Option<PidFd> {
        for passed in self.passed.drain(..) {
            if let What::Listener(mut listener) = passed.what {
                listener.adopt();
            }
        }
        if let Some(old) = self.old.take() {
            // If it is gone there is no process to tell. It closes the channel when it has told the service manager
            // which process is the main one: before that, the manager does not listen to this one.
            let _ = say_ready(&old);
            let end = Some(clock::now().after(LEAVES_US));
            while wait(old.as_fd(), Interest::READ, None, end) == Woken::Interrupted {}
        }
        self.process.take()
    }
}

impl Program {
    /// Starts the program again, with `listeners` and their configured addresses. It reports on
    /// `channel` when it serves.
    ///
    /// # Errors
    /// The program cannot be executed.
    pub fn start<'a>(
        &self,
        listeners: impl Iterator<Item = (&'a Listener, &'a Address)>,
        channel: BorrowedFd<'_>,
    ) -> Result<Successor> {
        let mut text = channel.as_raw_fd().to_string();
        let mut keep = vec![channel.as_raw_fd()];
        for (listener, configured) in listeners {
            let number = listener.as_fd().as_raw_fd();
            let owner = if listener.is_own() { "own" } else { "given" };
            // Writing to a string does not fail.
            let _ = write!(text, "\n{number} {owner} {configured}");
            keep.push(number);
        }
        self.execute(&OF_ONE_PROCESS, (HANDOVER, &text), keep)
    }
}

/// Whether the process at the other end of `channel` has reported that it serves.
pub fn has_said_ready(channel: &Channel) -> Option<bool> {
    use super::pass::Received;
    match channel.recv(&mut [0; 8]) {
        Ok(Received::Message { .. } | Received::Lost { .. }) => Some(true),
        Ok(Received::WouldBlock) => None,
        Ok(Received::Eof) | Err(_) => Some(false),
    }
}

/// Reports on `channel` that this process serves.
pub fn say_ready(channel: &Channel) -> bool {
    matches!(channel.send(b"ready", None), Ok(Write::Moved(_)))
}
