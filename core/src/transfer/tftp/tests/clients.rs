//! The clients, with the servers that there are.

extern crate std;

use std::vec::Vec;

use super::super::{Offer, TftpGet, TftpPut};
use super::{ack, code_of, data, error};
use crate::fault::{Fault, Limit, Peer};
use crate::file::{Digest, DigestKind, FileUser, Op};
use crate::transfer::tests::{Rig, image};
use crate::transfer::{Heard, Timing, Transfer};
use crate::want::Close;

const OFFER: Offer = Offer { block: Some(1000), window: Some(4), ..Offer::DEFAULT };

/// A client that has asked, with room for so many bytes.
fn asks(room: usize) -> Rig<TftpGet<&'static [u8; 5]>> {
    let client = TftpGet::new(b"image", OFFER, &Timing::CLIENT);
    let mut rig = Rig::new(client, std::vec![0; room]);
    assert_eq!(
        rig.says_one(),
        b"\0\x01image\0octet\0tsize\x000\0blksize\x001000\0windowsize\x004\0utimeout\x0020000\0"
    );
    rig
}

#[test]
fn a_request_is_repeated_until_it_is_answered_and_then_given_up() {
    let mut rig = asks(9);
    let mut waited = Vec::new();
    while rig.how().is_none() {
        let before = rig.now;
        rig.waits_for_its_timer();
        waited.push(rig.now.since(before) / 1_000_000);
        rig.says();
    }
    assert_eq!(waited, [1, 2, 4, 8, 8, 7]);
    assert_eq!(rig.how(), Some(Err(Fault::TimedOut { waited_us: 30_000_000 })));
    rig.is_silent();
}

/// Karn's rule: nothing tells which of two requests was answered, so it is not measured; and the wait for what
/// comes next is not the long one of a request.
#[test]
fn a_lost_request_makes_no_timeout_long() {
    let mut rig = asks(2000);
    rig.waits_for_its_timer();
    rig.says();
    rig.waits(1000);
    assert_eq!(rig.hears(b"\0\x06blksize\x001000\0"), Heard::Taken);
    assert_eq!(rig.says_one(), ack(0));
    let before = rig.now;
    rig.waits_for_its_timer();
    assert_eq!((rig.now.since(before), rig.says_one()), (100_000, ack(0).to_vec()));
    rig.waits(1000);
    let _ = rig.hears(&data(1, &[7; 1000]));
    assert_eq!(rig.says_one(), ack(1));
    // This one is measured.
    rig.waits(1000);
    let _ = rig.hears(&data(2, &[7; 500]));
    assert_eq!(rig.says_one(), ack(2));
    assert_eq!(rig.disk.whole(), Some(&[7; 1500][..]));
}

#[test]
fn what_is_agreed_is_used() {
    let file = image(2300);
    let mut rig = asks(2300);
    assert_eq!(rig.hears(b"\0\x06BlkSize\x00900\0windowsize\x002\0TSIZE\x002300\0"), Heard::Taken);
    let Some(Op::Create(head)) = rig.transfer.op() else { panic!("no place is asked for") };
    assert_eq!((head.name, head.size, head.offset), (&b"image"[..], Some(2300), 0));
    assert_eq!(rig.says_one(), ack(0));
    assert_eq!(rig.hears(&data(1, &file[..900])), Heard::Store { at: 4 });
    rig.is_silent();
    let _ = rig.hears(&data(2, &file[900..1800]));
    assert_eq!(rig.says_one(), ack(2));
    let _ = rig.hears(&data(3, &file[1800..]));
    assert_eq!(rig.says_one(), ack(3));
    assert_eq!(rig.disk.whole(), Some(&file[..]));
    assert_eq!(rig.transfer.want().close, Close::WriteHalf, "a shell may leave");
    rig.waits(1_000_000);
    assert_eq!(rig.how(), Some(Ok(())));
}

#[test]
fn a_server_without_options_is_understood() {
    let file = image(700);
    let mut rig = asks(700);
    assert_eq!(rig.hears(&data(1, &file[..512])), Heard::Store { at: 4 });
    assert_eq!(rig.says_one(), ack(1));
    let _ = rig.hears(&data(2, &file[512..]));
    assert_eq!(rig.says_one(), ack(2));
    assert_eq!(rig.disk.whole(), Some(&file[..]));
    // An empty file.
    let mut rig = asks(0);
    assert_eq!(rig.hears(&data(1, b"")), Heard::Taken);
    assert_eq!(rig.says_one(), ack(1));
    assert_eq!(rig.disk.whole(), Some(&b""[..]));
}

#[test]
fn blocks_that_come_without_their_oack_are_not_taken() {
    // A server that did not wait for its OACK to be acknowledged, and the OACK was lost.
    let mut rig = asks(9);
    assert_eq!(rig.hears(&data(1, &[7; 1000])), Heard::Ignored);
    assert_eq!(rig.hears(&data(2, &[7; 100])), Heard::Ignored);
    rig.is_silent();
    rig.waits_for_its_timer();
    assert_eq!(rig.says_one()[..2], [0, 1]);
}

