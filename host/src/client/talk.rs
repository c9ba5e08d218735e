//! Standard input to a socket, and the socket to standard output.

use std::io::{stdin, stdout};

use super::relay::{Relay, hand_on, resume};
use super::{standard, unreadable};
#[cfg(feature = "tls")]
use crate::addr::HostPort;
use crate::addr::{Address, Transport};
use crate::error::{Error, Result};
use crate::reactor::{Buffered, Context, EventLoop, StreamEvent, Token};
use crate::sys::clock;
use crate::sys::connect::connect;
use crate::sys::stream::Stream;
use crate::sys::{Errno, Signal};
#[cfg(feature = "tls")]
use crate::tls::Trust;

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
    converse(address, timeout_us, |events, stream, callback| events.buffered(stream, callback))
}

/// The same over TLS. The end of standard input is announced, as a half-close is.
///
/// # Errors
/// As [`talk`]; or the server is not to be believed.
#[cfg(feature = "tls")]
pub fn talk_secured(server: &HostPort, timeout_us: u64, trust: &Trust) -> Result<Option<Signal>> {
    let address = Address::Tcp(server.clone());
    converse(&address, timeout_us, |events, stream, callback| {
        events.secured(stream, (trust, &server.host), callback)
    })
}

/// What a buffered stream calls.
type Callback = Box<dyn FnMut(&mut Buffered, &mut Relay, &mut Context<Relay>, StreamEvent)>;

fn converse(
    address: &Address,
    timeout_us: u64,
    add: impl FnOnce(&mut EventLoop<Relay>, Stream, Callback) -> Result<Token>,
) -> Result<Option<Signal>> {
    let stream = connect(address, clock::now().after(timeout_us))?;
    let mut events = EventLoop::new()?;
    let input = standard(stdin(), "standard input")?;
    let is_readable = !input.is_write_only();
    let input = events.buffered(input, from_input)?;
    let server = address.clone();
    let callback =
        move |socket: &mut Buffered, relay: &mut Relay, cx: &mut Context<Relay>, event| {
            match event {
                StreamEvent::Input => relay.hand_on(socket, cx),
                StreamEvent::Drained => resume(cx, input),
                StreamEvent::Eof => relay.end(cx),
                StreamEvent::Failed(errno) => {
                    match socket.failure() {
                        Some(why) => relay.fail(Error::new("receive from", &server, why)),
                        // The server closed the connection before it took all input, which it may do.
                        None if errno == Errno::EPIPE => {}
                        None => relay.fail(Error::new("receive from", &server, errno)),
                    }
                    relay.end(cx);
                }
                StreamEvent::Connected | StreamEvent::TimedOut(_) => {}
            }
        };
    let socket = add(&mut events, stream, Box::new(callback))?;
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
