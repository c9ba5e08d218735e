//! What the images of this package share: a shell around the core without an allocator and without an
//! operating system, on three instruction sets.
//!
//! - [`port`]: the loop that runs any `Session` over any byte port. It knows no hardware.
//! - [`received`]: bytes between the interrupt and the loop.
//! - [`clock`]: a counter of 32 bits as time that does not wrap, and an alarm.
//! - [`board`]: the UART and the timer of a board: `mps2` (Cortex-M4), `microbit` (Cortex-M0) or
//!   `virt` (RISC-V), by the target. To add a board, write one such file.
//! - `ether`, with the feature of that name: the network port of the MPS2 board, and a bad network.
//! - `embassy`, likewise: the clock of Embassy, and ports for the driver of the core.
//! - `line`, with the feature `updater`: a UART with the rate and the faults of a real line.
//! - [`cpu`]: the first instruction, sleep, arguments and exit code.
//!
//! The boards are those of QEMU. What an image prints is a log of defmt, which goes to semihosting: on real
//! hardware a debugger has to be attached.
#![no_std]

pub mod board;
pub mod clock;
pub mod cpu;
#[cfg(feature = "embassy")]
pub mod embassy;
#[cfg(feature = "ether")]
pub mod ether;
#[cfg(feature = "updater")]
pub mod line;
pub mod port;
pub mod received;
pub mod register;
