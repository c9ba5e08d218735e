//! Standard input to a socket, and the socket to standard output.

use std::io::{stdin, stdout};

use super::{hand_on, standard, unreadable};
use crate::addr::{Address, Transport};
use crate::error::{Error, Result};
use crate::reactor::{Buffered, Context, EventLoop, StreamEvent, Token};
use crate::sys::clock;
use crate::sys::connect::connect;
use crate::sys::{Errno, Signal};

/// Connects to the server at `address` within `timeout_us`, and talks to it.
///
/// To a datagram socket each line is a datagram ([`datagram::talk`](super::datagram::talk)).
///
/// The end of standard input half-closes the connection, and the replies still arrive.
/// The conversation is over when the server ends it, whether or not it took all of the input.
///
/// Three streams in one loop: none can block the others, whatever kind of file standard input and
/// output are, and no flag of a terminal is changed that other programs share. A stream that is
/// full stops the one that fills it from being read.
///
/// # Errors
/// It cannot be reached, the connection is lost, or standard input or output fails.
pub fn talk(address: &Address, timeout_us: u64) -> Result<Option<Signal>> {
    if address.transport() == Some(Transport::Datagram) {
        return super::datagram::talk(address, timeout_us);
    }
    let stream = connect(address, clock::now().after(timeout_us))?;
    let mut events = EventLoop::new()?;
    let input = standard(stdin(), "standard input")?;
    let is_readable = !input.is_write_only();
    let mut line = Line {
        input: events.buffered(input, from_input)?,
        socket: events.buffered(stream, from_socket)?,
        output: events.buffered(standard(stdout(), "standard output")?, to_output)?,
        address: address.clone(),
        outcome: Ok(()),
        over: false,
    };
    if let Some(socket) = events.stream(line.socket) {
        socket.set_two_way(true);
        if !is_readable {
            socket.shutdown_write();
            line.fail(unreadable());
        }
    }
    if let Some(output) = events.stream(line.output) {
        // If it is the terminal, its input belongs to standard input.
        output.set_reading(false);
    }
    events.run(&mut line)?;
    line.outcome.map(|()| None)
}

/// The three streams, by token.
struct Line {
    input: Token,
    socket: Token,
    output: Token,
    address: Address,
    /// The first failure.
    outcome: Result<()>,
    /// The server has ended the conversation; its replies are still to be printed.
    over: bool,
}

impl Line {
    fn fail(&mut self, error: Error) {
        if self.outcome.is_ok() {
            self.outcome = Err(error);
        }
    }

    /// The server has sent its last reply.
    fn end(&mut self, cx: &mut Context<Self>) {
        self.over = true;
        if cx.stream(self.output).is_none_or(|output| output.unsent() == 0) {
            cx.exit();
        }
    }
}

fn from_input(input: &mut Buffered, line: &mut Line, cx: &mut Context<Line>, event: StreamEvent) {
    let Some(socket) = cx.stream(line.socket) else { return };
    match event {
        StreamEvent::Input => hand_on(input, socket),
        StreamEvent::Eof => socket.shutdown_write(),
        StreamEvent::Failed(errno) => {
            // The input is sent and the replies are printed before this is reported.
            socket.shutdown_write();
            line.fail(Error::new("read", "standard input", errno));
        }
        StreamEvent::Connected | StreamEvent::Drained | StreamEvent::TimedOut(_) => {}
    }
}

fn from_socket(socket: &mut Buffered, line: &mut Line, cx: &mut Context<Line>, event: StreamEvent) {
    match event {
        StreamEvent::Input => {
            if let Some(output) = cx.stream(line.output) {
                hand_on(socket, output);
            }
        }
        StreamEvent::Drained => {
            if let Some(input) = cx.stream(line.input) {
                input.set_reading(true);
            }
        }
        // The server closed the connection before it took all input, which it may do.
        StreamEvent::Eof | StreamEvent::Failed(Errno::EPIPE) => line.end(cx),
        StreamEvent::Failed(errno) => {
            line.fail(Error::new("receive from", &line.address, errno));
            line.end(cx);
        }
        StreamEvent::Connected | StreamEvent::TimedOut(_) => {}
    }
}

fn to_output(_: &mut Buffered, line: &mut Line, cx: &mut Context<Line>, event: StreamEvent) {
    match event {
        StreamEvent::Drained if line.over => cx.exit(),
        StreamEvent::Drained => {
            if let Some(socket) = cx.stream(line.socket) {
                socket.set_reading(true);
            }
        }
        StreamEvent::Failed(errno) => {
            line.fail(Error::new("write", "standard output", errno));
            cx.exit();
        }
        StreamEvent::Connected
        | StreamEvent::Input
        | StreamEvent::Eof
        | StreamEvent::TimedOut(_) => {}
    }
}
