//! The `time` service, both ends: the server sends the time and closes.

use super::{Consumed, Out, Session};
use crate::fault::{Fault, Peer};
use crate::time::Instant;
use crate::want::{Close, Want};
use crate::wire::{Stamp, StampParser};

/// Sends one stamp and closes. The shell reads the calendar clock; this machine has none.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct TimeServer {
    stamp: Stamp,
    /// Bytes of the stamp's text that are rendered.
    rendered: usize,
    close: Close,
}

impl TimeServer {
    /// Will send `stamp`.
    pub const fn new(stamp: Stamp) -> Self {
        Self { stamp, rendered: 0, close: Close::Open }
    }
}

impl Session for TimeServer {
    /// The protocol has no input: bytes that arrive are consumed and dropped.
    fn input(&mut self, _: Instant, bytes: &mut [u8], _: &mut Out<'_>) -> Consumed {
        Consumed::bytes(bytes.len())
    }

    fn eof(&mut self, _: Instant) {}

    fn render(&mut self, _: Instant, out: &mut Out<'_>) {
        if self.close.is_done() {
            return;
        }
        let len = out.text(&mut self.rendered, |text| self.stamp.write(text));
        if self.rendered == len {
            self.close.end(Ok(()));
        }
    }

    fn want(&self) -> Want {
        match self.close {
            Close::Open | Close::WriteHalf => Want::WRITE,
            Close::Done(how) => Want::done(how),
        }
    }

    fn abort(&mut self, why: Fault) {
        self.close.end(Err(why));
    }
}

/// Reads one stamp. The session is done at the LF of the stamp, even if the server has not closed.
#[derive(Debug, Clone, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct TimeClient {
    parser: StampParser,
    /// `None` while the stamp is incomplete.
    result: Option<Result<Stamp, Fault>>,
}

impl TimeClient {
    /// A client that has read no byte yet.
    pub const fn new() -> Self {
        Self { parser: StampParser::new(), result: None }
    }

    /// The stamp, once the session is done with `Ok`.
    pub fn stamp(&self) -> Option<Stamp> {
        self.result.and_then(Result::ok)
    }
}

impl Session for TimeClient {
    fn input(&mut self, _: Instant, bytes: &mut [u8], _: &mut Out<'_>) -> Consumed {
        for &byte in bytes.iter() {
            if self.result.is_some() {
                break;
            }
            self.result = self.parser.push(byte).map_err(Fault::from).transpose();
        }
        Consumed::bytes(bytes.len())
    }

    fn eof(&mut self, _: Instant) {
        self.abort(Peer::Truncated.into());
    }

    fn want(&self) -> Want {
        match self.result {
            None => Want::READ,
            Some(result) => Want::done(result.map(|_| ())),
        }
    }

    fn abort(&mut self, why: Fault) {
        self.result.get_or_insert(Err(why));
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::laws::Lab;

    #[test]
    fn the_server_keeps_the_laws() {
        for stamp in [0, -1, 1_700_000_000, i64::MIN, i64::MAX] {
            Lab::<64>::new().check(|| TimeServer::new(Stamp(stamp)), b"ignored").unwrap();
        }
    }

    #[test]
    fn the_client_keeps_the_laws() {
        for stream in [&b"1700000000\n"[..], b"", b"12", b"nonsense", b"1\n2\n"] {
            Lab::<64>::new().check(TimeClient::new, stream).unwrap();
        }
    }

    #[test]
    fn the_client_says_what_went_wrong() {
        for (stream, expected) in [
            (&b"1700000000\n"[..], Ok(Stamp(1_700_000_000))),
            (b"5\nmore", Ok(Stamp(5))),
            (b"", Err(Fault::Peer(Peer::Truncated))),
            (b"17", Err(Fault::Peer(Peer::Truncated))),
            (b"HTTP/1.1 400 Bad Request\r\n", Err(Fault::Peer(Peer::Malformed))),
        ] {
            for size in 1..=stream.len().max(1) {
                let mut client = TimeClient::new();
                let mut none = [];
                for piece in stream.chunks(size) {
                    let consumed =
                        client.input(Instant::ZERO, &mut piece.to_vec(), &mut Out::new(&mut none));
                    assert_eq!(consumed, Consumed::bytes(piece.len()));
                }
                client.eof(Instant::ZERO);
                assert_eq!(client.want(), Want::done(expected.map(|_| ())));
                assert_eq!(client.stamp(), expected.ok());
            }
        }
    }
}
