//! Standard input, whatever it is, as a buffered stream (seeds N1 4.4, row 32).
//!
//!     printf 'a\nb' | stdin      stdin < file      stdin < /dev/null      stdin
//!
//! Pitfalls: a terminal, a pipe and a socket can be waited for; a regular file and `/dev/null` cannot
//! (`epoll_ctl` says EPERM) and are always ready. `O_NONBLOCK` belongs to the open file, which the
//! shell has too: a program that sets it leaves the shell with a terminal that fails. And at its end
//! the input is readable for ever: a loop that does not take it out spins.

use std::error::Error;
use std::io::stdin;
use std::os::fd::AsFd;

use windlass::reactor::{EventLoop, StreamEvent};

#[derive(Default)]
struct Count {
    bytes: usize,
    lines: usize,
    ends: usize,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut events = EventLoop::new()?;
    let input = stdin().as_fd().try_clone_to_owned()?;
    events.buffered(input, |input, count: &mut Count, _, event| match event {
        StreamEvent::Input => {
            count.bytes += input.input().len();
            count.lines += memchr::memchr_iter(b'\n', input.input()).count();
            input.consume(usize::MAX);
        }
        StreamEvent::Eof => {
            count.ends += 1;
            // With the only source gone, the loop ends.
            input.close();
        }
        // A directory, say: the stream is removed after this call.
        StreamEvent::Failed(errno) => println!("read: {errno}"),
        StreamEvent::Connected | StreamEvent::Drained | StreamEvent::TimedOut(_) => {}
    })?;
    let mut count = Count::default();
    events.run(&mut count)?;
    let Count { bytes, lines, ends } = count;
    println!("{bytes} bytes, {lines} lines, {ends} end");
    Ok(())
}
