//! Signals as input: blocked, and read from a descriptor (`signalfd(2)`).

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::signal::{self, SigHandler, SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// The signals a server minds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Came {
    /// SIGTERM or SIGINT.
    Stop,
    /// SIGQUIT: end when the connections have.
    Retire,
    /// SIGCHLD: one child or more have ended.
    Child,
}

/// SIGTERM, SIGINT, SIGQUIT and SIGCHLD, blocked in this thread and every thread it starts from now on, and
/// delivered through a descriptor. Nothing is interrupted, no handler runs, `errno` is safe.
#[derive(Debug)]
pub struct Signals(SignalFd);

impl Signals {
    /// Blocks them and opens the descriptor. Call it before the first thread is started.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`.
    pub fn block() -> Result<Self, Errno> {
        // An ignored signal is discarded even while it is blocked, and ignored children are not
        // waited for; both dispositions survive exec(2). An ignored SIGINT stays: a shell without
        // job control ignores it for what runs in the background.
        for signal in [Signal::SIGTERM, Signal::SIGCHLD] {
            // SAFETY: the default disposition runs no code of ours.
            unsafe { signal::signal(signal, SigHandler::SigDfl)? };
        }
        let set = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGCHLD];
        let set: SigSet = set.into_iter().collect();
        set.thread_block()?;
        open(&set).map(Self)
    }

    /// The next signal that came, if any.
    pub fn next(&self) -> Option<Came> {
        loop {
            return match self.0.read_signal() {
                // Of the four, the others ask us to stop.
                Ok(Some(info)) if info.ssi_signo == Signal::SIGCHLD as u32 => Some(Came::Child),
                Ok(Some(info)) if info.ssi_signo == Signal::SIGQUIT as u32 => Some(Came::Retire),
                Ok(Some(_)) => Some(Came::Stop),
                Err(Errno::EINTR) => continue,
                Ok(None) | Err(_) => None,
            };
        }
    }
}

/// Blocks a signal that a [`SignalQueue`] will have: until then one that comes waits, where it would end the
/// process.
///
/// # Errors
/// None that this system has.
pub fn hold(signal: Signal) -> Result<(), Errno> {
    SigSet::from(signal).thread_block()
}

/// A signal that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caught {
    /// Which.
    pub signal: Signal,
    /// The process that sent it; 0 for the kernel.
    pub sender: u32,
}

/// Signals of the caller's choosing, as [`Signals`]: each is blocked in this thread while it is in
/// the set, and read from one descriptor. Standard signals coalesce: of a burst, one may be left.
#[derive(Debug)]
pub struct SignalQueue {
    fd: SignalFd,
    set: SigSet,
}

thread_local! {
    /// How many queues of this thread have each signal. Those that were blocked before the first of
    /// them came stay blocked after the last.
    static HELD: RefCell<BTreeMap<i32, Held>> = const { RefCell::new(BTreeMap::new()) };
}

struct Held {
    queues: usize,
    was_blocked: bool,
}

impl SignalQueue {
    /// A queue for no signal yet.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`.
    pub fn new() -> Result<Self, Errno> {
        let set = SigSet::empty();
        Ok(Self { fd: open(&set)?, set })
    }

    /// Queues `signal` from now on. An ignored one is given its default disposition first, since it
    /// would be thrown away even while it is blocked.
    ///
    /// # Errors
    /// `EINVAL` for SIGKILL and SIGSTOP, which nobody can catch.
    pub fn add(&mut self, signal: Signal) -> Result<(), Errno> {
        if matches!(signal, Signal::SIGKILL | Signal::SIGSTOP) {
            return Err(Errno::EINVAL);
        }
        // SAFETY: the default disposition runs no code of ours.
        unsafe { signal::signal(signal, SigHandler::SigDfl)? };
        if self.set.contains(signal) {
            return Ok(());
        }
        let was_blocked = SigSet::thread_get_mask()?.contains(signal);
        SigSet::from(signal).thread_block()?;
        HELD.with_borrow_mut(|held| {
            held.entry(signal as i32).or_insert(Held { queues: 0, was_blocked }).queues += 1;
        });
        self.set.add(signal);
        self.fd.set_mask(&self.set)
    }

    /// Queues it no more. If no other queue of this thread has it, one that is waiting is dropped, and
    /// the next does its default.
    pub fn remove(&mut self, signal: Signal) {
        if self.set.contains(signal) {
            self.set.remove(signal);
            let _ = self.fd.set_mask(&self.set);
            release(signal);
        }
    }

    /// The next signal that came, if any.
    pub fn take(&mut self) -> Option<Caught> {
        loop {
            return match self.fd.read_signal() {
                Ok(Some(info)) => {
                    // Only signals of the set come, and they have names.
                    let signal = Signal::try_from(info.ssi_signo.cast_signed()).ok()?;
                    Some(Caught { signal, sender: info.ssi_pid })
                }
                Err(Errno::EINTR) => continue,
                Ok(None) | Err(_) => None,
            };
        }
    }

