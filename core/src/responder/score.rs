//! `score`: reports without a reply.

use super::{Responder, Response};
use crate::bytes::first;
use crate::time::Instant;
use crate::wire::Score;

/// Passes each well-formed score to `F`, and sends no reply. Any other datagram is malformed, and
/// never shown.
#[derive(Debug, Clone, Copy)]
pub struct ScoreReceiver<F>(F);

#[cfg(feature = "defmt")]
impl<F> defmt::Format for ScoreReceiver<F> {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "ScoreReceiver");
    }
}

impl<F> ScoreReceiver<F> {
    /// A responder that calls `take` with the address and the score of each datagram.
    pub const fn new<A>(take: F) -> Self
    where
        F: FnMut(Instant, &A, &Score<'_>),
    {
        Self(take)
    }
}

impl<A, F: FnMut(Instant, &A, &Score<'_>)> Responder<A> for ScoreReceiver<F> {
    fn datagram(&mut self, now: Instant, from: &A, buf: &mut [u8], len: usize) -> Response {
        match Score::parse(first(buf, len)) {
            Ok(score) => {
                (self.0)(now, from, &score);
                Response::NoReply
            }
            Err(why) => Response::Malformed(why),
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::fault::Peer;
    use crate::laws;
    use std::vec::Vec;

    #[test]
    fn it_keeps_the_laws() {
        let datagrams: [&[u8]; 5] = [
            b"",
            b"\0\0\0\0\0\0\0\0",
            b"\0\0\0\0\0\0\0\0\0",
            b"\0\0\0\x53\0\0\0\x56Mike\0",
            &[1; 600],
        ];
        let ignore = |_: Instant, (): &(), _: &Score<'_>| {};
        laws::responder(|| ScoreReceiver::new(ignore), &(), &datagrams).unwrap();
    }

    #[test]
    fn scores_are_handed_on_with_their_addresses_and_the_rest_is_malformed() {
        let mut got = Vec::new();
        let mut receiver = ScoreReceiver::new(|_, &from: &u8, score: &Score<'_>| {
            got.push((from, score.math(), score.chinese(), score.name().to_vec()));
        });
        let mut buf = *b"\0\0\0\x53\0\0\0\x56Mike\0and what was there before";
        assert_eq!(receiver.datagram(Instant::ZERO, &7, &mut buf, 13), Response::NoReply);
        let malformed = Response::Malformed(Peer::Malformed);
        assert_eq!(receiver.datagram(Instant::ZERO, &8, &mut buf, 12), malformed);
        assert_eq!(receiver.datagram(Instant::ZERO, &8, &mut buf, 14), malformed);
        let truncated = Response::Malformed(Peer::Truncated);
        assert_eq!(receiver.datagram(Instant::ZERO, &8, &mut buf, 8), truncated);
        assert_eq!(got, [(7, 83, 86, b"Mike".to_vec())]);
    }
}
