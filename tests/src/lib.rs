//! The support library of the end-to-end tests: real processes, real sockets, and limits on waits.
//!
//! ```text
//! tests/*.rs  ──▶  Serve ─▶ Server   a `windlass serve` of the test, ended when dropped
//!             ──▶  Supervised  a `windlass serve --config`, likewise
//!             ──▶  Program           any other run of `windlass`, or of a foreign program
//!             ──▶  Pty               a program on a pseudo-terminal
//!             ──▶  Capture           packets for `tshark`, and what it shows of them
//!             ──▶  Client            the other end of a socket; every call has a deadline
//!             ──▶  Secured           a certificate, and clients of TLS
//!             ──▶  transfer          clients of `tftp` and `xfer`
//!             ──▶  Site, Balancer  hosts of a test, and haproxy or nginx before them
//!             ──▶  Lossy             a network that loses, doubles, delays and reorders datagrams
//! ```
//!
//! Rules that keep the tests solid, alone, in parallel and on a busy machine:
//! - A server is ready when it says so on standard output. Ports are always 0.
//! - Nothing sleeps to let something happen. What a test depends on is waited for, with
//!   [`within`] if there is nothing to block on; [`PATIENCE`] only turns a hang into a failure.
//! - No claim is about elapsed time, but for what may not be faster ([`takes`]). CPU time and memory are read from `/proc`.
//! - Only processes that a test started are signalled, and all of them are gone when it ends.
//! - Everything random comes from a fixed seed ([`Random`]).
#![allow(clippy::missing_panics_doc, reason = "whatever goes wrong here is the failure of a test")]

pub mod datagrams;
pub mod proc;
pub mod transfer;
pub mod web;

mod balancer;
mod capture;
mod client;
mod counting;
mod download;
mod fds;
mod hosts;
mod ignored;
mod late;
mod listening;
mod macros;
mod meanwhile;
mod optional;
mod pipes;
mod program;
mod pty;
mod serve;
mod server;
mod storm;
mod supervised;
mod tunnel;

pub use balancer::{Balancer, Site};
pub use capture::{Capture, Dissection, dissectors};
pub use client::{Client, End};
pub use counting::Counting;
pub use download::{Download, request};
pub use fds::Descriptors;
pub use hosts::Hosts;
pub use late::LateFiles;
pub use listening::Listening;
pub use meanwhile::meanwhile;
pub use optional::{foreign, has, skipped};
pub use program::{Feed, Outcome, Program, Running};
pub use pty::Pty;
pub use serve::{Serve, services};
pub use server::{Exit, Member, Server};
pub use supervised::{Supervise, Supervised};
pub use tunnel::{Ended, Secured, Tunnel};
pub use windlass::server::Model;
pub use windlass_certs::Validity;
pub use windlass_lossy::{Counts, Lossy, Path, Random};

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, setrlimit};

/// How long anything may take before it counts as hung. Not a measure of anything: on an idle
/// machine no wait comes near it.
pub const PATIENCE: Duration = Duration::from_secs(50);

/// What a signal ends from now on leaves no file `core`: neither this process nor a program that it starts.
pub fn leave_no_core() {
    setrlimit(Resource::RLIMIT_CORE, 0, 0).expect("lower a limit");
}

/// Polls `condition` until it holds; it is a failure when that takes longer than `limit`.
///
/// For what a program cannot block on: a process that disappears, a counter in `/proc`.
#[track_caller]
pub fn within(limit: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + limit;
    while !condition() {
        assert!(Instant::now() < end, "not within {limit:?}: {what}");
        // Leaves the processor to the process that makes it true.
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Something is no faster than this: the one claim about time that does not depend on how busy the machine is.
#[track_caller]
pub fn takes(millis: u128, work: impl FnOnce()) {
    let begin = Instant::now();
    work();
    let took = begin.elapsed().as_millis();
    assert!(took >= millis, "it took {took} ms");
}

/// A name that no other test of this machine uses, for sockets in the abstract name space.
pub fn unique(word: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("windlass-{word}-{}-{number}", std::process::id())
}
