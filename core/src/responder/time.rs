//! `time`: any datagram is answered with the stamp (RFC 868 in its UDP form, with our text).

use super::{Responder, Response};
use crate::bytes::put;
use crate::time::Instant;
use crate::wire::Stamp;

/// Answers any datagram with the stamp of the moment. `F` reads the calendar clock; this machine
/// has none.
///
/// A reply is at most 21 bytes ([`Stamp::MAX_LEN`]) longer than the request.
#[derive(Debug, Clone, Copy)]
pub struct TimeResponder<F>(F);

#[cfg(feature = "defmt")]
impl<F> defmt::Format for TimeResponder<F> {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "TimeResponder");
    }
}

impl<F: FnMut(Instant) -> Stamp> TimeResponder<F> {
    /// A responder that calls `clock` for each datagram.
    pub const fn new(clock: F) -> Self {
        Self(clock)
    }
}

impl<A, F: FnMut(Instant) -> Stamp> Responder<A> for TimeResponder<F> {
    fn datagram(&mut self, now: Instant, _: &A, buf: &mut [u8], _: usize) -> Response {
        let mut text = [0; Stamp::MAX_LEN];
        let text = (self.0)(now).render(&mut text);
        if buf.len() < text.len() { Response::NoReply } else { Response::Reply(put(buf, 0, text)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::laws;

    #[test]
    fn it_keeps_the_laws() {
        let clock =
            |now: Instant| Stamp(1_700_000_000 + (now.as_micros() / 1_000_000).cast_signed());
        laws::responder(|| TimeResponder::new(clock), &(), &[b"", b"what time is it?"]).unwrap();
    }

    #[test]
    fn any_datagram_is_answered_and_no_stamp_is_cut() {
        let mut time = TimeResponder::new(|_| Stamp(-5));
        let mut buf = *b"xxxxx";
        assert_eq!(time.datagram(Instant::ZERO, &(), &mut buf, 0), Response::Reply(3));
        assert_eq!(&buf, b"-5\nxx");
        assert_eq!(time.datagram(Instant::ZERO, &(), &mut buf[..2], 2), Response::NoReply);
    }
}
