//! The server, with clients that read.

extern crate std;

use std::vec::Vec;

use super::super::{Config, TftpServer};
use super::{ack, code_of, data, error};
use crate::fault::{Fault, Peer, StorageFault};
use crate::file::{Answer, Refusal};
use crate::transfer::tests::{Rig, image};
use crate::transfer::{Heard, REQUEST_COPIES_US, Transfer};

const SECOND: u64 = 1_000_000;

/// A server with a file of so many bytes, which was asked by this request.
pub(super) fn asked(size: usize, request: &[u8]) -> Rig<TftpServer> {
    let mut rig = Rig::new(TftpServer::new(Config::DEFAULT), image(size));
    assert_eq!(rig.hears(request), Heard::Taken);
    rig
}

pub(super) fn rrq(options: &[u8]) -> Vec<u8> {
    [b"\0\x01/image\0octet\0", options].concat()
}

#[test]
fn without_options_the_first_block_leaves_at_once_and_whole_again_when_it_is_lost() {
    let mut rig = asked(700, &rrq(b""));
    let first = data(1, &image(700)[..512]);
    assert_eq!(rig.says_one(), first);
    assert_eq!(rig.transfer.name(), b"image", "a leading / is the root");
    rig.is_silent();
    rig.waits_for_its_timer();
    assert_eq!(rig.says_one(), first);
    assert_eq!(rig.hears(&ack(1)), Heard::Taken);
    assert_eq!(rig.says_one(), data(2, &image(700)[512..]));
    assert_eq!(rig.hears(&ack(2)), Heard::Taken);
    assert_eq!(rig.how(), Some(Ok(())));
    rig.is_silent();
}

/// The numbers of the blocks that leave.
fn numbers(rig: &mut Rig<TftpServer>) -> Vec<u8> {
    rig.says().iter().map(|datagram| datagram[3]).collect()
}

#[test]
fn after_a_loss_rounds_are_shorter_and_end_with_a_question_until_all_of_one_came() {
    let mut rig = asked(8 * 100, &rrq(b"blksize\x008\0windowsize\x0032\0"));
    rig.says_one();
    rig.waits(100);
    assert_eq!(rig.hears(&ack(0)), Heard::Taken);
    assert_eq!(numbers(&mut rig), (1..=32).collect::<Vec<_>>());
    rig.waits(100);
    assert_eq!(rig.hears(&ack(3)), Heard::Taken, "block 4 was lost");
    let round = |first, last| (first..=last).chain([last + 2]).collect::<Vec<_>>();
    assert_eq!(numbers(&mut rig), round(4, 15), "four times as many as came");
    rig.waits(100);
    assert_eq!(rig.hears(&ack(17)), Heard::Taken, "it has left before");
    assert_eq!(numbers(&mut rig), round(18, 41));
    rig.waits(100);
    assert_eq!(
        rig.hears(&ack(43)),
        Heard::Ignored,
        "one out of order is none that can be acknowledged"
    );
    assert_eq!(rig.hears(&ack(41)), Heard::Taken);
    assert_eq!(numbers(&mut rig), (42..=73).collect::<Vec<_>>(), "the window");
    rig.waits(100);
    assert_eq!(rig.hears(&ack(73)), Heard::Taken);
    assert_eq!(numbers(&mut rig), (74..=101).collect::<Vec<_>>());
    rig.waits(100);
    assert_eq!(rig.hears(&ack(75)), Heard::Taken);
    assert_eq!(numbers(&mut rig), round(76, 83));
    rig.waits(100);
    assert_eq!(rig.hears(&ack(83)), Heard::Taken);
    assert_eq!(numbers(&mut rig), round(84, 99));
    rig.waits(100);
    assert_eq!(rig.hears(&ack(92)), Heard::Taken);
    assert_eq!(numbers(&mut rig), (93..=101).collect::<Vec<_>>(), "the last one asks by itself");
    rig.waits(100);
    assert_eq!(rig.hears(&ack(101)), Heard::Taken);
    assert_eq!(rig.how(), Some(Ok(())));
}

