//! Lines of text to a multicast group, and from one.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use windlass_core::time::Instant;

use super::listen::{Listening, listen as hear};
use super::{NO_ROOM_US, Route, Sender};
use crate::addr::{Address, HostPort};
use crate::client::{dies_of, on_ending_signals};
use crate::error::{Error, Result};
use crate::printable::printable_bytes;
use crate::reactor::{Context, EventLoop, Token};
use crate::sys::Signal;
use crate::sys::datagram::UDP_MAX;

/// The group and the port that the notes have, where none is named.
pub const GROUP: (Ipv4Addr, u16) = (Ipv4Addr::new(239, 0, 0, 2), 9000);

/// The text that the notes send, as [`Text::parse`] reads it.
pub const TEXT_FORMAT: &str = r"itcast %d\n";

/// A text with one number in it at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    before: Vec<u8>,
    /// What is behind the number; `None` if it has none.
    behind: Option<Vec<u8>>,
}

impl Text {
    /// Reads a text in which `%d` stands for the number, `%%` for `%`, and `\n`, `\t`, `\\` for what they are
    /// in C.
    ///
    /// # Errors
    /// What else is behind a `%` or a `\`, or a second number.
    pub fn parse(text: &str) -> std::result::Result<Self, &'static str> {
        let (mut parsed, mut chars) = (Self { before: Vec::new(), behind: None }, text.chars());
        while let Some(char) = chars.next() {
            let char = match (char, if matches!(char, '%' | '\\') { chars.next() } else { None }) {
                ('%', Some('d')) if parsed.behind.is_none() => {
                    parsed.behind = Some(Vec::new());
                    continue;
                }
                ('%', Some('d')) => return Err("a text has one number (%d) at most"),
                ('%', Some('%')) => '%',
                ('%', _) => return Err("% is followed by d, for the number, or by another %"),
                ('\\', Some('n')) => '\n',
                ('\\', Some('t')) => '\t',
                ('\\', Some('\\')) => '\\',
                ('\\', _) => return Err("\\ is followed by n, t or another \\"),
                (char, _) => char,
            };
            let to = parsed.behind.as_mut().unwrap_or(&mut parsed.before);
            to.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
        }
        Ok(parsed)
    }

    /// The text with a number.
    fn with(&self, number: u64) -> Vec<u8> {
        let mut text = self.before.clone();
        if let Some(behind) = &self.behind {
            text.extend_from_slice(number.to_string().as_bytes());
            text.extend_from_slice(behind);
        }
        text
    }
}

/// Sends `text` to a group each `interval`, `count` times or until a signal comes. Returns the signal that the
/// program dies of, if it is none that tells it to end.
///
/// # Errors
/// It is not the address of a group; there is no such interface or no route.
pub fn send(
    to: &HostPort,
    text: &Text,
    route: &Route,
    interval: Duration,
    count: Option<u64>,
) -> Result<Option<Signal>> {
    let address = Address::Udp(to.clone());
    check(&address, "send to")?;
    let mut events = EventLoop::new()?;
    on_ending_signals(&mut events, |caster: &mut Caster, cx, caught| {
        caster.ended_by = dies_of(caught.signal);
        cx.exit();
    })?;
    let sender = Sender::open(&address, route)?;
    let timer = events.timer(|caster: &mut Caster, cx| caster.send(cx));
    let interval_us = u64::try_from(interval.as_micros()).unwrap_or(u64::MAX);
    let (text, due) = (text.clone(), events.now());
    // The first one at once.
    events.arm_at(timer, due);
    let mut caster = Caster {
        sender,
        text,
        interval_us,
        count,
        timer,
        due,
        number: 0,
        outcome: Ok(()),
        ended_by: None,
    };
    events.run(&mut caster)?;
    caster.outcome.map(|()| caster.ended_by)
}

/// What is sent, and how much of it was.
struct Caster {
    sender: Sender,
    text: Text,
    interval_us: u64,
    count: Option<u64>,
    timer: Token,
    /// When the next datagram is due.
    due: Instant,
    number: u64,
    outcome: Result<()>,
    ended_by: Option<Signal>,
}

impl Caster {
    fn send(&mut self, cx: &mut Context<Self>) {
        match self.sender.try_send(&self.text.with(self.number)) {
            Ok(true) => {
                self.number += 1;
                // Those that are late are not sent all at once.
                self.due = self.due.after(self.interval_us).max(cx.now());
                cx.arm_at(self.timer, self.due);
            }
            Ok(false) => cx.arm_after(self.timer, Duration::from_micros(NO_ROOM_US)),
            Err(error) => self.outcome = Err(error),
        }
        if self.outcome.is_err() || self.count == Some(self.number) {
            cx.exit();
        }
    }
}

/// Prints each datagram that arrives, a line each. Returns the signal that the program dies of, as [`send`] does.
///
/// # Errors
/// The socket cannot be opened, there is no such group or interface, or standard output fails.
pub fn listen(what: &Listening) -> Result<Option<Signal>> {
    check(&what.address, "listen to")?;
    hear(what, UDP_MAX, |_, datagram, to| {
        let text = datagram.strip_suffix(b"\n").unwrap_or(datagram);
        // Writing to a string does not fail.
        let _ = writeln!(to, "{}", printable_bytes(text));
        true
    })
}

fn check(address: &Address, op: &'static str) -> Result<()> {
    match address.socket_addr() {
        Some(at) if at.ip().is_multicast() => Ok(()),
        _ => Err(Error::new(op, address, "it is not the address of a multicast group")),
    }
}

/// Where the notes have the group.
pub fn default_group() -> HostPort {
    let (group, port) = GROUP;
    HostPort { host: IpAddr::from(group).to_string(), port }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_stands_where_the_text_says() {
        for (text, number, sent) in [
            (TEXT_FORMAT, 0, "itcast 0\n"),
            ("no number", 5, "no number"),
            ("%d", 12, "12"),
            (r"100%% of %d\t\\", 3, "100% of 3\t\\"),
            ("", 1, ""),
        ] {
            assert_eq!(Text::parse(text).unwrap().with(number), sent.as_bytes(), "{text}");
        }
        for wrong in ["%s", "%", "%d %d", r"\x", "\\", "%5d"] {
            assert!(Text::parse(wrong).is_err(), "{wrong}");
        }
    }
}
