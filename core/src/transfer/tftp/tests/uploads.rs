//! The server, with clients that write.

extern crate std;

use std::vec::Vec;

use super::super::{Config, TftpServer};
use super::{ack, code_of, data, error};
use crate::fault::{Fault, Peer};
use crate::file::{Answer, FileUser, Op, Refusal};
use crate::transfer::tests::{Rig, image};
use crate::transfer::{Heard, Transfer};
use crate::want::Close;

const WRITES: Config = Config { writes: true, ..Config::DEFAULT };

/// A server with room for so many bytes, which was offered a file by this request.
fn offered(room: usize, options: &[u8]) -> Rig<TftpServer<16>> {
    let mut rig = Rig::new(TftpServer::new(WRITES), std::vec![0; room]);
    assert_eq!(rig.hears(&[b"\0\x02image\0octet\0", options].concat()), Heard::Taken);
    assert!(matches!(rig.transfer.op(), Some(Op::Create(_))));
    rig
}

#[test]
fn a_file_is_acknowledged_block_by_block_after_it_is_kept() {
    let mut rig = offered(600, b"");
    assert_eq!(rig.says_one(), ack(0));
    let file = image(600);
    assert_eq!(rig.hears(&data(1, &file[..512])), Heard::Store { at: 4 });
    assert!(!rig.transfer.want().read && !rig.transfer.want().write, "not before it is kept");
    rig.stores_once(500);
    assert!(!rig.transfer.want().read && !rig.transfer.want().write, "not when a part is kept");
    assert_eq!(rig.says_one(), ack(1));
    assert_eq!(rig.hears(&data(2, &file[512..])), Heard::Store { at: 4 });
    rig.stores_once(usize::MAX);
    assert_eq!(rig.transfer.op(), Some(Op::Commit(None)));
    assert!(!rig.transfer.want().write, "the last one not before the file is valid");
    assert_eq!(rig.says_one(), ack(2));
    assert_eq!(rig.disk.whole(), Some(&file[..]));
    assert_eq!(rig.transfer.want().close, Close::WriteHalf);
}

#[test]
fn the_last_ack_is_repeated_for_seconds() {
    let mut rig = offered(9, b"");
    rig.says_one();
    let _ = rig.hears(&data(1, b"abc"));
    assert_eq!(rig.says_one(), ack(1));
    // A client with a timer of 6 s, which loses the first two.
    for _ in 0..2 {
        rig.waits(6_000_000);
        assert_eq!(rig.hears(&data(1, b"abc")), Heard::Ignored);
        assert_eq!(rig.says_one(), ack(1));
    }
    assert_eq!(rig.how(), None);
    rig.waits(10_000_000);
    assert_eq!(rig.how(), Some(Ok(())));
}

#[test]
fn a_client_that_asks_for_ever_is_not_answered_for_ever() {
    let mut rig = offered(9, b"");
    rig.says_one();
    let _ = rig.hears(&data(1, b"abc"));
    rig.says_one();
    while rig.how().is_none() {
        rig.waits(3_000_000);
        if rig.transfer.want().read {
            let _ = rig.hears(&data(1, b"abc"));
            rig.says();
        }
    }
    assert!(rig.now.as_micros() < 40_000_000);
}

#[test]
fn options_are_agreed_for_uploads_too() {
    let mut rig = offered(4000, b"tsize\x003000\0blksize\x001000\0windowsize\x002\0");
    assert_eq!(rig.says_one(), b"\0\x06tsize\x003000\0blksize\x001000\0windowsize\x002\0");
    let file = image(3000);
    let _ = rig.hears(&data(1, &file[..1000]));
    rig.is_silent();
    let _ = rig.hears(&data(2, &file[1000..2000]));
    assert_eq!(rig.says_one(), ack(2), "at the end of the window");
    let _ = rig.hears(&data(3, &file[2000..]));
    rig.is_silent();
    assert_eq!(rig.hears(&data(4, b"")), Heard::Taken);
    assert_eq!(rig.says_one(), ack(4));
    assert_eq!(rig.disk.whole(), Some(&file[..]));
}

