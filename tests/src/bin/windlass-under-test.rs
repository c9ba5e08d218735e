//! The `windlass` program, for the tests, and in a storm of signals when they ask for one.
//!
//! With `WINDLASS_TEST_STORM=1` a timer raises SIGALRM a thousand times a second, in each forked
//! child too, and its handler does nothing: every system call that can be interrupted is, and none
//! is restarted.

use std::process::ExitCode;

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

fn main() -> ExitCode {
    if std::env::var_os("WINDLASS_TEST_STORM").is_some_and(|value| value == "1") {
        begin_storm();
    }
    windlass::cli::main()
}

fn begin_storm() {
    let action = SigAction::new(SigHandler::Handler(ignore), SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler does nothing at all.
    unsafe { sigaction(Signal::SIGALRM, &action) }.expect("install the handler");
    // SAFETY: the function it registers makes one system call.
    assert_eq!(unsafe { pthread_atfork(None, None, Some(start_timer)) }, 0);
    start_timer();
}

extern "C" fn ignore(_: libc::c_int) {}

/// Timers are not inherited by children (setitimer(2)), so each one starts its own.
extern "C" fn start_timer() {
    let every = libc::timeval { tv_sec: 0, tv_usec: 1_000 };
    let timer = libc::itimerval { it_interval: every, it_value: every };
    // SAFETY: the timer is valid for the call; the old one is not asked for.
    unsafe { libc::setitimer(libc::ITIMER_REAL, &raw const timer, std::ptr::null_mut()) };
}

unsafe extern "C" {
    /// `pthread_atfork(3)`, for which the `libc` crate has no binding.
    fn pthread_atfork(
        prepare: Option<extern "C" fn()>,
        parent: Option<extern "C" fn()>,
        child: Option<extern "C" fn()>,
    ) -> libc::c_int;
}
