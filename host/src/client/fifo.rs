//! A FIFO on the event loop: read from its writers, or write to its readers.

use std::io::{stdin, stdout};
use std::path::Path;

use tracing::info;

use super::relay::Relay;
use super::{dies_of, on_ending_signals, standard, unreadable};
use crate::error::{Error, Result};
use crate::printable::printable;
use crate::reactor::{EventLoop, StreamEvent};
use crate::sys::{Signal, fifo};

/// Prints the bytes written to the FIFO at `path`, which is made if it does not exist. Writers come
/// and go; SIGINT, SIGTERM or SIGHUP ends it; with `once` the last writer that leaves ends it too.
/// Bytes that were read are printed first, however long standard output takes, unless another
/// signal comes. A FIFO that it made is removed at the end. Returns the signal that the program dies of, if it is
/// none that tells it to end.
///
/// # Errors
/// The FIFO cannot be made, opened or read, or standard output fails.
pub fn read(path: &Path, once: bool) -> Result<Option<Signal>> {
    let mut events = EventLoop::new()?;
    // Before the FIFO exists, so that it is removed whenever this program ends.
    on_ending_signals(&mut events, |relay: &mut Relay, cx, caught| {
        relay.ended_by = dies_of(caught.signal);
        if relay.over {
            cx.exit();
        }
        cx.remove(relay.source);
        relay.end(cx);
    })?;
    let made = fifo::Made::make(path)?;
    let name = printable(path).to_string();
    let fifo = fifo::open_reader(path)?;
    let fifo = events.buffered(fifo, move |fifo, relay: &mut Relay, cx, event| match event {
        StreamEvent::Input => relay.hand_on(fifo, cx),
        StreamEvent::Eof if once => {
            fifo.close();
            relay.end(cx);
        }
        StreamEvent::Eof => {
            info!("the last writer left");
            fifo.read_on();
        }
        StreamEvent::Failed(errno) => {
            relay.fail(Error::new("read", &name, errno));
            relay.end(cx);
        }
        StreamEvent::Connected | StreamEvent::Drained | StreamEvent::TimedOut(_) => {}
    })?;
    let (output, name) = (standard(stdout(), "standard output")?, "standard output".to_owned());
    let mut relay = Relay::new(&mut events, fifo, output, name)?;
    events.run(&mut relay)?;
    drop(made);
    relay.outcome.map(|()| relay.ended_by)
}

/// Writes standard input to the FIFO at `path`, which is made if it does not exist; waits until a
/// process reads it.
///
/// # Errors
/// The FIFO cannot be made or opened, standard input fails, or the last reader leaves.
pub fn write(path: &Path) -> Result<()> {
    let input = standard(stdin(), "standard input")?;
    if input.is_write_only() {
        return Err(unreadable());
    }
    fifo::make(path)?;
    let fifo = fifo::open_writer(path)?;
    let mut events = EventLoop::new()?;
    let input = events.buffered(input, move |input, relay: &mut Relay, cx, event| match event {
        StreamEvent::Input => relay.hand_on(input, cx),
        StreamEvent::Eof | StreamEvent::Failed(_) => {
            if let Some(fifo) = cx.stream(relay.sink) {
                fifo.close();
            }
            input.close();
            if let StreamEvent::Failed(errno) = event {
                relay.fail(Error::new("read", "standard input", errno));
            }
        }
        StreamEvent::Connected | StreamEvent::Drained | StreamEvent::TimedOut(_) => {}
    })?;
    let mut relay = Relay::new(&mut events, input, fifo, printable(path).to_string())?;
    events.run(&mut relay)?;
    relay.outcome
}