    /// In a forked child: a descriptor of its own. The kernel reports readiness of a signalfd in an
    /// epoll set to the process that put it there.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`.
    pub fn renew(&mut self) -> Result<(), Errno> {
        self.fd = open(&self.set)?;
        Ok(())
    }
}

impl Drop for SignalQueue {
    fn drop(&mut self) {
        for signal in Signal::iterator().filter(|&signal| self.set.contains(signal)) {
            release(signal);
        }
    }
}

impl AsFd for SignalQueue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn open(set: &SigSet) -> Result<SignalFd, Errno> {
    SignalFd::with_flags(set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
}

/// One queue less has this signal. After the last it is unblocked; one that is pending is thrown away
/// first: it was meant for whoever queued it, and would otherwise do its default, which ends most
/// processes. (To ignore the signal for a moment would discard it too, and with SIGCHLD the status of
/// every child that ends in that moment.)
fn release(signal: Signal) {
    // A thread that ends has no list any more, and nobody it could harm.
    let unblock = HELD.try_with(|held| {
        let mut held = held.borrow_mut();
        let Some(entry) = held.get_mut(&(signal as i32)) else { return false };
        entry.queues -= 1;
        let last = entry.queues == 0;
        let unblock = last && !entry.was_blocked;
        if last {
            held.remove(&(signal as i32));
        }
        unblock
    });
    if unblock != Ok(true) {
        return;
    }
    let set = SigSet::from(signal);
    let none = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the set and the timeout outlive the call; no siginfo is asked for.
    while unsafe { libc::sigtimedwait(set.as_ref(), std::ptr::null_mut(), &raw const none) } > 0 {}
    let _ = set.thread_unblock();
}

/// Whether `signal` is ignored, as a program inherits it: from `nohup`, or from a shell without job
/// control that runs it in the background. Who then catches it takes it from those who must not
/// have it.
pub fn is_ignored(signal: Signal) -> bool {
    let mut now = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: nothing is set, and what is asked for is written where there is room for it.
    let asked = unsafe { libc::sigaction(signal as i32, std::ptr::null(), now.as_mut_ptr()) };
    // SAFETY: it was written, since the call succeeded.
    asked == 0 && unsafe { now.assume_init() }.sa_sigaction == libc::SIG_IGN
}

/// Ends this process as `signal` ends one that does not catch it: so a shell sees that, and ends its
/// loop too. Call it when nobody queues the signal any more.
///
/// It comes back only where the kernel spares the process, as the first one of a container. Then
/// that is the exit code, by convention.
pub fn die_of(signal: Signal) -> u8 {
    // SAFETY: the default disposition runs no code of ours.
    let _ = unsafe { signal::signal(signal, SigHandler::SigDfl) };
    let _ = SigSet::from(signal).thread_unblock();
    let _ = signal::raise(signal);
    // Signals are numbered to 64.
    128 + signal as u8
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
    use nix::sys::signal::raise;

    use super::*;

    /// In a thread that ends: blocked signals are a property of the thread, and those that it sends
    /// to itself go with it.
    fn in_a_thread_of_its_own(test: impl FnOnce(Signals) + Send) {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| test(Signals::block().unwrap()));
            assert!(thread.join().is_ok());
        });
    }

    #[test]
    fn signals_are_read_in_place_of_what_they_would_do() {
        in_a_thread_of_its_own(|signals| {
            assert_eq!(signals.next(), None);
            for (signal, came) in [
                (Signal::SIGTERM, Came::Stop),
                (Signal::SIGINT, Came::Stop),
                (Signal::SIGQUIT, Came::Retire),
                (Signal::SIGCHLD, Came::Child),
            ] {
                raise(signal).unwrap();
                assert_eq!(signals.next(), Some(came), "{signal}");
                assert_eq!(signals.next(), None, "{signal}");
            }
        });
    }

    #[test]
    fn what_is_ignored_is_told_from_what_is_not() {
        // One that no other test of this process minds.
        let ignored = Signal::SIGWINCH;
        assert!(!is_ignored(ignored));
        // SAFETY: neither disposition runs code of ours.
        unsafe { signal::signal(ignored, SigHandler::SigIgn) }.unwrap();
        assert!(is_ignored(ignored));
        // SAFETY: as above.
        unsafe { signal::signal(ignored, SigHandler::SigDfl) }.unwrap();
        assert!(!is_ignored(ignored));
    }

    #[test]
    fn the_descriptor_is_closed_on_exec_and_never_blocks() {
        in_a_thread_of_its_own(|signals| {
            let of = |what| fcntl(&signals, what).unwrap();
            let kept = FdFlag::from_bits_truncate(of(FcntlArg::F_GETFD));
            assert!(kept.contains(FdFlag::FD_CLOEXEC));
            let status = OFlag::from_bits_truncate(of(FcntlArg::F_GETFL));
            assert!(status.contains(OFlag::O_NONBLOCK));
        });
    }
}