#[test]
fn a_receiver_that_does_not_tell_what_it_misses_gets_the_window() {
    let mut rig = asked(8 * 100, &rrq(b"blksize\x008\0windowsize\x0032\0"));
    rig.says_one();
    rig.waits(100);
    assert_eq!(rig.hears(&ack(0)), Heard::Taken);
    assert_eq!(numbers(&mut rig).len(), 32);
    rig.waits(100);
    assert_eq!(rig.hears(&ack(1)), Heard::Taken);
    for sent in [9, 9, 9, 32] {
        assert_eq!(numbers(&mut rig).len(), sent);
        rig.waits_for_its_timer();
    }
}

#[test]
fn sizes_around_a_block_have_the_right_last_block() {
    for (size, last) in [(0, 0), (1, 1), (511, 511), (512, 0), (513, 1), (1024, 0)] {
        let mut rig = asked(size, &rrq(b""));
        let mut block = 0;
        let mut sent = Vec::new();
        while rig.how().is_none() {
            let datagram = rig.says_one();
            block += 1;
            assert_eq!(datagram[..4], data(block, b""));
            sent.extend_from_slice(&datagram[4..]);
            if rig.hears(&ack(block)) == Heard::Taken && rig.how().is_some() {
                assert_eq!(datagram.len() - 4, last, "{size}");
            }
        }
        assert_eq!((rig.how(), sent), (Some(Ok(())), image(size)));
    }
}

#[test]
fn the_oack_says_what_was_asked_and_no_more() {
    for (options, size, oack) in [
        (&b"blksize\x001428\0"[..], 9, &b"\0\x06blksize\x001428\0"[..]),
        (b"tsize\x000\0", 700, b"\0\x06tsize\x00700\0"),
        (
            b"BLKSIZE\x0065464\0tsize\x000\0timeout\x006\0",
            9,
            b"\0\x06tsize\x009\0blksize\x0065464\0",
        ),
        (b"windowsize\x0065535\0", 9, b"\0\x06windowsize\x0064\0"),
        (b"utimeout\x0050000\0timeout\x001\0", 9, b"\0\x06utimeout\x0050000\0"),
        (b"seek\x004\0", 9, b"\0\x06seek\x004\0"),
        (b"seek\x009\0rsize\x005\0", 9, b"\0\x06seek\x009\0rsize\x000\0"),
        (b"rsize\x005\0", 9, b"\0\x06rsize\x005\0"),
        (b"x-crc32\x000\0", 9, b"\0\x06x-crc32\0cbf43926\0"),
    ] {
        let file = if options.starts_with(b"x-") { b"123456789".to_vec() } else { image(size) };
        let mut rig = Rig::new(TftpServer::<16>::new(Config::DEFAULT), file);
        assert_eq!(rig.hears(&rrq(options)), Heard::Taken);
        assert_eq!(rig.says_one(), oack, "{}", options.escape_ascii());
    }
}

#[test]
fn with_nothing_to_say_there_is_no_oack() {
    // curl rejects a size of 0; the others are absurd, not for a server to change, or behind the end.
    for options in [&b"tsize\x000\0"[..], b"blksize\x007\0", b"timeout\x001\0", b"seek\x001\0"] {
        let mut rig = asked(0, &rrq(options));
        assert_eq!(rig.says_one(), data(1, b""), "{}", options.escape_ascii());
    }
}

#[test]
fn a_digest_is_not_made_of_a_file_that_is_too_long() {
    let config = Config { digest_max: 8, ..Config::DEFAULT };
    let mut rig = Rig::new(TftpServer::<16>::new(config), image(9));
    let _ = rig.hears(&rrq(b"x-crc32\x000\0"));
    assert_eq!(rig.says_one(), data(1, &image(9)));
}

#[test]
fn a_part_is_sent_from_seek_on() {
    let mut rig = asked(2000, &rrq(b"seek\x00900\0rsize\x00600\0"));
    assert_eq!(rig.says_one(), b"\0\x06seek\x00900\0rsize\x00600\0");
    let _ = rig.hears(&ack(0));
    assert_eq!(rig.says_one(), data(1, &image(2000)[900..1412]));
    let _ = rig.hears(&ack(1));
    assert_eq!(rig.says_one(), data(2, &image(2000)[1412..1500]));
    let _ = rig.hears(&ack(2));
    assert_eq!(rig.how(), Some(Ok(())));
}

