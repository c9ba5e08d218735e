//! The clients.

pub mod bridge;
pub mod datagram;
pub mod fifo;
#[cfg(feature = "get")]
pub mod file_url;
#[cfg(feature = "get")]
mod get;
#[cfg(feature = "get")]
pub mod http;
#[cfg(feature = "status")]
mod observer;
#[cfg(feature = "get")]
mod put;
mod relay;
mod talk;
mod time;
#[cfg(feature = "top")]
mod top;
#[cfg(feature = "get")]
mod transfer;

#[cfg(feature = "get")]
pub use get::{Got, Source, Target, Times, Wishes, get};
#[cfg(feature = "status")]
pub use observer::Observer;
#[cfg(feature = "get")]
pub use put::put;
pub use talk::talk;
#[cfg(feature = "tls")]
pub use talk::talk_secured;
pub use time::time;
#[cfg(feature = "top")]
pub use top::top;
#[cfg(feature = "get")]
pub use transfer::Asks;

use std::os::fd::AsFd;

use crate::error::{Error, Result};
use crate::reactor::{Context, EventLoop};
use crate::sys::signals::{self, Caught};
use crate::sys::stream::Stream;
use crate::sys::{Errno, Signal};

/// Calls when a signal comes that ends a program, and that its parent does not have ignored. So the program
/// can remove its files first.
fn on_ending_signals<S>(
    events: &mut EventLoop<S>,
    call: impl FnMut(&mut S, &mut Context<S>, Caught) + Copy + 'static,
) -> Result<()> {
    for signal in signals::FATAL {
        if !signals::is_ignored(signal) {
            events.signal(signal, call)?;
        }
    }
    Ok(())
}

/// The signal that a program dies of which runs until it is told to end. SIGINT, SIGTERM and SIGHUP are how it
/// is told: then the end is no failure.
fn dies_of(signal: Signal) -> Option<Signal> {
    let is_told = matches!(signal, Signal::SIGINT | Signal::SIGTERM | Signal::SIGHUP);
    (!is_told).then_some(signal)
}

/// Standard input is open for writing alone: the loop would wait for input that cannot be read.
fn unreadable() -> Error {
    Error::new("read", "standard input", Errno::EBADF)
}

/// A copy of one of our own descriptors, as a stream.
fn standard(fd: impl AsFd, name: &'static str) -> Result<Stream> {
    fd.as_fd().try_clone_to_owned().map(Stream::of).map_err(Error::of("open", name))
}
