//! The protocol core of Windlass: state machines that know bytes and time, and nothing else.
//!
//! This crate has no I/O, no clock, no randomness and no allocator. The program around a machine, its
//! *shell*, owns the descriptors or the UART, lends memory for the length of one call, and passes
//! the time as an argument. So the same code serves ten thousand sockets under `epoll` and a line
//! console on a Cortex-M.
//!
//! ```text
//!            bytes in                                   bytes out
//!   read(2) ─────────▶ ┌─────────────────────────────┐ ─────────▶ write(2)
//!   UART RX            │  Session: input, eof, tick  │            UART TX
//!   ─────────────────▶ │           render, abort     │
//!            now       └──────────────┬──────────────┘
//!                                     │ want() → Want { read, write, close, wake }
//!                                     ▼
//!                        epoll mask · poll set · WFI
//! ```
//!
//! In reading order:
//!
//! - [`time`], [`want`], [`fault`]: the arguments and results of every machine.
//! - [`crc`]: the CRC-32 of packets and files.
//! - [`rtt`]: when a packet without an acknowledgement is sent again.
//! - [`stream`]: [`ReadN`](stream::ReadN), [`WriteN`](stream::WriteN) and
//!   [`ReadLine`](stream::ReadLine): Stevens' `readn`, `writen` and `readline` as machines over
//!   lent slices.
//! - [`frame`]: the `{u32 len, bytes}` codec; [`frame::link`]: a stream over an unreliable line.
//! - [`mod@file`]: what a machine asks of storage.
//! - [`wire`]: the wire formats, as structs and parsers.
//! - [`session`]: the [`Session`](session::Session) trait, and the services that implement it.
//! - [`responder`]: the [`Responder`](responder::Responder) trait, and the services that answer each
//!   datagram by itself.
//! - `transfer`, with that feature: the `Transfer` trait, and both ends of `tftp` and `xfer`: files over
//!   datagrams.
//! - `sim`, with that feature: runs two transfers against each other in virtual time, over a network that loses, doubles,
//!   delays and reorders.
//! - [`pump`]: runs any session on a device, and says what it needs next.
//! - [`driver`]: pumps on ports of `embedded-io` and `embedded-io-async`.
//! - [`pool`]: every decision about a pool of workers, without processes or threads.
//! - [`laws`]: a harness that checks any `Session`, `Responder` or `Transfer`, also one of your own, against
//!   the convention.
//!
//! # Features
//!
//! All additive, none on by default.
//!
//! - `defmt`: `defmt::Format` on every public type.
//! - `transfer`: `transfer`, `sim`, `wire::tftp`, `wire::xfer` and `laws::transfers`: files over datagrams.
//! - `embedded-io`, `embedded-io-async`: [`driver`]s over the ports of those crates.
//! - `embassy-time`, `smoltcp`: conversion from and to their instants; with `embedded-io-async`,
//!   Embassy's clock for the driver.
#![no_std]
#![forbid(unsafe_code)]
#![warn(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_sign_loss)]
// What may panic leaves the panic handler in an image. Tests may.
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

mod bytes;
pub mod crc;
mod decimal;
pub mod driver;
pub mod fault;
pub mod file;
pub mod frame;
pub mod laws;
pub mod pool;
pub mod pump;
pub mod responder;
pub mod rtt;
pub mod session;
#[cfg(feature = "transfer")]
pub mod sim;
pub mod stream;
mod text;
pub mod time;
#[cfg(feature = "transfer")]
pub mod transfer;
pub mod transform;
pub mod want;
pub mod wire;

/// The example of the README is a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