#[test]
fn three_copies_of_an_ack_draw_one_block() {
    let mut rig = asked(2000, &rrq(b""));
    rig.says_one();
    assert_eq!(rig.hears(&ack(1)), Heard::Taken);
    assert_eq!(rig.hears(&ack(1)), Heard::Ignored);
    rig.says_one();
    for _ in 0..3 {
        rig.waits(SECOND / 1000);
        assert_eq!(rig.hears(&ack(1)), Heard::Ignored);
        rig.is_silent();
    }
    // Nor do acknowledgements of what never left, or left long ago.
    for block in [0, 3, 4, 1000, 65535] {
        assert_eq!(rig.hears(&ack(block)), Heard::Ignored);
        rig.is_silent();
    }
}

#[test]
fn an_address_that_does_not_answer_gets_three_datagrams() {
    for (options, len) in [(&b""[..], 516), (b"windowsize\x0064\0blksize\x001428\0", 32)] {
        let mut rig = asked(100_000, &rrq(options));
        let mut sent = Vec::new();
        while rig.how().is_none() {
            sent.extend(rig.says());
            rig.waits_for_its_timer();
        }
        assert_eq!(sent.len(), 3, "{sent:?}");
        assert!(sent.iter().all(|it| it.len() <= len), "one block at most");
        assert!(matches!(rig.how(), Some(Err(Fault::TimedOut { .. }))));
        assert!(rig.now.as_micros() < 9 * SECOND);
        rig.is_silent();
    }
}

#[test]
fn a_window_comes_after_the_first_ack_and_moves_with_each() {
    let mut rig = asked(100_000, &rrq(b"windowsize\x004\0"));
    assert_eq!(rig.says().len(), 1, "the OACK alone");
    rig.waits(1000);
    assert_eq!(rig.hears(&ack(0)), Heard::Taken);
    let numbers = |all: Vec<Vec<u8>>| all.iter().map(|it| it[3]).collect::<Vec<_>>();
    assert_eq!(numbers(rig.says()), [1, 2, 3, 4]);
    rig.waits(1000);
    assert_eq!(rig.hears(&ack(4)), Heard::Taken);
    assert_eq!(numbers(rig.says()), [5, 6, 7, 8]);
    // Block 7 was lost.
    rig.waits(1000);
    assert_eq!(rig.hears(&ack(6)), Heard::Taken);
    assert_eq!(numbers(rig.says()), [7, 8, 9, 10]);
    // A copy that comes at once says nothing, one that comes a round trip later that 7 was lost again.
    rig.waits(100);
    assert_eq!(rig.hears(&ack(6)), Heard::Ignored);
    rig.is_silent();
    rig.waits(1000);
    let _ = rig.hears(&ack(6));
    assert_eq!(numbers(rig.says()), [7, 8, 9, 10]);
    rig.waits(1000);
    let _ = rig.hears(&ack(6));
    rig.is_silent();
    // All were lost.
    rig.waits_for_its_timer();
    assert_eq!(numbers(rig.says()), [7, 8, 9, 10]);
}

#[test]
fn a_size_that_is_looked_up_is_no_failure() {
    let mut rig = asked(700, &rrq(b"tsize\x000\0"));
    rig.says_one();
    assert_eq!(rig.hears(b"\0\x05\0\x08no\0"), Heard::Ended { code: 8, at: 4, len: 2 });
    assert_eq!(rig.how(), Some(Err(Fault::Peer(Peer::Declined))));
    rig.is_silent();
    // Later it is one.
    let mut rig = asked(700, &rrq(b""));
    rig.says_one();
    let _ = rig.hears(&error(3));
    assert_eq!(rig.how(), Some(Err(Fault::Peer(Peer::Aborted))));
    rig.is_silent();
}

#[test]
fn the_same_request_is_answered_again_and_another_one_ends_the_transfer() {
    let request = rrq(b"tsize\x000\0");
    let mut rig = asked(2000, &request);
    let oack = rig.says_one();
    rig.waits(REQUEST_COPIES_US.into());
    assert_eq!(rig.hears(&request), Heard::Taken);
    assert_eq!(rig.says_one(), oack);
    let _ = rig.hears(&ack(0));
    rig.says_one();
    // A copy that is late.
    assert_eq!(rig.hears(&request), Heard::Ignored);
    rig.is_silent();
    // A device that rebooted: acknowledgements have stopped coming.
    for _ in 0..3 {
        rig.waits_for_its_timer();
        rig.says_one();
    }
    assert_eq!(rig.hears(&request), Heard::Replaced);
    assert_eq!(rig.how(), Some(Err(Fault::Peer(Peer::Aborted))));
    rig.is_silent();
    for other in [rrq(b""), b"\0\x01other\0octet\0tsize\x000\0".to_vec()] {
        let mut rig = asked(2000, &request);
        rig.says_one();
        assert_eq!(rig.hears(&other), Heard::Replaced);
        rig.is_silent();
    }
}

