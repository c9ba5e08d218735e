//! Windlass on Linux: every classic server model around the sans-IO core.
//!
//! ```text
//! sys  ◀──  drive  ◀──  reactor  ◀──  server, client  ◀──  bench  ◀──  cli  ◀──  main
//! ```
//!
//! - [`sys`]: the system calls, behind safe functions. The only `unsafe` is there.
//! - [`drive`]: runs a [`Session`](windlass_core::session::Session) over a socket.
//! - [`mod@reactor`]: an event loop, for programs that have more to mind than sessions.
//! - [`server`]: the models of waiting for many clients, and the services.
//! - [`client`]: the other ends.
//! - [`mod@printable`]: what may be shown of words of others, for all of them.
//! - [`mod@log`], [`role`]: the log, and what a process is for.
//! - [`standard`]: lines to standard output and standard error.
//! - [`status`]: what a server tells of itself, for both.
//! - [`mod@bench`]: measures servers side by side.
//! - [`cli`]: the command line.
//!
//! # Features
//!
//! With `default-features = false` there are `sys`, `drive`, `reactor` and `server`, and of `client` what talks to one server.
//!
//! - `cli`, the default: the program, with everything below.
//! - `get`: `client::get`, files and HTTP documents.
//! - `digest`: BLAKE3 of files, and a fast CRC-32; without it `files` offers CRC-32 alone.
//! - `sandbox`: workers of process pools are confined (`Limits::sandbox`, `sys::confine`).
//! - `status`: a server tells its state on a control socket (`Server::with_control`, `client::Observer`).
//! - `top`: `client::top`, that state live on a terminal.
//! - `supervise`: several listeners, with a process for each, under a service manager (`server::supervise`).
//! - `log`: the lines of the log on standard error. Without it events go to the subscriber of `tracing` that the
//!   program has.
//! - `bench`: servers side by side.
#![deny(unsafe_code)]

#[cfg(not(target_os = "linux"))]
compile_error!(
    "windlass runs on Linux only: it is made of epoll, pidfds and descriptors that processes pass to each other. \
     The protocol core runs everywhere: it is the package `windlass-core`."
);

pub mod addr;
#[cfg(feature = "bench")]
pub mod bench;
#[cfg(feature = "cli")]
pub mod cli;
pub mod client;
mod digest;
pub mod drive;
#[cfg(feature = "log")]
pub mod log;
pub mod printable;
pub mod reactor;
pub mod role;
pub mod server;
pub mod standard;
pub mod status;
#[allow(unsafe_code, reason = "the one place where system calls are made")]
pub mod sys;

pub use sys::error;

/// The examples of the README are tests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