#[test]
fn options_that_were_not_asked_for_end_it() {
    for options in [
        &b"blksize\x001001\0"[..],
        b"blksize\x007\0",
        b"blksize\x00x\0",
        b"windowsize\x005\0",
        b"windowsize\x000\0",
        b"utimeout\x0020001\0",
        b"timeout\x001\0",
        b"tsize\0-1\0",
        b"seek\x007\0",
        b"rsize\x007\0",
        b"x-crc32\0cbf43926\0",
        b"colour\0blue\0",
    ] {
        let mut rig = asks(9);
        assert_eq!(rig.hears(&[b"\0\x06", options].concat()), Heard::Taken);
        assert_eq!(rig.how(), Some(Err(Fault::Peer(Peer::Options))), "{}", options.escape_ascii());
        assert_eq!(code_of(&rig.says_one()), Some(8));
        rig.is_silent();
    }
}

#[test]
fn a_block_that_is_larger_than_agreed_ends_it() {
    let mut rig = asks(9);
    let _ = rig.hears(b"\0\x06blksize\x00900\0");
    rig.says_one();
    let _ = rig.hears(&data(1, &[7; 901]));
    let too_long = Peer::TooLong { claimed: 901, max: 900 };
    assert_eq!(rig.how(), Some(Err(Fault::Peer(too_long))));
    assert_eq!(code_of(&rig.says_one()), Some(8));
}

#[test]
fn a_file_that_is_cut_or_too_long_is_no_file() {
    for block in [&[7; 899][..], &[7; 901]] {
        let mut rig = asks(2000);
        let _ = rig.hears(b"\0\x06tsize\x00900\0blksize\x001000\0");
        rig.says_one();
        let _ = rig.hears(&data(1, block));
        assert_eq!(rig.how(), Some(Err(Fault::Peer(Peer::WrongSize))));
        assert_eq!(code_of(&rig.says_one()), Some(0));
        assert_eq!(rig.disk.whole(), None);
    }
}

#[test]
fn an_oack_that_comes_again_is_answered_again() {
    let mut rig = asks(9);
    let _ = rig.hears(b"\0\x06blksize\x00900\0");
    assert_eq!(rig.says_one(), ack(0));
    // A copy.
    let _ = rig.hears(b"\0\x06blksize\x00900\0");
    rig.is_silent();
    rig.waits(500_000);
    let _ = rig.hears(b"\0\x06blksize\x00900\0");
    assert_eq!(rig.says_one(), ack(0));
    let _ = rig.hears(&data(1, b"abc"));
    assert_eq!(rig.says_one(), ack(1));
}

#[test]
fn an_error_ends_it_and_is_not_answered() {
    let mut rig = asks(9);
    let heard = rig.hears(b"\0\x05\0\x01no such file\0");
    assert_eq!(heard, Heard::Ended { code: 1, at: 4, len: 12 });
    assert_eq!(rig.how(), Some(Err(Fault::Peer(Peer::Refused))));
    rig.is_silent();
    let mut rig = asks(2000);
    let _ = rig.hears(&data(1, &[7; 512]));
    rig.says_one();
    let _ = rig.hears(&error(0));
    assert_eq!(rig.how(), Some(Err(Fault::Peer(Peer::Aborted))));
    rig.is_silent();
}

#[test]
fn numbers_may_go_on_at_1_where_a_window_is_one_block() {
    if cfg!(miri) {
        return;
    }
    for first in [0, 1] {
        let offer = Offer { block: Some(8), ..Offer::NONE };
        let mut rig =
            Rig::new(TftpGet::new(b"image", offer, &Timing::CLIENT), std::vec![0; 600_000]);
        rig.says_one();
        let _ = rig.hears(b"\0\x06blksize\x008\0");
        rig.says_one();
        let mut block = 0_u16;
        for _ in 0..66_000 {
            block = block.checked_add(1).unwrap_or(first);
            let _ = rig.hears(&data(block, &[7; 8]));
            assert_eq!(rig.says_one(), ack(block));
        }
        let _ = rig.hears(&data(block + 1, b""));
        rig.says_one();
        assert_eq!(rig.disk.whole().map(<[u8]>::len), Some(8 * 66_000));
    }
}