#[test]
fn refusals_come_before_any_oack_and_say_nothing_of_the_host() {
    for (why, code) in [
        (Refusal::NotFound, 1),
        (Refusal::NotAllowed, 2),
        (Refusal::BadName, 2),
        (Refusal::NotAFile, 2),
        (Refusal::Busy, 0),
        (Refusal::Failed, 0),
        (Refusal::TooLong, 0),
    ] {
        let mut rig = asked(700, &rrq(b"tsize\x000\0"));
        rig.answers(Answer::Refused(why));
        let word = rig.says_one();
        assert_eq!(code_of(&word), Some(code), "{why:?}");
        assert_eq!(&word[4..], [why.text().as_bytes(), b"\0"].concat());
        assert_eq!(rig.how(), Some(Err(Fault::Denied)));
        rig.is_silent();
    }
    for (request, code) in [
        (&b"\0\x01\0octet\0"[..], 2),
        (b"\0\x01///\0octet\0", 2),
        (b"\0\x02image\0octet\0", 2),
        (b"\0\x01a-name-that-is-long\0octet\0", 0),
    ] {
        let mut rig = Rig::new(TftpServer::<16>::new(Config::DEFAULT), image(1));
        let _ = rig.hears(request);
        assert_eq!(code_of(&rig.says_one()), Some(code), "{}", request.escape_ascii());
        assert_eq!(rig.how(), Some(Err(Fault::Denied)));
    }
}

#[test]
fn what_is_no_request_draws_an_error_if_it_means_to_be_one() {
    for (datagram, code) in [
        (&b"\0\x01image\0mail\0"[..], Some(4)),
        (b"\0\x01image", Some(4)),
        (b"\0\x02", Some(4)),
        (b"\0\x04\0\x01", None),
        (b"\0\x03\0\x01abc", None),
        (b"\0\x05\0\x01", None),
        (b"\0\x06", None),
        (b"\0\x09image\0octet\0", None),
        (b"", None),
    ] {
        let mut rig = Rig::new(TftpServer::<16>::new(Config::DEFAULT), image(1));
        let heard = rig.hears(datagram);
        assert!(matches!(heard, Heard::Malformed(_) | Heard::Ignored), "{heard:?}");
        let said = rig.says();
        assert_eq!(
            said.first().and_then(|word| code_of(word)),
            code,
            "{}",
            datagram.escape_ascii()
        );
        assert!(rig.how().is_some_and(|how| how.is_err()));
    }
}

#[test]
fn a_file_that_shrinks_ends_the_transfer_with_an_error() {
    let mut rig = asked(2000, &rrq(b""));
    rig.says_one();
    rig.transfer.abort(Fault::Storage(StorageFault::Failed));
    assert_eq!(code_of(&rig.says_one()), Some(0));
    assert_eq!(rig.how(), Some(Err(Fault::Storage(StorageFault::Failed))));
    rig.transfer.abort(Fault::Aborted);
    assert_eq!(rig.how(), Some(Err(Fault::Storage(StorageFault::Failed))), "the first end stays");
    rig.is_silent();
}

#[test]
fn block_numbers_go_on_at_0() {
    if cfg!(miri) {
        return;
    }
    let size = 8 * 65_600;
    let file = image(size);
    let mut rig = asked(size, &rrq(b"blksize\x008\0windowsize\x0064\0"));
    rig.says_one();
    let _ = rig.hears(&ack(0));
    let (mut sent, mut last) = (0, 0_u16);
    while rig.how().is_none() {
        for datagram in rig.says() {
            last = last.wrapping_add(1);
            assert_eq!(datagram[..4], data(last, b""));
            assert_eq!(datagram[4..], file[sent..(sent + 8).min(size)]);
            sent += datagram.len() - 4;
        }
        let _ = rig.hears(&ack(last));
    }
    assert_eq!((rig.how(), sent), (Some(Ok(())), size));
}
