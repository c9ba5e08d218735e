//! The text of a line of the access log.

use std::cell::RefCell;
use std::io::Write;
use std::net::{IpAddr, SocketAddr};

use crate::sys::clock::Calendar;

/// How a line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LineFormat {
    /// Text.
    #[default]
    Text,
    /// A JSON object.
    Json,
}

/// What all lines of a listener have in common.
#[derive(Debug)]
pub(super) struct Style {
    format: LineFormat,
    /// Lines begin with the priority that the journal expects.
    prefixed: bool,
    /// The service and the address, escaped, and what is around them in each line.
    listener: Vec<u8>,
}

/// The values of a line.
pub(super) struct Line<'a> {
    pub(super) peer: Option<SocketAddr>,
    pub(super) asked: &'a [u8],
    pub(super) outcome: &'a str,
    pub(super) sent: u64,
    pub(super) took_us: u64,
}

/// A second, and what is around it in each line, as text: most lines have the one of the line before.
struct Second {
    seconds: i64,
    text: Vec<u8>,
}

thread_local! {
    /// For each format.
    static SECONDS: RefCell<[Second; 2]> =
        const { RefCell::new([Second::NONE, Second::NONE]) };
}

impl Second {
    const NONE: Self = Self { seconds: i64::MIN, text: Vec::new() };
}

impl Style {
    pub(super) fn new(format: LineFormat, prefixed: bool, listener: &str) -> Self {
        let (before, after): (&[u8], &[u8]) = match format {
            LineFormat::Text => (b" \"-\" \"-\" ", b" "),
            LineFormat::Json => (b"Z\",\"listener\":\"", b"\",\"peer\":"),
        };
        let mut text = before.to_vec();
        escape(listener.as_bytes(), &mut text, format);
        text.extend_from_slice(after);
        Self { format, prefixed, listener: text }
    }

    pub(super) fn render(&self, line: &Line<'_>, now: Calendar, to: &mut Vec<u8>) {
        if self.prefixed {
            to.extend_from_slice(b"<6>");
        }
        match self.format {
            LineFormat::Text => self.render_text(line, now, to),
            LineFormat::Json => self.render_json(line, now, to),
        }
    }

    fn render_text(&self, line: &Line<'_>, now: Calendar, to: &mut Vec<u8>) {
        match line.peer {
            Some(peer) => address(peer.ip().to_canonical(), to),
            None => to.push(b'-'),
        }
        self.second(now, to);
        escape(line.asked, to, self.format);
        to.extend_from_slice(b"\" ");
        to.extend_from_slice(line.outcome.as_bytes());
        to.push(b' ');
        number(line.sent, 1, to);
        to.extend_from_slice(&self.listener);
        seconds(line.took_us, to);
        to.push(b'\n');
    }

    fn render_json(&self, line: &Line<'_>, now: Calendar, to: &mut Vec<u8>) {
        self.second(now, to);
        number(u64::from(now.micros()), 6, to);
        to.extend_from_slice(&self.listener);
        match line.peer {
            Some(SocketAddr::V4(peer)) => {
                to.push(b'"');
                address((*peer.ip()).into(), to);
                to.push(b':');
                number(peer.port().into(), 1, to);
                to.push(b'"');
            }
            // Writing to memory does not fail.
            Some(peer @ SocketAddr::V6(_)) => drop(write!(to, "\"{peer}\"")),
            None => to.extend_from_slice(b"null"),
        }
        to.extend_from_slice(b",\"request\":\"");
        escape(line.asked, to, self.format);
        to.extend_from_slice(b"\",\"outcome\":\"");
        to.extend_from_slice(line.outcome.as_bytes());
        to.extend_from_slice(b"\",\"bytes\":");
        number(line.sent, 1, to);
        to.extend_from_slice(b",\"seconds\":");
        seconds(line.took_us, to);
        to.extend_from_slice(b"}\n");
    }

    /// The time, without parts of a second, and what is around it.
    fn second(&self, now: Calendar, to: &mut Vec<u8>) {
        let _ = SECONDS.try_with(|all| {
            let second = &mut all.borrow_mut()[self.format as usize];
            if second.seconds != now.seconds() {
                second.seconds = now.seconds();
                second.text.clear();
                let _ = match self.format {
                    LineFormat::Text => write!(second.text, " - - [{}] \"", now.common()),
                    LineFormat::Json => {
                        write!(second.text, "{{\"time\":\"{}.", now.date_time())
                    }
                };
            }
            to.extend_from_slice(&second.text);
        });
    }
}

