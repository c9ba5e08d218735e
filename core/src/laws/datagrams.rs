//! The laws of a [`Responder`].

use core::fmt;

use crate::bytes::{fill, first};
use crate::responder::{Responder, Response};
use crate::time::Instant;

/// A law that a responder must keep, whatever its shell does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum DatagramLaw {
    /// A reply is at most as long as the buffer.
    Counts,
    /// The reply is the same whatever is behind the datagram in the buffer.
    Contents,
    /// The reply is the same whatever datagrams came before.
    Forgets,
    /// With less room it gives the same reply, or none.
    Room,
    /// The lab is too small for this datagram: at most [`DATAGRAM_MAX`] bytes.
    LabTooSmall,
}

/// A law that a responder broke, and the datagram that showed it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct BrokenDatagram {
    /// The law.
    pub law: DatagramLaw,
    /// The index of the datagram, from 0.
    pub nth: usize,
}

impl fmt::Display for BrokenDatagram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is broken by datagram {}", self.law, self.nth)
    }
}

impl core::error::Error for BrokenDatagram {}

/// The longest datagram that [`responder`] tries, in bytes.
pub const DATAGRAM_MAX: usize = 1024;

/// Room behind the datagram for a longer reply.
const SPARE: usize = 64;

/// A reply, and the buffer that has it.
struct Answer {
    response: Response,
    buf: [u8; DATAGRAM_MAX + SPARE],
}

impl Answer {
    fn of<A, R: Responder<A>>(
        responder: &mut R,
        from: &A,
        datagram: &[u8],
        (room, behind): (usize, u8),
    ) -> Self {
        let mut buf = [behind; DATAGRAM_MAX + SPARE];
        fill(&mut buf, datagram);
        let lent = buf.get_mut(..room).unwrap_or_default();
        let response = responder.datagram(Instant::ZERO, from, lent, datagram.len());
        Self { response, buf }
    }

    fn reply(&self) -> Option<&[u8]> {
        match self.response {
            Response::Reply(len) => Some(first(&self.buf, len)),
            Response::NoReply | Response::Malformed(_) => None,
        }
    }

    fn same(&self, other: &Self) -> bool {
        self.response == other.response && self.reply() == other.reply()
    }
}

/// Runs responders, made by `make`, on each of `datagrams`: alone, one after another, with other bytes
/// behind them, and with less room.
///
/// # Errors
/// The first law that is broken.
pub fn responder<A, R: Responder<A>>(
    mut make: impl FnMut() -> R,
    from: &A,
    datagrams: &[&[u8]],
) -> Result<(), BrokenDatagram> {
    let mut used = make();
    for (nth, datagram) in datagrams.iter().enumerate() {
        let breaks = |law| Err(BrokenDatagram { law, nth });
        if datagram.len() > DATAGRAM_MAX {
            return breaks(DatagramLaw::LabTooSmall);
        }
        let all = DATAGRAM_MAX + SPARE;
        let alone = Answer::of(&mut make(), from, datagram, (all, 0));
        if matches!(alone.response, Response::Reply(len) if len > all) {
            return breaks(DatagramLaw::Counts);
        }
        if !alone.same(&Answer::of(&mut make(), from, datagram, (all, 0xff))) {
            return breaks(DatagramLaw::Contents);
        }
        if !alone.same(&Answer::of(&mut used, from, datagram, (all, 0))) {
            return breaks(DatagramLaw::Forgets);
        }
        for room in datagram.len()..=datagram.len() + SPARE {
            let narrow = Answer::of(&mut make(), from, datagram, (room, 0));
            match narrow.response {
                Response::Reply(len) if len > room => return breaks(DatagramLaw::Counts),
                Response::NoReply if matches!(alone.response, Response::Reply(len) if len > room) =>
                    {}
                _ if alone.same(&narrow) => {}
                _ => return breaks(DatagramLaw::Room),
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A responder from a function.
    struct Of<F>(F);

    impl<F: FnMut(&mut [u8], usize) -> Response> Responder for Of<F> {
        fn datagram(&mut self, _: Instant, (): &(), buf: &mut [u8], len: usize) -> Response {
            (self.0)(buf, len)
        }
    }

    fn law<F: FnMut(&mut [u8], usize) -> Response>(make: impl Fn() -> F) -> Option<DatagramLaw> {
        responder(|| Of(make()), &(), &[b"", b"one", b"two"]).err().map(|broken| broken.law)
    }

    #[test]
    fn each_law_can_be_broken() {
        assert_eq!(law(|| |_: &mut [u8], len| Response::Reply(len)), None);
        assert_eq!(law(|| |_: &mut [u8], _| Response::Reply(5000)), Some(DatagramLaw::Counts));
        // There is room only for the request, so the reply does not fit.
        assert_eq!(
            law(|| |_: &mut [u8], len| Response::Reply(len + 1)),
            Some(DatagramLaw::Contents)
        );
        let longer = || {
            |buf: &mut [u8], len| {
                buf.iter_mut().skip(len).take(1).for_each(|byte| *byte = b'!');
                Response::Reply(len + 1)
            }
        };
        assert_eq!(law(longer), Some(DatagramLaw::Counts));
        let counts = || {
            let mut before = 0;
            move |_: &mut [u8], len| {
                before += 1;
                if before > 1 { Response::NoReply } else { Response::Reply(len) }
            }
        };
        assert_eq!(law(counts), Some(DatagramLaw::Forgets));
        let wants_room = || {
            |buf: &mut [u8], len| {
                if buf.len() < 100 { Response::NoReply } else { Response::Reply(len) }
            }
        };
        assert_eq!(law(wants_room), Some(DatagramLaw::Room));
        let long = [0; DATAGRAM_MAX + 1];
        let broken = BrokenDatagram { law: DatagramLaw::LabTooSmall, nth: 0 };
        assert_eq!(
            responder(|| Of(|_: &mut [u8], _| Response::NoReply), &(), &[&long]),
            Err(broken)
        );
    }
}
