//! Two pipes between parent and child, one for each direction (seeds N3 ch. 11).
//!
//! ```text
//! parent  to_child ──▶ child_in  child
//!       from_child ◀── child_out
//! ```
//!
//! Pitfalls: a reader sees the end only when *every* copy of the writing end is closed, and a fork
//! copies all of them. One pipe for both directions may give a process its own bytes back. And a
//! program that writes everything first and reads then stands still with a child that does the same,
//! as soon as both pipes are full (64 KiB): here the loop writes and reads as it comes.

use std::error::Error;
use std::io::{PipeReader, PipeWriter, Read, Write, pipe};
use std::os::fd::OwnedFd;

use windlass::reactor::{EventLoop, StreamEvent};
use windlass::sys::process::{Forked, SingleThreaded, exit, fork};

/// Far more than two pipes and a child hold.
const SIZE: usize = 1 << 20;

struct Parent {
    bytes: usize,
    ended: bool,
    copy: Option<PipeWriter>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let (child_in, to_child) = pipe()?;
    let (from_child, child_out) = pipe()?;
    let child = match fork(&SingleThreaded::check()?)? {
        Forked::Child => {
            // With its copy of `to_child` open it would wait for an end that it prevents itself.
            drop((to_child, from_child));
            exit(i32::from(upper(child_in, child_out).is_err()));
        }
        Forked::Parent(child) => child,
    };
    drop(child_in);
    // The parent should close this one too. It keeps it, to show what comes of it.
    let mut parent = Parent { bytes: 0, ended: false, copy: Some(child_out) };

    let mut events = EventLoop::new()?;
    let writer = events.buffered(OwnedFd::from(to_child), |_, _, _, _| {})?;
    if let Some(pipe) = events.stream(writer) {
        // This end can only be written.
        pipe.set_reading(false);
        pipe.write(&vec![b'a'; SIZE]);
        // When all of it is out. A pipe has no half-close: closing is how its reader hears of the end.
        pipe.close();
    }
    events.buffered(OwnedFd::from(from_child), |pipe, parent: &mut Parent, _, event| {
        parent.bytes += memchr::memchr_iter(b'A', pipe.input()).count();
        pipe.consume(usize::MAX);
        if event == StreamEvent::Eof {
            parent.ended = true;
            println!("the end came behind {} upper-case bytes", parent.bytes);
            pipe.close();
        }
    })?;
    events.child(child.pid(), |parent, _, exit| {
        println!("the child {exit}");
        println!("a copy of its pipe is open, and the end was seen: {}", parent.ended);
        parent.copy = None;
    })?;
    events.run(&mut parent)?;
    Ok(())
}

/// The child's work, with blocking calls: it has nothing else to mind.
fn upper(mut from: PipeReader, mut to: PipeWriter) -> std::io::Result<()> {
    let mut piece = [0; 4096];
    loop {
        match from.read(&mut piece)? {
            0 => return Ok(()),
            count => {
                piece[..count].make_ascii_uppercase();
                to.write_all(&piece[..count])?;
            }
        }
    }
}
