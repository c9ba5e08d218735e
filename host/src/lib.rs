//! Windlass on Linux: every classic server model around the sans-IO core.
//!
//! ```text
//! sys  ◀──  drive  ◀──  server, client  ◀──  cli  ◀──  main
//! ```
//!
//! - [`sys`]: the system calls, behind safe functions. The only `unsafe` is there.
//! - [`drive`]: runs a [`Session`](windlass_core::session::Session) over a socket.
#![deny(unsafe_code)]

pub mod addr;
pub mod drive;
pub mod error;
#[allow(unsafe_code, reason = "the one place where system calls are made")]
pub mod sys;
