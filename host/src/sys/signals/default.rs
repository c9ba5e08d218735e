//! The default actions of signals, also for a signal that this program has caught.

use std::mem::MaybeUninit;

use nix::errno::Errno;
use nix::sys::signal::{self, SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::unistd::Pid;

/// The signals of other programs that end a process by default, and that it may catch.
pub const FATAL: [Signal; 7] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGALRM,
    Signal::SIGTERM,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
];

/// For the start of a program, before its first thread and its first [`SignalQueue`](super::SignalQueue):
///
/// * A file that reaches the limit of `RLIMIT_FSIZE` is an error (`EFBIG`), as a full disk is, and not a
///   death (SIGXFSZ). It is caught and not ignored, since a program that is started would inherit that.
/// * The first process of a container has no default actions: there the signals that end any other
///   process end this one too, by handlers.
///
/// Signals that are ignored or caught already stay so.
pub fn prepare_process() {
    set_unless_set(Signal::SIGXFSZ, do_nothing);
    if std::process::id() == 1 {
        for signal in FATAL {
            set_unless_set(signal, end);
        }
    }
}

extern "C" fn do_nothing(_: libc::c_int) {}

extern "C" fn end(number: libc::c_int) {
    // SAFETY: it may be called by a handler.
    unsafe { libc::_exit(128 + number) }
}

fn set_unless_set(signal: Signal, handler: extern "C" fn(libc::c_int)) {
    if disposition(signal) == Some(libc::SIG_DFL) {
        let action =
            SigAction::new(SigHandler::Handler(handler), SaFlags::SA_RESTART, SigSet::empty());
        // SAFETY: both handlers do only what signal-safety(7) allows.
        let _ = unsafe { sigaction(signal, &action) };
    }
}

fn disposition(signal: Signal) -> Option<libc::sighandler_t> {
    let mut now = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: nothing is set, and what is asked for is written where there is room for it.
    let asked = unsafe { libc::sigaction(signal as i32, std::ptr::null(), now.as_mut_ptr()) };
    // SAFETY: it was written, since the call succeeded.
    (asked == 0).then(|| unsafe { now.assume_init() }.sa_sigaction)
}

/// Whether `signal` is ignored, as a program inherits it: from `nohup`, or from a shell without job
/// control that runs it in the background. A program that catches it then takes it from those that must
/// not have it.
pub fn is_ignored(signal: Signal) -> bool {
    disposition(signal) == Some(libc::SIG_IGN)
}

/// Ends this process as `signal` ends one that does not catch it: so a shell sees that, and ends its
/// loop too. Call it when no queue has the signal any more.
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

/// Stops this process as SIGTSTP stops one that does not catch it, and comes back when it is continued; at
/// once where the kernel knows no shell that could continue it. With `group`, the whole job is stopped, as
/// the terminal does it for Ctrl-Z.
///
/// # Errors
/// Linux has none: the signal is valid.
pub fn stop_process(group: bool) -> Result<(), Errno> {
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // SAFETY: the default disposition runs no code of ours.
    let before = unsafe { sigaction(Signal::SIGTSTP, &default)? };
    let sent = if group {
        signal::kill(Pid::from_raw(0), Signal::SIGTSTP)
    } else {
        signal::raise(Signal::SIGTSTP)
    };
    // SAFETY: it was in force until a moment ago.
    unsafe { sigaction(Signal::SIGTSTP, &before)? };
    sent
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_limit_on_files_is_no_death_and_what_is_ignored_stays_ignored() {
        prepare_process();
        // It would end this process.
        signal::raise(Signal::SIGXFSZ).unwrap();
        // SAFETY: the disposition runs no code of ours.
        unsafe { signal::signal(Signal::SIGXFSZ, SigHandler::SigIgn) }.unwrap();
        prepare_process();
        assert!(is_ignored(Signal::SIGXFSZ));
    }
}
