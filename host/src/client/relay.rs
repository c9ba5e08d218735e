//! Bytes from one stream to another: the part that `talk` and `fifo` have in common.

use crate::error::{Error, Result};
use crate::reactor::{Buffered, Context, EventLoop, StreamEvent, Token};
use crate::sys::Signal;
use crate::sys::stream::Stream;

/// The state of a loop that moves bytes from a source to a sink. A sink that is full stops the source from
/// being read.
pub(super) struct Relay {
    pub(super) source: Token,
    pub(super) sink: Token,
    /// The first failure.
    pub(super) outcome: Result<()>,
    /// Nothing more is read; the bytes that were read are still to be written.
    pub(super) over: bool,
    /// The signal that the program dies of.
    pub(super) ended_by: Option<Signal>,
}

impl Relay {
    /// Adds the sink, which errors call `name`.
    pub(super) fn new(
        events: &mut EventLoop<Self>,
        source: Token,
        sink: Stream,
        name: String,
    ) -> Result<Self> {
        let sink = events.buffered(sink, move |_, relay: &mut Self, cx, event| match event {
            StreamEvent::Drained if relay.over => cx.exit(),
            StreamEvent::Drained => resume(cx, relay.source),
            StreamEvent::Failed(errno) => {
                relay.fail(Error::new("write", &name, errno));
                cx.exit();
            }
            StreamEvent::Connected
            | StreamEvent::Input
            | StreamEvent::Eof
            | StreamEvent::TimedOut(_) => {}
        })?;
        if let Some(sink) = events.stream(sink) {
            // If it is the terminal, its input belongs to standard input.
            sink.set_reading(false);
        }
        Ok(Self { source, sink, outcome: Ok(()), over: false, ended_by: None })
    }

    /// Moves all input of the source.
    pub(super) fn hand_on(&self, source: &mut Buffered, cx: &mut Context<Self>) {
        if let Some(sink) = cx.stream(self.sink) {
            hand_on(source, sink);
        }
    }

    pub(super) fn fail(&mut self, error: Error) {
        if self.outcome.is_ok() {
            self.outcome = Err(error);
        }
    }

    /// The source has ended: the loop exits when all is written.
    pub(super) fn end(&mut self, cx: &mut Context<Self>) {
        self.over = true;
        if cx.stream(self.sink).is_none_or(|sink| sink.unsent() == 0) {
            cx.exit();
        }
    }
}

/// Moves all input; reads no more while the other stream is full.
pub(super) fn hand_on(from: &mut Buffered, to: &mut Buffered) {
    to.write(from.input());
    from.consume(usize::MAX);
    from.set_reading(!to.is_full());
}

/// Reads on, because the stream that takes the bytes has room again.
pub(super) fn resume<S>(cx: &mut Context<S>, source: Token) {
    if let Some(source) = cx.stream(source) {
        source.set_reading(true);
    }
}
