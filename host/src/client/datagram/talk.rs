//! Standard input to a server, a datagram for each line, and its answers to standard output.

use std::io::stdin;
use std::time::Duration;

use super::NO_ROOM_US;
use crate::addr::Address;
use crate::client::{on_ending_signals, standard, unreadable};
use crate::error::{Error, Result};
use crate::reactor::{Buffered, Context, Event, EventLoop, StreamEvent, Token, Watch};
use crate::standard::print_bytes;
use crate::status::brief;
use crate::sys::datagram::{self, Datagrams, UDP_MAX};
use crate::sys::{Errno, Signal, clock};

/// Sends each line of standard input, with its line feed, and prints what comes back. At the end of standard
/// input it waits until there are as many answers as lines, for at most `timeout_us`. The signal that ended it,
/// if one did.
///
/// # Errors
/// The server is not there; a line is longer than a datagram can be; answers do not come; standard input or
/// output fails.
pub fn talk(address: &Address, timeout_us: u64) -> Result<Option<Signal>> {
    let mut events = EventLoop::new()?;
    // Before this end may have a socket file, so that an end at any moment takes it away.
    on_ending_signals(&mut events, |line: &mut Line, cx, caught| {
        line.ended_by = Some(caught.signal);
        cx.exit();
    })?;
    let socket = datagram::connect(address, clock::now().after(timeout_us))?;
    let input = standard(stdin(), "standard input")?;
    if input.is_write_only() {
        return Err(unreadable());
    }
    let socket = events.add(socket, Watch::READ, |socket, line, cx, event| {
        if matches!(event, Event::Ready(_)) {
            line.on_socket(socket, cx);
        }
    })?;
    let input = events.buffered(input, on_input)?;
    let timeout = events.timer(|line: &mut Line, cx| line.give_up(cx));
    let pace = events.timer(|line: &mut Line, cx| {
        line.forgiven = line.sent;
        cx.activate(line.socket);
    });
    let room = events.timer(|line: &mut Line, cx| cx.activate(line.socket));
    let mut line = Line {
        address: address.clone(),
        socket,
        input,
        timeout,
        timeout_us,
        unsent: Vec::new(),
        sent: 0,
        answers: 0,
        forgiven: 0,
        pace,
        room,
        at_end: false,
        buf: vec![0; UDP_MAX],
        outcome: Ok(()),
        ended_by: None,
    };
    events.run(&mut line)?;
    drop(events);
    line.outcome.map(|()| line.ended_by)
}

/// Datagrams on their way without an answer, so that neither end's buffer runs over.
const UNANSWERED_MAX: u64 = 32;

/// How long answers are waited for before more is sent: not everything answers everything.
const PACE: Duration = Duration::from_millis(100);

/// A conversation in datagrams.
struct Line {
    address: Address,
    socket: Token,
    input: Token,
    timeout: Token,
    timeout_us: u64,
    /// Lines for which there was no room yet, and the beginning of one.
    unsent: Vec<u8>,
    sent: u64,
    answers: u64,
    /// As many as were sent when [`PACE`] was over last.
    forgiven: u64,
    pace: Token,
    /// While there is no room.
    room: Token,
    /// Standard input has ended.
    at_end: bool,
    buf: Vec<u8>,
    outcome: Result<()>,
    ended_by: Option<Signal>,
}

fn on_input(input: &mut Buffered, line: &mut Line, cx: &mut Context<Line>, event: StreamEvent) {
    match event {
        StreamEvent::Input => {
            line.unsent.extend_from_slice(input.input());
            input.consume(usize::MAX);
            // What has no line feed yet is bounded by what a datagram holds.
            input.set_reading(false);
        }
        StreamEvent::Eof => line.at_end = true,
        StreamEvent::Failed(errno) => {
            line.at_end = true;
            line.fail(Error::new("read", "standard input", errno));
        }
        StreamEvent::Connected | StreamEvent::Drained | StreamEvent::TimedOut(_) => {}
    }
    // The socket sends: its callback has it.
    cx.activate(line.socket);
}

impl Line {
    fn fail(&mut self, error: Error) {
        if self.outcome.is_ok() {
            self.outcome = Err(error);
        }
    }

    fn on_socket(&mut self, socket: &mut Datagrams, cx: &mut Context<Self>) {
        let done = self.receive(socket).and_then(|()| self.send(socket, cx));
        match done {
            Err(error) => {
                self.fail(error);
                cx.exit();
            }
            Ok(()) if self.at_end && self.unsent.is_empty() => {
                if self.answers >= self.sent {
                    cx.exit();
                } else if cx.deadline(self.timeout).is_none() {
                    cx.arm_after(self.timeout, Duration::from_micros(self.timeout_us));
                }
            }
            Ok(()) => {}
        }
    }

    fn receive(&mut self, socket: &Datagrams) -> Result<()> {
        let address = &self.address;
        let failed = |errno| socket.explain(Error::new("talk to", address, errno));
        while let Some(len) = socket.receive(&mut self.buf).map_err(failed)? {
            self.answers += 1;
            print_bytes(&self.buf[..len])?;
        }
        Ok(())
    }

    fn send(&mut self, socket: &Datagrams, cx: &mut Context<Self>) -> Result<()> {
        let (mut from, mut is_full, mut waits) = (0, false, false);
        while let Some(len) = next_line(&self.unsent[from..], self.at_end) {
            waits = self.sent - self.answers.max(self.forgiven).min(self.sent) >= UNANSWERED_MAX;
            if waits {
                cx.arm_after(self.pace, PACE);
                break;
            }
            let datagram = &self.unsent[from..from + len];
            match socket.send(datagram) {
                Ok(true) => {
                    self.sent += 1;
                    from += len;
                }
                Ok(false) => {
                    is_full = true;
                    cx.arm_after(self.room, Duration::from_micros(NO_ROOM_US));
                    break;
                }
                Err(errno) => {
                    let error = socket.explain(Error::new("send to", &self.address, errno));
                    if errno == Errno::EMSGSIZE {
                        self.stop(error.and(format!("the line has {len} bytes")), cx);
                        return Ok(());
                    }
                    return Err(error);
                }
            }
        }
        self.unsent.drain(..from);
        if self.unsent.len() > UDP_MAX && !is_full && !waits {
            let long =
                format!("a line is longer than a datagram, which has {UDP_MAX} bytes at most");
            self.stop(Error::new("send to", &self.address, long), cx);
            return Ok(());
        }
        if let Some(input) = cx.stream(self.input) {
            input.set_reading(!is_full && !waits);
        }
        Ok(())
    }

    /// Sends no more, because of `error`. The answers to what was sent are still printed.
    fn stop(&mut self, error: Error, cx: &mut Context<Self>) {
        self.fail(error);
        self.unsent.clear();
        self.at_end = true;
        if let Some(input) = cx.stream(self.input) {
            input.set_reading(false);
        }
    }

    fn give_up(&mut self, cx: &mut Context<Self>) {
        let (sent, missing) = (self.sent, self.sent - self.answers);
        let what =
            format!("no answer to {missing} of {sent} datagrams within {}", brief(self.timeout_us));
        self.fail(Error::new("talk to", &self.address, what));
        cx.exit();
    }
}

/// The length of the first line, its line feed included; at the end of all, of what is left.
fn next_line(text: &[u8], at_end: bool) -> Option<usize> {
    let line_feed = text.iter().position(|&byte| byte == b'\n').map(|at| at + 1);
    line_feed.or((at_end && !text.is_empty()).then_some(text.len()))
}
