//! Whatever fails is told in one line, and no file is left under the final name.

use std::fs;

use nix::sys::signal::Signal;
use windlass_tests::windlass;

use crate::fake::{Fake, Place, ack, data, is_error, oack, play};

#[test]
fn answers_that_were_not_asked_for_end_it_with_error_8() {
    let old = b"old";
    for (options, answer, why) in [
        ("", oack(&[("blksize", "1429")]), "options that were not asked for"),
        ("", oack(&[("blksize", "7")]), "options that were not asked for"),
        ("", oack(&[("windowsize", "0")]), "options that were not asked for"),
        ("", oack(&[("multicast", "")]), "options that were not asked for"),
        ("", oack(&[("seek", "5")]), "options that were not asked for"),
        ("--no-options", oack(&[("blksize", "512")]), "options that were not asked for"),
    ] {
        let (place, fake) = (Place::new(), Fake::new());
        fs::write(place.file(), old).unwrap();
        let outcome = play(place.get(&fake.url("a"), options), || {
            let (_, client) = fake.request();
            fake.says(client, &answer);
            let said = fake.hears();
            assert!(is_error(&said, 8), "{}", said.escape_ascii());
        });
        outcome.fails_with(1, &[why]);
        place.has_only(old);
    }
    // A block that is larger than was agreed.
    let (place, fake) = (Place::new(), Fake::new());
    let outcome = play(place.get(&fake.url("a"), "--blksize 100"), || {
        let (_, client) = fake.request();
        fake.says(client, &oack(&[("blksize", "90")]));
        assert_eq!(fake.hears(), ack(0));
        fake.says(client, &data(1, &[b'x'; 95]));
        assert!(is_error(&fake.hears_after(&ack(0)), 8));
    });
    outcome.fails_with(1, &["the peer sent 95 bytes where 90 are allowed"]);
    place.is_empty();
}

#[test]
fn a_file_that_ends_too_early_or_too_late_is_none() {
    for blocks in [&[512, 100][..], &[512, 512, 0]] {
        let (place, fake) = (Place::new(), Fake::new());
        fs::write(place.file(), "old").unwrap();
        let outcome = play(place.get(&fake.url("a"), "--blksize 512 --window 1"), || {
            let (_, client) = fake.request();
            fake.says(client, &oack(&[("tsize", "700"), ("blksize", "512")]));
            assert_eq!(fake.hears(), ack(0));
            for (&len, number) in blocks.iter().zip(1..) {
                fake.says(client, &data(number, &vec![b'x'; len]));
                let said = fake.hears_after(&ack(number - 1));
                if said != ack(number) {
                    assert!(is_error(&said, 0), "{}", said.escape_ascii());
                    break;
                }
            }
        });
        outcome.fails_with(1, &["fewer or more bytes than it had announced"]);
        assert_eq!(fs::read(place.file()).unwrap(), b"old");
    }
}

#[test]
fn an_error_is_shown_and_not_answered() {
    for (first, text, shown) in [
        (true, &b"\x1b[31mno\r\n"[..], r"the server refused: \u{1b}[31mno\r\n (error 2)"),
        (false, b"disk broken", "the server refused: disk broken (error 2)"),
    ] {
        let (place, fake) = (Place::new(), Fake::new());
        let mut last = Vec::new();
        let outcome = play(place.get(&fake.url("a"), ""), || {
            let client;
            (last, client) = fake.request();
            if !first {
                fake.says(client, &data(1, &[b'x'; 512]));
                last = fake.hears();
                assert_eq!(last, ack(1));
            }
            fake.says(client, &[b"\0\x05\0\x02", text, b"\0"].concat());
        });
        outcome.fails_with(1, &[shown]);
        fake.has_heard_all_after(&last);
        assert!(!place.file().exists());
    }
}

