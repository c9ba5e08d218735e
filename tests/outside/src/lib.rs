//! A session and a responder of a program's own: the protocols that the other programs here serve.

use windlass_core::fault::{Fault, Peer};
use windlass_core::responder::{Responder, Response};
use windlass_core::session::{Consumed, Out, Session};
use windlass_core::time::Instant;
use windlass_core::want::{Close, Want};

/// Adds the numbers that a client sends, one in a line, and answers each with the sum so far.
#[derive(Debug)]
pub struct Sum {
    total: u64,
    /// The number in the line that is not complete.
    number: u64,
    /// The part of the last answer that is not rendered.
    owed: String,
    /// The client sends no more.
    ended: bool,
    close: Close,
}

impl Sum {
    /// A session for one client.
    #[must_use]
    pub const fn new() -> Self {
        Self { total: 0, number: 0, owed: String::new(), ended: false, close: Close::Open }
    }

    /// The session is over when the client has sent its last line and has its answer.
    fn end_if_answered(&mut self) {
        if self.ended && self.owed.is_empty() {
            self.close.end(Ok(()));
        }
    }
}

impl Default for Sum {
    fn default() -> Self {
        Self::new()
    }
}

impl Session for Sum {
    fn input(&mut self, now: Instant, bytes: &mut [u8], out: &mut Out<'_>) -> Consumed {
        let mut taken = 0;
        for &mut byte in bytes {
            // Without room for an answer, the rest of the input waits, and so does the client.
            if !self.owed.is_empty() {
                break;
            }
            taken += 1;
            match byte {
                b'0'..=b'9' => {
                    self.number = self.number.wrapping_mul(10).wrapping_add(u64::from(byte - b'0'));
                }
                b'\n' => {
                    self.total = self.total.wrapping_add(std::mem::take(&mut self.number));
                    self.owed = format!("{}\n", self.total);
                    self.render(now, out);
                }
                _ => {}
            }
        }
        Consumed::bytes(taken)
    }

    fn render(&mut self, _: Instant, out: &mut Out<'_>) {
        let rendered = out.put(self.owed.as_bytes());
        self.owed.drain(..rendered);
        self.end_if_answered();
    }

    fn eof(&mut self, _: Instant) {
        self.ended = true;
        self.end_if_answered();
    }

    fn want(&self) -> Want {
        match self.close {
            Close::Done(how) => Want::done(how),
            Close::Open | Close::WriteHalf if self.owed.is_empty() => Want::READ,
            Close::Open | Close::WriteHalf => Want::WRITE,
        }
    }

    fn abort(&mut self, why: Fault) {
        self.close.end(Err(why));
    }
}

/// Answers each datagram, which has numbers and white space, with the sum of the numbers.
#[derive(Debug)]
pub struct SumOfDatagram;

impl<A> Responder<A> for SumOfDatagram {
    fn datagram(&mut self, _: Instant, _: &A, buf: &mut [u8], len: usize) -> Response {
        match sum(&buf[..len]) {
            Some(answer) if answer.len() <= buf.len() => {
                buf[..answer.len()].copy_from_slice(answer.as_bytes());
                Response::Reply(answer.len())
            }
            // Without room for the answer there is none.
            Some(_) => Response::NoReply,
            None => Response::Malformed(Peer::Malformed),
        }
    }
}

fn sum(datagram: &[u8]) -> Option<String> {
    let mut words = std::str::from_utf8(datagram).ok()?.split_whitespace();
    let total = words.try_fold(0_u64, |total, word| total.checked_add(word.parse().ok()?))?;
    Some(format!("{total}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use windlass_core::laws::{Lab, responder};

    #[test]
    fn it_keeps_the_laws_of_sessions() {
        Lab::<512>::new().check(Sum::new, b"1\n22\r\n\n333\nx4\n55").unwrap();
    }

    #[test]
    fn it_keeps_the_laws_of_responders() {
        let datagrams: [&[u8]; 4] = [b"", b"1 20\n300", b"x", b"18446744073709551615 1"];
        responder(|| SumOfDatagram, &(), &datagrams).unwrap();
    }
}
