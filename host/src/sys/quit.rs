//! SIGTERM as a request that interrupts a blocking call: for workers that block while they wait.

use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction, sigprocmask};

static ASKED: AtomicBool = AtomicBool::new(false);

extern "C" fn note(_: libc::c_int) {
    ASKED.store(true, Ordering::Relaxed);
}

/// In a worker: from now on SIGTERM is noted, and interrupts a call that blocks (`EINTR`); no other
/// signal is blocked. What else a server minds is the parent's business.
///
/// A signal that comes just before the call does not interrupt it: give the call a timeout.
///
/// # Errors
/// `sigaction(2)` has no error for SIGTERM.
pub fn on_sigterm() -> Result<(), Errno> {
    use Signal::{SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2};
    let set = |signal, handler| {
        let action = SigAction::new(handler, SaFlags::empty(), SigSet::empty());
        // SAFETY: the handler stores to an atomic, which is async-signal-safe.
        unsafe { sigaction(signal, &action) }.map(drop)
    };
    set(Signal::SIGTERM, SigHandler::Handler(note))?;
    for signal in [SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2] {
        set(signal, SigHandler::SigIgn)?;
    }
    set(Signal::SIGCHLD, SigHandler::SigDfl)?;
    sigprocmask(nix::sys::signal::SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)
}

/// Whether SIGTERM has come.
pub fn is_asked() -> bool {
    ASKED.load(Ordering::Relaxed)
}
