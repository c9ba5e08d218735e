//! SIGHUP, as a terminal leaves it to the programs of a test.

use std::sync::Once;

use nix::sys::signal::{SigHandler, Signal, signal};

/// Programs that this process starts from now on mind SIGHUP. Under nohup(1) it is ignored, and a program inherits
/// that.
pub(crate) fn mind() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: no handler is installed.
        let before = unsafe { signal(Signal::SIGHUP, SigHandler::SigDfl) };
        before.expect("SIGHUP can be caught");
    });
}
