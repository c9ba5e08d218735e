//! The time since boot, from a counter of 32 bits, and an alarm that ends the sleep of the loop.

use core::cell::RefCell;

use critical_section::Mutex;
use windlass_core::time::{Instant, Ticks, Wake};

use crate::board;

static TICKS: Mutex<RefCell<Ticks>> =
    Mutex::new(RefCell::new(Ticks::new(board::TICKS_PER_US * 1_000_000)));

/// The counter is read at least so often, in microseconds: in each half of its period.
const LONGEST_US: u32 = (1 << 31) / board::TICKS_PER_US;

// Each line of the log begins with it.
defmt::timestamp!("{=u64:us}", now().as_micros());

/// The time since boot.
pub fn now() -> Instant {
    critical_section::with(|cs| TICKS.borrow_ref_mut(cs).now(board::ticks()))
}

/// An interrupt comes at `wake`, or earlier.
pub fn alarm(wake: Wake) {
    let left_us = wake.wait_us(now()).and_then(|us| u32::try_from(us).ok());
    let left_us = left_us.unwrap_or(LONGEST_US).min(LONGEST_US);
    board::alarm(left_us * board::TICKS_PER_US);
}
