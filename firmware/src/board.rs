//! The boards, one for each target. Each has the same items:
//!
//! - `NAME`, and the rate of its counter (`TICKS_PER_US`);
//! - `start`: starts the counter and UART 0 with their interrupts, and returns the UART, a
//!   [`Port`](crate::port::Port);
//! - `ticks`: the counter, which counts up;
//! - `alarm`: an interrupt after so many ticks;
//! - of `mps2` alone, with the feature `updater`: `psram`, memory for a simulated flash, and `second`, UART 1.

#[cfg(board = "microbit")]
mod microbit;
#[cfg(board = "mps2")]
mod mps2;
#[cfg(all(board = "mps2", feature = "updater"))]
mod psram;
#[cfg(all(board = "mps2", feature = "updater"))]
mod second;
#[cfg(board = "virt")]
mod virt;

#[cfg(board = "microbit")]
pub use microbit::{NAME, TICKS_PER_US, alarm, start, ticks};
#[cfg(board = "mps2")]
pub use mps2::{NAME, TICKS_PER_US, alarm, start, ticks};
#[cfg(all(board = "mps2", feature = "updater"))]
pub use psram::psram;
#[cfg(all(board = "mps2", feature = "updater"))]
pub use second::{SecondUart, second};
#[cfg(board = "virt")]
pub use virt::{NAME, TICKS_PER_US, alarm, start, ticks};
