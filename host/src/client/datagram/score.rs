//! Scores, sent and listened to.

use std::fmt::Write;
use std::os::fd::AsFd;

use serde::Serialize;
use windlass_core::wire::Score;

use super::listen::{Listening, listen as hear};
use super::{NO_ROOM_US, Route, Sender};
use crate::addr::Address;
use crate::error::{Error, Result};
use crate::printable::{printable_bytes, printable_json};
use crate::standard;
use crate::sys::datagram::Peer;
use crate::sys::ready::Interest;
use crate::sys::{Signal, clock, poll};

/// The score to send.
#[derive(Debug, Clone)]
pub struct Report {
    /// The name on it.
    pub name: String,
    /// The mark in mathematics.
    pub math: u32,
    /// The mark in Chinese.
    pub chinese: u32,
}

/// Sends `report` to `address`, `count` times, and prints `OK`. Nothing says whether it arrived.
///
/// # Errors
/// The name is too long or has a NUL in it; there is no such host or interface; broadcast is not allowed.
pub fn send(address: &Address, report: &Report, route: &Route, count: u64) -> Result<()> {
    let mut buf = [0; Score::LEN_MAX];
    let Report { name, math, chinese } = report;
    let datagram = Score::render(*math, *chinese, name.as_bytes(), &mut buf)
        .map_err(|_| Error::new("send a score to", address, NAME))?;
    let sender = Sender::open(address, route)?;
    for _ in 0..count {
        while !sender.try_send(datagram)? {
            let soon = clock::now().after(NO_ROOM_US);
            poll::wait(sender.socket.as_fd(), Interest::WRITE, None, Some(soon));
        }
    }
    standard::print("OK\n")
}

const NAME: &str = "a name has at most 495 bytes, and no NUL";

/// A score as a line of JSON.
#[derive(Serialize)]
struct Line<'a> {
    from: String,
    name: std::borrow::Cow<'a, str>,
    math: u32,
    chinese: u32,
}

/// Prints each score that arrives: `IP PORT NAME MATH CHINESE`, or a line of JSON. Returns the signal that the
/// program dies of, if it is none that tells it to end.
///
/// # Errors
/// The socket cannot be opened, there is no such group or interface, or standard output fails.
pub fn listen(what: &Listening, json: bool) -> Result<Option<Signal>> {
    hear(what, Score::LEN_MAX, move |peer, datagram, to| {
        let Ok(score) = Score::parse(datagram) else { return false };
        if json {
            to.push_str(&as_json(peer, &score));
        } else {
            write_text(peer, &score, to);
        }
        true
    })
}

fn write_text(peer: &Peer, score: &Score<'_>, to: &mut String) {
    let (name, math, chinese) = (printable_bytes(score.name()), score.math(), score.chinese());
    // Writing to a string does not fail.
    let _ = match peer.socket_addr() {
        Some(at) => write!(to, "{} {}", at.ip(), at.port()),
        None => write!(to, "{peer}"),
    };
    let _ = writeln!(to, " {name} {math} {chinese}");
}

fn as_json(peer: &Peer, score: &Score<'_>) -> String {
    let name = String::from_utf8_lossy(score.name());
    let (math, chinese) = (score.math(), score.chinese());
    let line = Line { from: peer.to_string(), name, math, chinese };
    // Strings and numbers are always JSON.
    let mut line = printable_json(&serde_json::to_string(&line).unwrap_or_default());
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;

    #[test]
    fn no_name_breaks_a_line_or_a_terminal() {
        let peer = Peer::from("192.0.2.1:4000".parse::<SocketAddr>().unwrap());
        for (name, text, json) in [
            (&b"Mike"[..], "Mike", r#""Mike""#),
            (b"", "", r#""""#),
            ("王".as_bytes(), "王", "\"王\""),
            (b"a\"}\n{\"b", r#"a"}\n{"b"#, r#""a\"}\n{\"b""#),
            (b"\x1b[2J", r"\u{1b}[2J", r#""\u001b[2J""#),
            ("\u{202e}x".as_bytes(), r"\u{202e}x", r#""\u202ex""#),
            (b"\xff", r"\xff", "\"\u{fffd}\""),
        ] {
            let mut buf = [0; Score::LEN_MAX];
            let datagram = Score::render(83, 86, name, &mut buf).unwrap();
            let score = Score::parse(datagram).unwrap();
            let mut line = String::new();
            write_text(&peer, &score, &mut line);
            assert_eq!(line, format!("192.0.2.1 4000 {text} 83 86\n"));
            let line = as_json(&peer, &score);
            let expected = format!(
                "{{\"from\":\"192.0.2.1:4000\",\"name\":{json},\"math\":83,\"chinese\":86}}\n"
            );
            assert_eq!(line, expected);
            assert!(serde_json::from_str::<serde_json::Value>(&line).is_ok());
        }
    }
}
