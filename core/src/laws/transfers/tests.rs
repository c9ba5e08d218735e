//! Our machines keep the laws, and each law is worth what it catches.

extern crate std;

use core::cell::Cell;

use super::{TransferLaw, transfers};
use crate::fault::Fault;
use crate::file::{DigestKind, FileUser};
use crate::time::Instant;
use crate::transfer::tftp::{Config, Offer, TftpGet, TftpPut, TftpServer};
use crate::transfer::xfer::{XferClient, XferServer};
use crate::transfer::{Heard, Timing, Transfer, Tx};
use crate::want::Want;

const OFFER: Offer = Offer { block: Some(200), window: Some(3), ..Offer::DEFAULT };

fn server() -> TftpServer<16> {
    TftpServer::new(Config { writes: true, ..Config::DEFAULT })
}

#[test]
fn xfer_keeps_the_laws() {
    let make =
        || (XferClient::new(b"image", &Timing::CLIENT), XferServer::<16>::new(Timing::SERVER));
    transfers::<0, _, _>(make, 1).unwrap();
    if !cfg!(miri) {
        transfers::<2500, _, _>(make, 1).unwrap();
    }
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

/// A server that breaks a law.
struct Breaker {
    inner: XferServer<16>,
    breaks: TransferLaw,
    renders: Cell<u8>,
}

impl Breaker {
    fn breaks(&self, law: TransferLaw) -> bool {
        self.breaks == law
    }
}

impl Transfer for Breaker {
    fn handle(&mut self, now: Instant, datagram: &[u8]) -> Heard {
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
            self.renders.set(self.renders.get().wrapping_add(1));
            head[4] = self.renders.get();
        }
        Some(tx)
    }

    fn sent(&mut self, now: Instant, count: usize) {
        Transfer::sent(&mut self.inner, now, count);
    }

    fn tick(&mut self, now: Instant) {
        if self.breaks(TransferLaw::EarlyTicks) {
            self.inner.abort(Fault::Aborted);
        }
        self.inner.tick(now);
    }

    fn want(&self) -> Want {
        let want = self.inner.want();
        match self.breaks {
            TransferLaw::NoSpin => Want { write: true, ..want },
            TransferLaw::KeepsFirst => Want { read: true, ..want },
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
    for breaks in [
        TransferLaw::Completes,
        TransferLaw::KeepsFirst,
        TransferLaw::Pure,
        TransferLaw::NoSpin,
        TransferLaw::EarlyTicks,
        TransferLaw::Malformed,
        TransferLaw::Aborts,
    ] {
        let make = || {
            let inner = XferServer::new(Timing::SERVER);
            let server = Breaker { inner, breaks, renders: Cell::new(0) };
            (XferClient::new(b"image", &Timing::CLIENT), server)
        };
        let broken = transfers::<100, _, _>(make, 1).unwrap_err();
        assert_eq!(broken.law, breaks, "{broken}");
    }
}