fn address(ip: IpAddr, to: &mut Vec<u8>) {
    match ip {
        IpAddr::V4(ip) => {
            let [first, rest @ ..] = ip.octets();
            number(first.into(), 1, to);
            for part in rest {
                to.push(b'.');
                number(part.into(), 1, to);
            }
        }
        IpAddr::V6(ip) => drop(write!(to, "{ip}")),
    }
}

/// Microseconds as seconds.
fn seconds(us: u64, to: &mut Vec<u8>) {
    number(us, 7, to);
    to.insert(to.len() - 6, b'.');
}

/// A decimal number of at least so many digits.
fn number(mut value: u64, digits: usize, to: &mut Vec<u8>) {
    let mut text = [b'0'; 20];
    let mut at = text.len();
    while value > 0 {
        at -= 1;
        text[at] = b'0' + (value % 10) as u8;
        value /= 10;
    }
    to.extend_from_slice(&text[at.min(text.len() - digits)..]);
}

/// Bytes of a client, as ASCII without quotes and controls: `\x22` in text, `\u0022` in JSON.
fn escape(bytes: &[u8], to: &mut Vec<u8>, format: LineFormat) {
    let is_special = |byte: u8| !matches!(byte, b' '..=b'~') || matches!(byte, b'"' | b'\\');
    // As nearly every text is. Without a branch for each byte, many of them are looked at at once.
    if !bytes.iter().fold(false, |any, &byte| any | is_special(byte)) {
        return to.extend_from_slice(bytes);
    }
    let lead: &[u8] = if format == LineFormat::Text { b"\\x" } else { b"\\u00" };
    let digit = |value: u8| b"0123456789abcdef"[usize::from(value)];
    for &byte in bytes {
        if is_special(byte) {
            to.extend_from_slice(lead);
            to.extend([digit(byte >> 4), digit(byte & 15)]);
        } else {
            to.push(byte);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTENER: &str = "http tcp:[::]:80";

    fn line(format: LineFormat, now: Calendar, asked: &[u8]) -> String {
        let peer = Some("[::ffff:192.0.2.7]:4711".parse().unwrap());
        let mut to = Vec::new();
        let line = Line { peer, asked, outcome: "200", sent: 7, took_us: 1_000_312 };
        Style::new(format, false, LISTENER).render(&line, now, &mut to);
        String::from_utf8(to).unwrap()
    }

    #[test]
    fn what_a_client_wrote_is_escaped() {
        let asked = b"GET /\"\\\n\xff\x00 HTTP/1.1";
        let now = Calendar::of(1_796_000_000, 42);
        let text = line(LineFormat::Text, now, asked);
        let expected = "192.0.2.7 - - [30/Nov/2026:00:53:20 +0000] \"GET /\\x22\\x5c\\x0a\\xff\\x00 HTTP/1.1\" \
                        200 7 \"-\" \"-\" http tcp:[::]:80 1.000312\n";
        assert_eq!(text, expected);
        let json = line(LineFormat::Json, now, asked);
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(value["time"], "2026-11-30T00:53:20.000042Z");
        assert_eq!(
            (&value["peer"], &value["listener"]),
            (&"[::ffff:192.0.2.7]:4711".into(), &LISTENER.into())
        );
        assert_eq!(value["request"], "GET /\"\\\n\u{ff}\u{0} HTTP/1.1");
        assert_eq!(
            (value["bytes"].as_u64(), value["seconds"].as_f64()),
            (Some(7), Some(1.000_312))
        );
    }

    #[test]
    fn the_second_of_a_line_is_its_own() {
        for seconds in [1_796_000_000, 1_796_000_000, 1_796_000_001, 0] {
            let now = Calendar::of(seconds, 0);
            let has =
                |format, what: String| assert!(line(format, now, b"").contains(&what), "{what}");
            has(LineFormat::Text, format!(" - - [{}] ", now.common()));
            has(LineFormat::Json, format!("{{\"time\":\"{now}\","));
        }
    }

    #[test]
    fn numbers_are_as_the_standard_library_writes_them() {
        for value in [0, 1, 9, 10, 999_999, 1_000_000, u64::MAX] {
            let mut to = Vec::new();
            number(value, 1, &mut to);
            to.push(b' ');
            number(value, 6, &mut to);
            assert_eq!(String::from_utf8(to).unwrap(), format!("{value} {value:06}"));
        }
        for ip in ["0.0.0.0", "255.10.9.100", "2001:db8::1"] {
            let mut to = Vec::new();
            address(ip.parse().unwrap(), &mut to);
            assert_eq!(String::from_utf8(to).unwrap(), ip);
        }
    }
}
