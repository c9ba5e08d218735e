//! Our machines keep the laws, and each law is worth what it catches.

extern crate std;

use core::cell::Cell;

use super::{TransferLaw, transfers};
use crate::fault::Fault;
use crate::file::{DigestKind, FileUser};
use crate::time::Instant;
use crate::transfer::tftp::{Config, Offer, TftpGet, TftpPut, TftpServer};
use crate::transfer::xfer::{XferClient, XferServer};
use crate::transfer::{Heard, Timing, Transfer, Tx, parts};
use crate::want::{Close, Want};

const OFFER: Offer = Offer { block: Some(200), window: Some(3), ..Offer::DEFAULT };

fn server() -> TftpServer<16> {
    TftpServer::new(Config { writes: true, ..Config::DEFAULT })
}

#[test]
fn xfer_keeps_the_laws() {
    if cfg!(miri) {
        return;
    }
    let make =
        || (XferClient::new(b"image", &Timing::CLIENT), XferServer::<16>::new(Timing::SERVER));
    transfers::<0, _, _>(make, 1).unwrap();
    transfers::<2500, _, _>(make, 1).unwrap();
}

#[test]
fn downloads_keep_the_laws() {
    if cfg!(miri) {
        return;
    }
    for offer in [Offer::NONE, OFFER, Offer { window: None, ..OFFER }] {
        let make = || (TftpGet::new(b"image", offer, &Timing::CLIENT), server());
        transfers::<1100, _, _>(make, 1).unwrap();
    }
    let digest =
        || (TftpGet::new(b"image", OFFER, &Timing::CLIENT).digest(DigestKind::Crc32), server());
    transfers::<700, _, _>(digest, 1).unwrap();
    transfers::<0, _, _>(digest, 1).unwrap();
}

#[test]
fn uploads_keep_the_laws() {
    if cfg!(miri) {
        return;
    }
    for offer in [Offer::NONE, OFFER] {
        let make = || (TftpPut::new(b"image", 1100, offer, &Timing::CLIENT), server());
        transfers::<1100, _, _>(make, 0).unwrap();
    }
    let empty = || (TftpPut::new(b"image", 0, OFFER, &Timing::CLIENT), server());
    transfers::<0, _, _>(empty, 0).unwrap();
}

#[test]
fn machines_without_parts_keep_the_laws() {
    if cfg!(miri) {
        return;
    }
    let config = Config { writes: true, ..Config::DEFAULT };
    let server = || TftpServer::<16, { parts::READS | parts::WRITES }>::with_parts(config);
    let (name, timing) = (b"image", &Timing::CLIENT);
    let get = || (TftpGet::<_, { parts::NONE }>::with_parts(name, OFFER, timing), server());
    transfers::<1100, _, _>(get, 1).unwrap();
    let put = || (TftpPut::<_, { parts::NONE }>::with_parts(name, 1100, OFFER, timing), server());
    transfers::<1100, _, _>(put, 0).unwrap();
    let xfer = || {
        let client = XferClient::<_, { parts::NONE }>::with_parts(name, timing);
        (client, XferServer::<16, { parts::NONE }>::with_parts(Timing::SERVER))
    };
    transfers::<2500, _, _>(xfer, 1).unwrap();
}

/// A server that breaks a law.
struct Breaker {
    inner: XferServer<16>,
    breaks: TransferLaw,
    /// How often it was looked at.
    looks: Cell<u8>,
    last: Instant,
    /// It should be over, and waits on.
    waits_on: bool,
}

impl Breaker {
    fn new(breaks: TransferLaw) -> Self {
        let inner = XferServer::new(Timing::SERVER);
        Self { inner, breaks, looks: Cell::new(0), last: Instant::ZERO, waits_on: false }
    }

    fn breaks(&self, law: TransferLaw) -> bool {
        self.breaks == law
    }

    fn look(&self) -> u8 {
        self.looks.set(self.looks.get().wrapping_add(1));
        self.looks.get()
    }

    /// It takes a clock that steps back for a failure.
    fn follows(&mut self, now: Instant) {
        if self.breaks(TransferLaw::ClockStepsBack) && now < self.last {
            self.inner.abort(Fault::Aborted);
        }
        self.last = now;
    }
}

impl Transfer for Breaker {
    fn handle(&mut self, now: Instant, datagram: &[u8]) -> Heard {
        self.follows(now);
        let heard = self.inner.handle(now, datagram);
        if self.breaks(TransferLaw::Malformed) && matches!(heard, Heard::Malformed(_)) {
            self.inner.abort(Fault::Aborted);
        }
        if self.breaks(TransferLaw::Completes) {
            self.inner.abort(Fault::Aborted);
        }
        heard
    }

    fn render(&self, now: Instant, nth: usize, head: &mut [u8]) -> Option<Tx> {
        let tx = self.inner.render(now, nth, head)?;
        if self.breaks(TransferLaw::Pure) {
            head[4] = self.look();
        }
        Some(tx)
    }

    fn sent(&mut self, now: Instant, count: usize) {
        self.follows(now);
        Transfer::sent(&mut self.inner, now, count);
    }

    fn tick(&mut self, now: Instant) {
        if self.breaks(TransferLaw::EarlyTicks) {
            self.inner.abort(Fault::Aborted);
        }
        if self.breaks(TransferLaw::Unanswered) && self.inner.want().wake.is_due(now) {
            // As if the request had come again.
            let _ = self.inner.handle(now, b"\0\0\0\x01image\0");
        }
        self.inner.tick(now);
        // Nothing but the request came: that is waited for less than other things.
        let is_alone = |us| us < 10_000_000;
        if self.breaks(TransferLaw::EndsInFault)
            && let Close::Done(Err(Fault::TimedOut { waited_us })) = self.inner.want().close
        {
            self.waits_on |= is_alone(waited_us);
        }
    }

    fn want(&self) -> Want {
        let want = self.inner.want();
        match self.breaks {
            TransferLaw::NoSpin => Want { write: true, ..want },
            TransferLaw::KeepsFirst => Want { read: true, ..want },
            TransferLaw::EndsInFault if self.waits_on => Want::READ,
            TransferLaw::ClosesForward if want.close.is_done() && self.look().is_multiple_of(2) => {
                Want::READ
            }
            _ => want,
        }
    }

    fn abort(&mut self, why: Fault) {
        if !self.breaks(TransferLaw::Aborts) {
            self.inner.abort(why);
        }
    }

    fn storage(&mut self) -> Option<&mut dyn FileUser> {
        self.inner.storage()
    }
}

#[test]
fn each_law_catches_its_breaker() {
    if cfg!(miri) {
        return;
    }
    for breaks in [
        TransferLaw::Completes,
        TransferLaw::EndsInFault,
        TransferLaw::KeepsFirst,
        TransferLaw::Pure,
        TransferLaw::NoSpin,
        TransferLaw::EarlyTicks,
        TransferLaw::Malformed,
        TransferLaw::Aborts,
        TransferLaw::ClosesForward,
        TransferLaw::ClockStepsBack,
        TransferLaw::Unanswered,
    ] {
        let make = || (XferClient::new(b"image", &Timing::CLIENT), Breaker::new(breaks));
        let broken = transfers::<100, _, _>(make, 1).unwrap_err();
        assert_eq!(broken.law, breaks, "{broken}");
    }
}
