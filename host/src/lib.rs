//! Windlass on Linux: every classic server model around the sans-IO core.
//!
//! ```text
//! sys  ◀──  drive  ◀──  reactor  ◀──  server, client  ◀──  bench  ◀──  cli  ◀──  main
//! ```
//!
//! - [`sys`]: the system calls, behind safe functions. The only `unsafe` is there.
//! - `tls`: certificates of servers, and what clients trust.
//! - [`drive`]: runs a [`Session`](windlass_core::session::Session) over a socket.
//! - [`mod@reactor`]: an event loop for descriptors, streams, timers, signals and children.
//! - [`server`]: the server models and the services.
//! - [`client`]: the clients.
//! - [`mod@printable`]: makes text from outside printable.
//! - `log`, [`role`]: the log, and the role of a process.
//! - [`standard`]: writes lines to standard output and standard error.
//! - [`status`], [`totals`]: the state of a server, as a document, and the sums of its counters.
//! - `bench`: compares servers.
//! - `cli`: the command line.
//!
//! # Features
//!
//! With `default-features = false` there are `sys`, `drive`, `reactor` and `server`, and of `client` what talks to one server.
//!
//! - `cli`, the default: the program, with everything below.
//! - `get`: `client::get`, files and HTTP documents.
//! - `digest`: BLAKE3 of files, and a fast CRC-32; without it `files` offers CRC-32 alone.
//! - `sandbox`: workers of process pools are confined (`Limits::sandbox`, `sys::confine`).
//! - `status`: a server reports its state on a control socket (`Server::with_control`,
//!   `client::Observer`).
//! - `top`: `client::top`, shows that state live on a terminal.
//! - `supervise`: several listeners, with a process for each, under a service manager (`server::supervise`).
//! - `log`: the lines of the log on standard error. Without it events go to the `tracing`
//!   subscriber of the program.
//! - `transfer`: `drive::Exchange`, transfers of files over datagrams.
//! - `tls`: TLS for every stream service (`tls`, `server::Offer::secured`).
//! - `bench`: compares servers.
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
pub mod network;
pub mod printable;
pub mod reactor;
pub mod role;
pub mod server;
pub mod standard;
pub mod status;
#[allow(unsafe_code, reason = "the one place where system calls are made")]
pub mod sys;
pub mod totals;

#[cfg(feature = "tls")]
pub mod tls;

pub use sys::error;

/// The examples of the README are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
