//! A FIFO on the event loop: read from its writers, or write to its readers.

use std::io::{stdin, stdout};
use std::path::Path;

use tracing::info;

use super::{hand_on, on_ending_signals, standard, unreadable};
use crate::error::{Error, Result};
use crate::printable::printable;
use crate::reactor::{Buffered, Context, EventLoop, StreamEvent, Token};
use crate::sys::fifo;
use crate::sys::stream::Stream;

/// Prints the bytes written to the FIFO at `path`, which is made if it does not exist. Writers come
/// and go; SIGINT, SIGTERM or SIGHUP ends it; with `once` the last writer that leaves ends it too.
/// Bytes that were read are printed first, however long standard output takes, unless another
/// signal comes. A FIFO that it made is removed at the end.
///
/// # Errors
/// The FIFO cannot be made, opened or read, or standard output fails.
pub fn read(path: &Path, once: bool) -> Result<()> {
    let mut events = EventLoop::new()?;
    // Before the FIFO exists, so that it is removed whenever this program ends.
    on_ending_signals(&mut events, |reading: &mut Reading, cx, _| reading.end(cx))?;
    let made = fifo::Made::make(path)?;
    let name = printable(path).to_string();
    let fifo = fifo::open_reader(path)?;
    let fifo = events.buffered(fifo, move |fifo, reading, cx, event| match event {
        StreamEvent::Input => {
            if let Some(output) = cx.stream(reading.output) {
                hand_on(fifo, output);
            }
        }
        StreamEvent::Eof if once => reading.end(cx),
        StreamEvent::Eof => {
            info!("the last writer left");
            fifo.read_on();
        }
        StreamEvent::Failed(errno) => {
            reading.outcome = Err(Error::new("read", &name, errno));
            reading.end(cx);
        }
        StreamEvent::Connected | StreamEvent::Drained | StreamEvent::TimedOut(_) => {}
    })?;
    let output = events.buffered(standard(stdout(), "standard output")?, to_output)?;
    if let Some(output) = events.stream(output) {
        output.set_reading(false);
    }
    let mut reading = Reading { fifo, output, outcome: Ok(()), over: false };
    events.run(&mut reading)?;
    drop(made);
    reading.outcome
}

/// The state that the callbacks of [`read()`] share.
struct Reading {
    fifo: Token,
    output: Token,
    outcome: Result<()>,
    /// Nothing more is read; the bytes that were read are still to be printed.
    over: bool,
}

impl Reading {
    fn end(&mut self, cx: &mut Context<Self>) {
        let again = std::mem::replace(&mut self.over, true);
        cx.remove(self.fifo);
        if again || cx.stream(self.output).is_none_or(|output| output.unsent() == 0) {
            cx.exit();
        }
    }
}

fn to_output(
    _: &mut Buffered,
    reading: &mut Reading,
    cx: &mut Context<Reading>,
    event: StreamEvent,
) {
    match event {
        StreamEvent::Drained if reading.over => cx.exit(),
        StreamEvent::Drained => {
            if let Some(fifo) = cx.stream(reading.fifo) {
                fifo.set_reading(true);
            }
        }
        StreamEvent::Failed(errno) => {
            reading.outcome = Err(Error::new("write", "standard output", errno));
            cx.exit();
        }
        StreamEvent::Connected
        | StreamEvent::Input
        | StreamEvent::Eof
        | StreamEvent::TimedOut(_) => {}
    }
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
    let fifo: Stream = fifo::open_writer(path)?;
    let name = printable(path).to_string();
    let mut events = EventLoop::new()?;
    let fifo = events.buffered(fifo, move |_, writing: &mut Writing, cx, event| match event {
        StreamEvent::Drained => {
            if let Some(input) = cx.stream(writing.input) {
                input.set_reading(true);
            }
        }
        StreamEvent::Failed(errno) => {
            writing.outcome = Err(Error::new("write", &name, errno));
            cx.exit();
        }
        StreamEvent::Connected
        | StreamEvent::Input
        | StreamEvent::Eof
        | StreamEvent::TimedOut(_) => {}
    })?;
    if let Some(fifo) = events.stream(fifo) {
        fifo.set_reading(false);
    }
    let input = events.buffered(input, from_input)?;
    let mut writing = Writing { fifo, input, outcome: Ok(()) };
    events.run(&mut writing)?;
    writing.outcome
}

/// The state that the callbacks of [`write()`] share.
struct Writing {
    fifo: Token,
    input: Token,
    outcome: Result<()>,
}

fn from_input(
    input: &mut Buffered,
    writing: &mut Writing,
    cx: &mut Context<Writing>,
    event: StreamEvent,
) {
    let Some(fifo) = cx.stream(writing.fifo) else { return };
    match event {
        StreamEvent::Input => hand_on(input, fifo),
        StreamEvent::Eof => {
            fifo.close();
            input.close();
        }
        StreamEvent::Failed(errno) => {
            fifo.close();
            writing.outcome = Err(Error::new("read", "standard input", errno));
        }
        StreamEvent::Connected | StreamEvent::Drained | StreamEvent::TimedOut(_) => {}
    }
}
