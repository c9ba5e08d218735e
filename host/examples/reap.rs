//! Ten children end together, one of them by a signal, and none stays a zombie (seeds N3 ch. 10).
//!
//! A child that has ended keeps its place in the process table until its parent takes its status.
//!
//! Pitfall: SIGCHLD does not count. While one is pending, another of the same kind is dropped, so ten
//! ends may be one signal: a handler that calls `wait` once leaves nine zombies. It also has to save
//! `errno`, must not allocate, and interrupts whatever runs. Here each child is a descriptor
//! (`pidfd_open(2)`), readable once it has ended: the loop reports each of them, with its status, and
//! reaps no other children.

use std::error::Error;
use std::io::{PipeReader, Read, pipe};
use std::os::fd::AsFd;

use windlass::reactor::EventLoop;
use windlass::sys::Signal;
use windlass::sys::pidfd::{Exit, PidFd};
use windlass::sys::poll::wait;
use windlass::sys::process::{self, Forked, SingleThreaded, exit, fork};
use windlass::sys::ready::Interest;

#[derive(Default)]
struct Seen {
    exits: Vec<Exit>,
    signals: u32,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut events = EventLoop::new()?;
    // From here on it is blocked, and read from a descriptor. Children inherit that, unless they exec
    // by way of `std::process::Command`.
    events.signal(Signal::SIGCHLD, |seen: &mut Seen, _, _| seen.signals += 1)?;

    let single = SingleThreaded::check()?;
    let (start, starter) = pipe()?;
    let mut children = Vec::new();
    for number in 0..10 {
        match fork(&single)? {
            Forked::Child => {
                drop(starter);
                exit(until_the_end(start).map_or(100, |()| number));
            }
            Forked::Parent(child) => {
                let pid = child.pid();
                events.child(pid, move |seen, cx, exit| {
                    println!("child {number} {exit}");
                    seen.exits.push(exit);
                    if seen.exits.len() == 10 {
                        // The listener for SIGCHLD alone would keep the loop running.
                        cx.exit();
                    }
                })?;
                children.push(child);
            }
        }
    }
    children[9].kill();
    // All others read the end of the pipe now.
    drop((start, starter));
    // The example waits for all of them, so that one SIGCHLD stands for many. A real program does not.
    for child in &children {
        let ended = PidFd::open(child.pid())?;
        wait(ended.as_fd(), Interest::READ, None, None);
    }

    let mut seen = Seen::default();
    events.run(&mut seen)?;
    let killed = seen.exits.iter().filter(|exit| matches!(exit, Exit::Killed(_))).count();
    println!("{} children were reported, {killed} of them killed", seen.exits.len());
    println!("SIGCHLD came less often: {}", seen.signals < 10);
    println!("zombies left: {}", u32::from(process::wait().is_some()));
    Ok(())
}

/// Waits until no process holds the other end of the pipe.
fn until_the_end(mut pipe: PipeReader) -> std::io::Result<()> {
    pipe.read_to_end(&mut Vec::new()).map(drop)
}
