//! The system calls, each behind a safe function that does what its callers need and no more.
//!
//! All `unsafe`, `nix` and `libc` of this package is below here. Every descriptor is close-on-exec
//! from its first instant, every socket is nonblocking, and `EINTR` never reaches a caller as an
//! error.

pub mod account;
pub mod clock;
#[cfg(feature = "sandbox")]
pub mod confine;
pub mod connect;
pub mod datagram;
pub mod epoll;
pub mod error;
pub mod event;
pub mod fifo;
pub mod file;
#[cfg(feature = "supervise")]
pub mod handover;
pub mod journal;
pub mod listener;
pub mod notify;
pub mod output;
pub mod pass;
pub mod pidfd;
pub mod poll;
pub mod process;
#[cfg(feature = "supervise")]
pub mod program;
pub mod quit;
pub mod read_file;
pub mod reader;
pub mod ready;
mod rings;
pub mod root;
pub mod roster;
pub mod select;
pub mod send_file;
pub mod serial;
pub mod shared;
pub mod signals;
pub mod spool;
pub mod stamp;
pub mod stream;
#[cfg(feature = "supervise")]
pub mod successor;
pub mod title;
pub mod traffic;
#[cfg(feature = "transfer")]
pub mod upload;
pub mod user;

pub use nix::errno::Errno;
pub use nix::sys::signal::Signal;
