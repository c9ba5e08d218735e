//! Files that are put.

use std::fs;

use windlass_tests::{Random, windlass};

use crate::fake::{Fake, Place, ack, is_error, oack, option, play};

#[test]
fn an_upload_that_takes_too_long_in_all_ends_and_the_server_is_told() {
    let (place, fake) = (Place::new(), Fake::new());
    fs::write(place.file(), [7; 2000]).unwrap();
    let outcome =
        play(place.put(&fake.url("x"), "--max-time 0.3 --window 1 --blksize 512"), || {
            let (_, client) = fake.request();
            fake.says(client, &oack(&[("blksize", "512")]));
            while !is_error(&fake.hears(), 0) {}
        });
    outcome.fails_with(1, &["put", "0.3 s", "--max-time"]);
}

#[test]
fn a_file_is_put_block_by_block() {
    let (place, content) = (Place::new(), Random::new(8).bytes(1300));
    for (options, size) in [("", 1428), ("--blksize 100 --window 1", 100), ("--no-options", 512)] {
        for len in [1300, 1024, 0] {
            fs::write(place.file(), &content[..len]).unwrap();
            let fake = Fake::new();
            let outcome = play(place.put(&fake.url("dir/a%20b"), options), || {
                let (request, client) = fake.request();
                assert!(
                    request.starts_with(b"\0\x02dir/a b\0octet\0"),
                    "{}",
                    request.escape_ascii()
                );
                assert_eq!(option(&request, "tsize"), (size != 512).then(|| len.to_string()));
                let size_text = size.to_string();
                match size {
                    512 => fake.says(client, &ack(0)),
                    _ => fake.says(client, &oack(&[("blksize", &size_text), ("windowsize", "1")])),
                }
                assert!(fake.takes(client, size) == content[..len], "other bytes");
            });
            outcome.succeeds();
        }
    }
}

#[test]
fn a_text_is_put_as_it_travels() {
    let (place, fake) = (Place::new(), Fake::new());
    fs::write(place.file(), "one\ntwo\rthree\n").unwrap();
    let outcome = play(place.put(&fake.url("t;mode=netascii"), "--blksize 8 --window 1"), || {
        let (request, client) = fake.request();
        assert!(request.starts_with(b"\0\x02t\0netascii\0"));
        fake.says(client, &oack(&[("blksize", "8"), ("windowsize", "1")]));
        assert_eq!(fake.takes(client, 8), b"one\r\ntwo\r\0three\r\n");
    });
    outcome.succeeds();
}

#[test]
fn a_server_that_takes_no_file_or_part_of_it_is_a_failure() {
    let place = Place::new();
    fs::write(place.file(), [b'x'; 5000]).unwrap();
    // It refuses, at once and in the middle.
    let fake = Fake::new();
    play(place.put(&fake.url("a"), ""), || {
        let (_, client) = fake.request();
        fake.says(client, b"\0\x05\0\x06exists\x1b[0m\0");
    })
    .fails_with(1, &["put tftp://", r"the server refused: exists\u{1b}[0m (error 6)"]);
    let fake = Fake::new();
    play(place.put(&fake.url("a"), "--no-options"), || {
        let (_, client) = fake.request();
        fake.says(client, &ack(0));
        fake.hears();
        fake.says(client, b"\0\x05\0\x03\0");
    })
    .fails_with(1, &["the server refused: the disk is full (error 3)"]);
    // It is silent, at once and before the last block is acknowledged.
    let fake = Fake::new();
    place.put(&fake.url("a"), "--timeout 0.3").run().fails_with(1, &["no answer from 127.0.0.1:"]);
    let fake = Fake::new();
    play(place.put(&fake.url("a"), "--timeout 0.3"), || {
        let (_, client) = fake.request();
        fake.says(client, &oack(&[("blksize", "1428"), ("windowsize", "4")]));
        fake.hears();
        fake.says(client, &ack(3));
    })
    .fails_with(1, &["no byte moved for 0.3"]);
    // An option that was not asked for.
    let fake = Fake::new();
    play(place.put(&fake.url("a"), ""), || {
        let (_, client) = fake.request();
        fake.says(client, &oack(&[("blksize", "9000")]));
        assert!(is_error(&fake.hears(), 8));
    })
    .fails_with(1, &["options that were not asked for"]);
}

#[test]
fn what_is_put_is_compared_by_the_server() {
    let place = Place::new();
    fs::write(place.file(), "content").unwrap();
    let digest = blake3::hash(b"content").to_hex();
    let fake = Fake::new();
    play(place.put(&fake.url("a"), "--verify"), || {
        let (request, client) = fake.request();
        assert_eq!(option(&request, "x-blake3").as_deref(), Some(&*digest));
        fake.says(client, &oack(&[("x-blake3", &digest)]));
        assert_eq!(fake.takes(client, 512), b"content");
    })
    .succeeds();
    // A server that knows no digests cannot.
    let fake = Fake::new();
    play(place.put(&fake.url("a"), "--verify"), || {
        let (_, client) = fake.request();
        fake.says(client, &ack(0));
    })
    .fails_with(1, &["the server compares no digest"]);
}

#[test]
fn what_cannot_be_put_is_refused_before_anything_is_sent() {
    let place = Place::new();
    for (words, code, why) in [
        ("/nowhere/file tftp://127.0.0.1/a", 1, "No such file"),
        ("/dev/null tftp://127.0.0.1/a", 1, "/dev/null"),
        ("/etc tftp://127.0.0.1/a", 1, "/etc"),
        ("/etc/passwd http://127.0.0.1/a", 2, "tftp://"),
        ("/etc/passwd xfer://127.0.0.1/a", 2, "tftp://"),
        ("/etc/passwd tftp://127.0.0.1/a --no-options --verify", 2, "--no-options"),
    ] {
        windlass!("put").words(words).run().fails_with(code, &[why]);
    }
    // A file that shrinks while it is sent.
    fs::write(place.file(), [b'x'; 5000]).unwrap();
    let fake = Fake::new();
    play(place.put(&fake.url("a"), "--no-options"), || {
        let (_, client) = fake.request();
        fs::write(place.file(), [b'x'; 100]).unwrap();
        fake.says(client, &ack(0));
        assert!(is_error(&fake.hears(), 0));
    })
    .fails_with(1, &["read", "the file has become shorter"]);
}
