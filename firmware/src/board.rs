//! The boards, one for each target. Each has the same items:
//!
//! - `NAME`, and the rate of its counter (`TICKS_PER_US`);
//! - `start`: starts the counter and UART 0 with their interrupts, and returns the UART, a
//!   [`Port`](crate::port::Port);
//! - `ticks`: the counter, which counts up;
//! - `alarm`: an interrupt after so many ticks;
//! - with the feature `updater`: `flash`, for two images of 64 KiB, and `second`, another UART. The flash is that of
//!   the chip on a `microbit`, and simulated on the others. Of the three boards only `mps2` has a second UART.

#[cfg(board = "microbit")]
mod microbit;
#[cfg(board = "mps2")]
mod mps2;
#[cfg(all(board = "microbit", feature = "updater"))]
mod nvmc;
#[cfg(all(board = "mps2", feature = "updater"))]
mod second;
#[cfg(all(not(board = "microbit"), feature = "updater"))]
mod spare;
#[cfg(board = "virt")]
mod virt;

#[cfg(board = "microbit")]
pub use microbit::{NAME, TICKS_PER_US, Uart, alarm, start, ticks};
#[cfg(board = "mps2")]
pub use mps2::{NAME, TICKS_PER_US, Uart, alarm, start, ticks};
#[cfg(all(board = "microbit", feature = "updater"))]
pub use nvmc::{Nvmc, flash};
#[cfg(all(board = "mps2", feature = "updater"))]
pub use second::{SecondUart, second};
#[cfg(all(not(board = "microbit"), feature = "updater"))]
pub use spare::flash;
#[cfg(board = "virt")]
pub use virt::{NAME, TICKS_PER_US, Uart, alarm, start, ticks};

/// This board has no second UART.
#[cfg(all(not(board = "mps2"), feature = "updater"))]
pub const fn second() -> Option<Uart> {
    None
}
