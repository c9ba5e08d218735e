//! Standard input to a socket, and the socket to standard output.

use std::io::{stdin, stdout};

use super::relay::{Relay, hand_on, resume};
use super::{standard, unreadable};
use crate::addr::{Address, Transport};
use crate::error::{Error, Result};
use crate::reactor::{Buffered, Context, EventLoop, StreamEvent};
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
    let input = events.buffered(input, from_input)?;
    let server = address.clone();
    let socket =
        events.buffered(stream, move |socket, relay: &mut Relay, cx, event| match event {
            StreamEvent::Input => relay.hand_on(socket, cx),
            StreamEvent::Drained => resume(cx, input),
            // The server closed the connection before it took all input, which it may do.
            StreamEvent::Eof | StreamEvent::Failed(Errno::EPIPE) => relay.end(cx),
            StreamEvent::Failed(errno) => {
                relay.fail(Error::new("receive from", &server, errno));
                relay.end(cx);
            }
            StreamEvent::Connected | StreamEvent::TimedOut(_) => {}
        })?;
    let (output, name) = (standard(stdout(), "standard output")?, "standard output".to_owned());
    let mut relay = Relay::new(&mut events, socket, output, name)?;
    if let Some(socket) = events.stream(socket) {
        socket.set_two_way(true);
        if !is_readable {
            socket.shutdown_write();
            relay.fail(unreadable());
        }
    }
    events.run(&mut relay)?;
    relay.outcome.map(|()| None)
}

fn from_input(
    input: &mut Buffered,
    relay: &mut Relay,
    cx: &mut Context<Relay>,
    event: StreamEvent,
) {
    let Some(socket) = cx.stream(relay.source) else { return };
    match event {
        StreamEvent::Input => hand_on(input, socket),
        StreamEvent::Eof => socket.shutdown_write(),
        StreamEvent::Failed(errno) => {
            // The input is sent and the replies are printed before this is reported.
            socket.shutdown_write();
            relay.fail(Error::new("read", "standard input", errno));
        }
        StreamEvent::Connected | StreamEvent::Drained | StreamEvent::TimedOut(_) => {}
    }
}