#[test]
fn a_server_that_dies_ends_in_a_named_fault() {
    // Silence, from the beginning, and in the middle.
    let (place, fake) = (Place::new(), Fake::new());
    let outcome = place.get(&fake.url("a"), "--timeout 0.3").run();
    outcome.fails_with(1, &["no answer from 127.0.0.1:", " within "]);
    let fake = Fake::new();
    let outcome = play(place.get(&fake.url("a"), "--timeout 0.3"), || {
        let (_, client) = fake.request();
        fake.says(client, &data(1, &[b'x'; 512]));
        assert_eq!(fake.hears(), ack(1));
    });
    outcome.fails_with(1, &["no byte moved for 0.3", "512 bytes are kept"]);
    // Its port is closed.
    let closed = Fake::new().url("a");
    place.get(&closed, "").run().fails_with(1, &["Connection refused"]);
    let fake = Fake::new();
    let url = fake.url("a");
    let outcome = play(place.get(&url, ""), || {
        let (_, client) = fake.request();
        fake.says(client, &data(1, &[b'x'; 512]));
        assert_eq!(fake.hears(), ack(1));
        drop(fake);
    });
    outcome.fails_with(1, &["Connection refused"]);
    assert!(!place.file().exists());
}

#[test]
fn a_full_disk_is_told_to_both_ends() {
    let (place, fake) = (Place::new(), Fake::new());
    let client = windlass!("get").arg(fake.url("a")).words("-o /dev/full");
    let outcome = play(client, || {
        let (_, client) = fake.request();
        fake.says(client, &data(1, &[b'x'; 512]));
        // What is written to a device may be acknowledged before the device says no.
        let mut number = 1;
        loop {
            let said = fake.hears_after(&ack(number - 1));
            if is_error(&said, 0) || is_error(&said, 3) {
                break;
            }
            number += 1;
            fake.says(client, &data(number, &[b'x'; 512]));
        }
    });
    outcome.fails_with(1, &["write", "/dev/full", "No space left on device"]);
    place.is_empty();
}

#[test]
fn a_client_that_is_ended_tells_the_server() {
    for command in ["get", "put"] {
        let (place, fake) = (Place::new(), Fake::new());
        let client = if command == "get" {
            place.get(&fake.url("a"), "--no-options")
        } else {
            fs::write(place.file(), [b'x'; 2000]).unwrap();
            place.put(&fake.url("a"), "--no-options")
        };
        let running = client.start();
        let (_, client) = fake.request();
        let before = if command == "get" {
            fake.says(client, &data(1, &[b'x'; 512]));
            ack(1)
        } else {
            fake.says(client, &ack(0));
            data(1, &[b'x'; 512])
        };
        assert_eq!(fake.hears(), before);
        assert_eq!(running.end_by(Signal::SIGTERM), None, "{command} dies of the signal");
        assert!(is_error(&fake.hears_after(&before), 0), "{command}");
        if command == "get" {
            assert!(!place.file().exists());
            assert_eq!(place.names().len(), 2, "a part and its facts: {:?}", place.names());
        }
    }
}

#[test]
fn words_that_make_no_sense_are_refused_before_anything_is_sent() {
    for (words, why) in [
        ("tftp://127.0.0.1/", "names no file"),
        ("tftp://127.0.0.1/a%00", "NUL"),
        ("tftp://127.0.0.1/a;mode=mail", "neither octet nor netascii"),
        ("tftp://u@127.0.0.1/a", "no login"),
        ("tftp://127.0.0.1/a --blksize 7", "8..=65464"),
        ("tftp://127.0.0.1/a --window 0", "0 is not in"),
        ("tftp://127.0.0.1/a --no-options --verify", "--no-options"),
        ("tftp://127.0.0.1/a --no-options --window 2", "--no-options"),
        ("tftp://127.0.0.1/a;mode=netascii --verify", "mode=octet"),
        ("xfer://127.0.0.1/a --verify", "xfer://"),
        ("xfer://127.0.0.1/a --continue -o x", "xfer://"),
        ("http://127.0.0.1/a --window 2", "tftp://"),
    ] {
        windlass!("get").words(words).run().fails_with(2, &[why]);
    }
}