#[test]
fn a_part_is_asked_for_and_may_be_refused() {
    let seeks = |oack: &[u8]| {
        let client = TftpGet::new(b"image", Offer::NONE, &Timing::CLIENT);
        let mut rig = Rig::new(client.seek(100).digest(DigestKind::Crc32), std::vec![0; 600]);
        assert_eq!(rig.says_one(), b"\0\x01image\0octet\0seek\x00100\0x-crc32\x000\0");
        let _ = rig.hears(oack);
        let Some(Op::Create(head)) = rig.transfer.op() else { panic!("no place is asked for") };
        (head.offset, head.digest)
    };
    assert_eq!(seeks(b"\0\x06seek\x00100\0"), (100, None));
    assert_eq!(seeks(b"\0\x06x-crc32\0cbf43926\0"), (0, Some(DigestKind::Crc32)));
    assert_eq!(seeks(&data(1, b"abc")), (0, None));
}

#[test]
fn a_digest_is_for_storage_to_compare() {
    for (bytes, how) in [(b"123456789", None), (b"123456780", Some(Err(Fault::Integrity)))] {
        let client = TftpGet::new(b"image", Offer::NONE, &Timing::CLIENT);
        let mut rig = Rig::new(client.digest(DigestKind::Crc32), std::vec![0; 9]);
        rig.says_one();
        let _ = rig.hears(b"\0\x06x-crc32\0cbf43926\0");
        rig.says_one();
        let _ = rig.hears(&data(1, bytes));
        rig.stores();
        assert_eq!(rig.how(), how);
        assert_eq!(code_of(&rig.says_one()), how.map(|_| 0));
    }
}

#[test]
fn a_name_that_fits_into_no_request_is_not_sent() {
    for (name, need, have) in [(&b"a\0b"[..], 3, 1), (b"", 0, 0), (&[b'x'; 333], 333, 332)] {
        let mut rig = Rig::new(TftpGet::new(name, OFFER, &Timing::CLIENT), Vec::new());
        assert_eq!(rig.how(), Some(Err(Fault::Local(Limit { need, have }))));
        let _ = rig.transfer.handle(rig.now, &data(1, b""));
        let put = TftpPut::new(name, 0, OFFER, &Timing::CLIENT);
        assert!(put.want().close.is_done());
    }
    // The longest with all that can be asked.
    let name = [b'x'; 332];
    let client = TftpGet::new(&name, OFFER, &Timing::CLIENT);
    let client = client.seek(u64::MAX).digest(DigestKind::Blake3);
    assert!(Rig::new(client, Vec::new()).says_one().len() <= 512);
    let put = TftpPut::new(&name, u64::MAX, OFFER, &Timing::CLIENT);
    let put = put.digest(Digest::Blake3([0xff; 32]));
    let len = Rig::new(put, Vec::new()).says_one().len();
    assert!(len <= 512, "{len}");
}

#[test]
fn a_file_is_offered_and_sent() {
    for answer in [&ack(0)[..], b"\0\x06windowsize\x002\0blksize\x00512\0tsize\x001200\0"] {
        let put = TftpPut::new(b"image", 1200, OFFER, &Timing::CLIENT);
        let mut rig = Rig::new(put, image(1200));
        let request = rig.says_one();
        assert_eq!(
            request,
            b"\0\x02image\0octet\0tsize\x001200\0blksize\x001000\0windowsize\x004\0utimeout\x0020000\0"
        );
        rig.waits_for_its_timer();
        assert_eq!(rig.says_one(), request);
        assert_eq!(rig.hears(answer), Heard::Taken);
        let mut sent = rig.says();
        assert_eq!(sent.len(), if answer.len() > 4 { 2 } else { 1 });
        // Copies of the first answer draw nothing.
        for _ in 0..3 {
            let _ = rig.hears(answer);
            rig.is_silent();
        }
        while rig.how().is_none() {
            let block = u16::from(sent.last().expect("a block")[3]);
            let _ = rig.hears(&ack(block));
            sent.extend(rig.says());
        }
        assert_eq!(rig.how(), Some(Ok(())));
        let bytes: Vec<u8> = sent.iter().flat_map(|it| it[4..].to_vec()).collect();
        assert_eq!(bytes, image(1200));
    }
}

#[test]
fn an_upload_that_is_refused_ends() {
    let put = || {
        let mut rig = Rig::new(TftpPut::new(b"image", 9, OFFER, &Timing::CLIENT), image(9));
        rig.says_one();
        rig
    };
    let mut rig = put();
    assert_eq!(rig.hears(&error(6)), Heard::Ended { code: 6, at: 4, len: 0 });
    assert_eq!(rig.how(), Some(Err(Fault::Peer(Peer::Refused))));
    rig.is_silent();
    let mut rig = put();
    let _ = rig.hears(b"\0\x06blksize\x001001\0");
    assert_eq!(rig.how(), Some(Err(Fault::Peer(Peer::Options))));
    assert_eq!(code_of(&rig.says_one()), Some(8));
    let mut rig = put();
    let _ = rig.hears(&ack(0));
    rig.says_one();
    let _ = rig.hears(&error(3));
    assert_eq!(rig.how(), Some(Err(Fault::Peer(Peer::Aborted))));
}
