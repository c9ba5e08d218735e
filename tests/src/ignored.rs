//! Signals that the test was started to ignore.

use std::sync::Once;

use nix::sys::signal::{SigHandler, Signal, signal};

/// Programs that this process starts from now on have the default actions of the signals of a terminal. nohup(1)
/// ignores SIGHUP, and a shell ignores SIGINT and SIGQUIT for a program that it starts with `&`; a program inherits
/// that.
pub(crate) fn reset() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        for of_terminal in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT] {
            // SAFETY: no handler is installed.
            let before = unsafe { signal(of_terminal, SigHandler::SigDfl) };
            before.expect("the signal can be caught");
        }
    });
}
