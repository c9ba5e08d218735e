//! Our machines keep the laws.

extern crate std;

use super::transfers;
use crate::file::DigestKind;
use crate::transfer::Timing;
use crate::transfer::tftp::{Config, Offer, TftpGet, TftpPut, TftpServer};
use crate::transfer::xfer::{XferClient, XferServer};

const OFFER: Offer = Offer { block: Some(200), window: Some(3), ..Offer::DEFAULT };

fn server() -> TftpServer<16> {
    TftpServer::new(Config { writes: true, ..Config::DEFAULT })
}

#[test]
fn xfer_keeps_the_laws() {
    let make =
        || (XferClient::new(b"image", &Timing::CLIENT), XferServer::<16>::new(Timing::SERVER));
    transfers::<2500, _, _>(make, 1).unwrap();
    transfers::<0, _, _>(make, 1).unwrap();
}

#[test]
fn downloads_keep_the_laws() {
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
    for offer in [Offer::NONE, OFFER] {
        let make = || (TftpPut::new(b"image", 1100, offer, &Timing::CLIENT), server());
        transfers::<1100, _, _>(make, 0).unwrap();
    }
    let empty = || (TftpPut::new(b"image", 0, OFFER, &Timing::CLIENT), server());
    transfers::<0, _, _>(empty, 0).unwrap();
}