#[test]
fn a_gap_is_told_once() {
    let mut rig = offered(8000, b"windowsize\x008\0");
    rig.says_one();
    rig.waits(1000);
    let file = image(8000);
    let block = |n: u16| data(n, &file[usize::from(n - 1) * 512..][..512]);
    let _ = rig.hears(&block(1));
    rig.is_silent();
    assert_eq!(rig.hears(&block(3)), Heard::Ignored);
    assert_eq!(rig.says_one(), ack(1));
    for n in [4, 5, 6] {
        assert_eq!(rig.hears(&block(n)), Heard::Ignored);
        rig.is_silent();
    }
    // Far beyond the window: nothing that this client sent.
    assert_eq!(rig.hears(&data(100, &[0; 512])), Heard::Ignored);
    rig.is_silent();
    rig.waits(1000);
    for n in 2..=8 {
        let _ = rig.hears(&block(n));
        rig.is_silent();
    }
    let _ = rig.hears(&block(9));
    assert_eq!(rig.says_one(), ack(9), "eight blocks behind the last acknowledgement");
}

#[test]
fn what_is_wrong_with_an_upload_is_told() {
    let write = |options: &[u8], block: &[u8]| {
        let mut rig = offered(4000, options);
        rig.says_one();
        let _ = rig.hears(&data(1, block));
        (code_of(&rig.says_one()), rig.how())
    };
    let wrong_size = Some(Err(Fault::Peer(Peer::WrongSize)));
    assert_eq!(write(b"tsize\x003\0", b"ab"), (Some(0), wrong_size));
    assert_eq!(write(b"tsize\x003\0", b"abcd"), (Some(0), wrong_size));
    let too_long = Some(Err(Fault::Peer(Peer::TooLong { claimed: 513, max: 512 })));
    assert_eq!(write(b"", &[1; 513]), (Some(8), too_long));
    let digest = write(b"x-crc32\0cbf43926\0", b"12345678");
    assert_eq!(digest, (Some(0), Some(Err(Fault::Integrity))));
    assert_eq!(write(b"tsize\x000\0x-crc32\0cbf43926\0", b"123456789").1, None);
    let mut rig = offered(0, b"");
    rig.says_one();
    let _ = rig.hears(&data(1, b"abc"));
    assert_eq!(code_of(&rig.says_one()), Some(3), "a full disk");
    for (why, code) in [(Refusal::Exists, 6), (Refusal::NoRoom, 3), (Refusal::ReadOnly, 2)] {
        let mut rig = offered(9, b"");
        rig.answers(Answer::Refused(why));
        assert_eq!(code_of(&rig.says_one()), Some(code));
        assert_eq!(rig.how(), Some(Err(Fault::Denied)));
    }
}

#[test]
fn a_client_that_is_silent_gets_three_oacks_and_one_that_stops_is_given_up() {
    let mut rig = offered(9, b"tsize\x003\0");
    let mut sent = Vec::new();
    while rig.how().is_none() {
        sent.extend(rig.says());
        rig.waits_for_its_timer();
    }
    assert_eq!(sent.len(), 3);
    let mut rig = offered(2000, b"");
    rig.says_one();
    let _ = rig.hears(&data(1, &[7; 512]));
    while rig.how().is_none() {
        rig.says();
        rig.waits_for_its_timer();
    }
    assert_eq!(rig.how(), Some(Err(Fault::TimedOut { waited_us: 30_000_000 })));
    assert_eq!(rig.disk.whole(), None);
}

#[test]
fn an_error_in_the_middle_ends_it_and_is_not_answered() {
    let mut rig = offered(2000, b"");
    rig.says_one();
    let _ = rig.hears(&data(1, &[7; 512]));
    rig.says_one();
    assert_eq!(rig.hears(&error(0)), Heard::Ended { code: 0, at: 4, len: 0 });
    assert_eq!(rig.how(), Some(Err(Fault::Peer(Peer::Aborted))));
    rig.is_silent();
}

#[test]
fn text_is_for_the_shell_to_translate() {
    let mut rig = Rig::new(TftpServer::<16>::new(WRITES), std::vec![0; 9]);
    let _ = rig.hears(b"\0\x02image\0NETASCII\0tsize\x002\0");
    assert!(rig.transfer.text());
    rig.says_one();
    // As it travels it may be longer than was said.
    let _ = rig.hears(&data(1, b"a\r\n"));
    assert_eq!(rig.says_one(), ack(1));
}
