//! An event loop: descriptors, buffered streams, timers, signals, children and sessions, each with a
//! callback, in one thread.
//!
//! ```text
//!  EventLoop<S> ── owns ──▶ sources ── each owns ──▶ a descriptor, a buffer, a timer …
//!       │                      │
//!       └─ run(&mut S)         └─ calls ──▶ callback(&mut what it owns, &mut S, &mut Context<S>, event)
//! ```
//!
//! Callbacks share one value `S` of the program, which each of them borrows in turn. With the
//! [`Context`] a callback changes the loop. Each source has a [`Token`], which goes stale when the
//! source is removed and never means another source. `docs/REACTOR.md` compares this loop with
//! others, lists every call of libevent with its equivalent, and has the rules; `host/examples` has
//! programs to copy from.
//!
//! # A server
//!
//! This server counts the lines of all its clients, prints the count every second, and stops on
//! SIGTERM.
//!
//! ```standalone_crate
//! use std::time::Duration;
//! use windlass::reactor::{EventLoop, Incoming, StreamEvent};
//! use windlass::sys::{Signal, listener::Listener};
//!
//! #[derive(Default)]
//! struct Server {
//!     lines: usize,
//! }
//!
//! let mut events = EventLoop::new()?;
//! events.signal(Signal::SIGTERM, |_, cx, _| cx.exit())?;
//! let listener = Listener::bind(&"tcp:127.0.0.1:0".parse()?, 128)?;
//! # let address = listener.address().to_string();
//! # let mut client = std::net::TcpStream::connect(address.trim_start_matches("tcp:"))?;
//! # std::io::Write::write_all(&mut client, b"one\ntwo\nthr")?;
//! events.listen(listener, 10_000, |_, cx, incoming| {
//!     let Incoming::Client(stream) = incoming else { return };
//!     // An error closes the stream: the kernel had no room to watch it.
//!     let _ = cx.buffered(stream, |client, server: &mut Server, _, event| match event {
//!         StreamEvent::Input => {
//!             server.lines += client.input().iter().filter(|&&byte| byte == b'\n').count();
//!             client.consume(usize::MAX);
//!         }
//!         StreamEvent::Eof => client.close(),
//!         _ => {}
//!     });
//! })?;
//! events.every(Duration::from_secs(1), |server, _| println!("{} lines", server.lines));
//! # events.every(Duration::from_millis(1), |server, cx| {
//! #     if server.lines == 2 {
//! #         windlass::sys::process::terminate(std::process::id().cast_signed());
//! #         cx.remove(cx.current());
//! #     }
//! # });
//!
//! let mut server = Server::default();
//! events.run(&mut server)?;
//! # assert_eq!(server.lines, 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Timers
//!
//! ```
//! use std::time::Duration;
//! use windlass::reactor::EventLoop;
//!
//! let mut events = EventLoop::new()?;
//! // Called once; the token can cancel it.
//! let never = events.after(Duration::from_secs(3600), |calls: &mut Vec<&str>, _| calls.push("late"));
//! // Called at multiples of the period, however long the calls take.
//! let tick = events.every(Duration::from_millis(2), |calls, _| calls.push("tick"));
//! // Called once for each time that it is armed.
//! let watchdog = events.timer(move |calls, cx| {
//!     calls.push("silence");
//!     cx.remove(tick);
//!     cx.remove(never);
//! });
//! events.arm_after(watchdog, Duration::from_millis(9));
//!
//! let mut calls = Vec::new();
//! // Returns when no event can happen any more.
//! events.run(&mut calls)?;
//! assert_eq!((calls.first(), calls.last()), (Some(&"tick"), Some(&"silence")));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # A client
//!
//! Each line of input is an answer, however many lines one read brings, and no wait is for ever.
//!
//! ```
//! use std::time::Duration;
//! use windlass::reactor::{EventLoop, StreamEvent};
//!
//! # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
//! # let address = listener.local_addr()?;
//! # let server = std::thread::spawn(move || -> std::io::Result<()> {
//! #     let (mut stream, _) = listener.accept()?;
//! #     std::io::copy(&mut stream.try_clone()?, &mut stream).map(drop)
//! # });
//! let mut events = EventLoop::new()?;
//! let timeout = Some(Duration::from_secs(5));
//! events.connect(address, timeout, move |stream, answers: &mut Vec<String>, _, event| match event {
//!     StreamEvent::Connected => {
//!         stream.set_timeouts(timeout, timeout);
//!         stream.write(b"first\nsecond\n");
//!         // This was the last request; the answers still arrive.
//!         stream.shutdown_write();
//!     }
//!     StreamEvent::Input => {
//!         while let Some(end) = stream.input().iter().position(|&byte| byte == b'\n') {
//!             answers.push(String::from_utf8_lossy(&stream.input()[..end]).into_owned());
//!             stream.consume(end + 1);
//!         }
//!     }
//!     StreamEvent::Drained => {}
//!     StreamEvent::Eof | StreamEvent::TimedOut(_) => stream.close(),
//!     StreamEvent::Failed(errno) => eprintln!("{errno}"),
//! })?;
//!
//! let mut answers = Vec::new();
//! events.run(&mut answers)?;
//! assert_eq!(answers, ["first", "second"]);
//! # assert!(server.join().is_ok_and(|served| served.is_ok()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Signals and children
//!
//! A signal is input like any other: its callback may allocate, lock and print. A child is reported
//! with its status, and is reaped.
//!
//! ```standalone_crate
//! use std::process::Command;
//! use windlass::reactor::{EventLoop, Priority};
//! use windlass::sys::{Signal, pidfd::Exit};
//!
//! let mut events = EventLoop::new()?;
//! let term = events.signal(Signal::SIGTERM, |told: &mut Vec<String>, cx, caught| {
//!     told.push(format!("{} from {}", caught.signal, caught.sender));
//!     // The last source of SIGTERM: from here on SIGTERM has its default action again.
//!     cx.remove(cx.current());
//! })?;
//! events.set_priority(term, Priority::High);
//! let child = Command::new("sh").args(["-c", "kill -TERM $PPID; exit 3"]).spawn()?;
//! let pid = child.id();
//! events.child(pid, |told, _, exit| {
//!     assert_eq!(exit, Exit::Code(3));
//!     told.push(format!("the child {exit}"));
//! })?;
//!
//! let mut told = Vec::new();
//! events.run(&mut told)?;
//! assert_eq!(told, [format!("SIGTERM from {pid}"), "the child exited with status 3".into()]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod buffered;
mod context;
mod conversation;
mod datagrams;
mod event_loop;
mod handlers;
mod inbox;
mod kernel_set;
mod listener;
mod remote;
mod serve;
mod signal;
mod silence;
mod sources;
mod streams;
mod timer;
mod watch;

pub use buffered::{Buffered, Direction, StreamEvent};
pub use context::Context;
pub use datagrams::Datagrams;
pub use event_loop::EventLoop;
pub use listener::Incoming;
pub use remote::Remote;
pub use watch::{Event, Priority, Watch};

use crate::sys::epoll::Trigger;
pub use crate::sys::ready::{Ready, Token};

/// The descriptor from which signals are read.
const SIGNALS: Token = Token { index: u32::MAX, generation: 2 };

/// The descriptor that other threads write to.
const BELL: Token = Token { index: u32::MAX, generation: 3 };

/// Edge-triggered, for as long as it lasts.
const EDGE: Trigger = Trigger { edge: true, once: false };

/// What a loop has done since it was created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Waits.
    pub rounds: u64,
    /// Callbacks and deferred calls made.
    pub calls: u64,
    /// Events and turns that came too late for their source, and were dropped.
    pub stale: u64,
    /// How often a new kernel set was made.
    pub rebuilt: u64,
}

#[cfg(test)]
mod delay_tests;
#[cfg(test)]
pub(crate) mod tests;
