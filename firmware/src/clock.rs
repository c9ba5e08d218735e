//! The time since boot, from the `SysTick` timer.
//!
//! The value of the counter makes the time exact to the microsecond. The interrupt comes a hundred
//! times a second, so a session's `Wake::At` is at most 10 ms late. A device that sleeps for
//! seconds on a battery would set an alarm for `want().wake` instead.

use core::cell::Cell;

use cortex_m::interrupt::{self, Mutex};
use cortex_m::peripheral::syst::SystClkSource;
use cortex_m::peripheral::{SCB, SYST};
use cortex_m_rt::exception;
use windlass_core::time::Instant;

use crate::sleep;

/// The frequency of the board's CPU, in hertz.
pub(crate) const CPU_HZ: u32 = 25_000_000;

const CYCLES_PER_US: u32 = CPU_HZ / 1_000_000;
const TICK_US: u32 = 10_000;
const TICK_CYCLES: u32 = TICK_US * CYCLES_PER_US;

const _: () = assert!(TICK_CYCLES <= 1 << 24, "SysTick counts 24 bits");

/// Ticks since boot. 64 bits, so that time never wraps.
static TICKS: Mutex<Cell<u64>> = Mutex::new(Cell::new(0));

/// Starts the clock at zero.
pub(crate) fn start(mut counter: SYST) {
    counter.set_clock_source(SystClkSource::Core);
    counter.set_reload(TICK_CYCLES - 1);
    counter.clear_current();
    counter.enable_interrupt();
    counter.enable_counter();
}

/// The time since boot.
pub(crate) fn now() -> Instant {
    let (ticks, left) = interrupt::free(|cs| {
        let ticks = TICKS.borrow(cs).get();
        let left = SYST::get_current();
        // The counter may have wrapped since interrupts were disabled, before or after it was read.
        if SCB::is_pendst_pending() { (ticks + 1, SYST::get_current()) } else { (ticks, left) }
    });
    // The counter counts down, and the interrupt comes when it reaches 0.
    let since_tick = (TICK_CYCLES - left) % TICK_CYCLES;
    Instant::from_micros(ticks * u64::from(TICK_US) + u64::from(since_tick / CYCLES_PER_US))
}

#[exception]
fn SysTick() {
    interrupt::free(|cs| {
        let ticks = TICKS.borrow(cs);
        ticks.set(ticks.get() + 1);
    });
    sleep::note();
}
