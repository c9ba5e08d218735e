//! Sleeping until an interrupt, without missing the one that comes just before.

use core::sync::atomic::{AtomicBool, Ordering};

/// An interrupt came since the last sleep, so there may be something to do.
static NOTED: AtomicBool = AtomicBool::new(false);

/// Every interrupt handler calls this.
pub(crate) fn note() {
    NOTED.store(true, Ordering::Relaxed);
}

/// Returns after an interrupt; at once if one came since the last call.
///
/// Between the check and WFI no handler can run, since interrupts are off; WFI wakes for a pending
/// one all the same, and its handler runs as soon as they are on again.
pub(crate) fn until_interrupt() {
    cortex_m::interrupt::free(|_| {
        if !NOTED.load(Ordering::Relaxed) {
            cortex_m::asm::wfi();
        }
        NOTED.store(false, Ordering::Relaxed);
    });
}
