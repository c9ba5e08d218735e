//! What a server may answer, and what is taken of it.

use std::fs;

use windlass_tests::Random;

use crate::fake::{Fake, Place, ack, data, oack, option, play};

#[test]
fn the_request_asks_for_what_it_is_to_ask_for() {
    let (place, fake) = (Place::new(), Fake::new());
    for (name, options, request) in [
        (
            "a",
            "",
            &b"\0\x01a\0octet\0tsize\x000\0blksize\x001428\0windowsize\x0032\0utimeout\x0020000\0"
                [..],
        ),
        (
            "a%20b%2Fc",
            "--blksize 8 --window 1",
            b"\0\x01a b/c\0octet\0tsize\x000\0blksize\x008\0windowsize\x001\0utimeout\x0020000\0",
        ),
        ("/abs", "--no-options", b"\0\x01/abs\0octet\0"),
        ("%FF;mode=octet", "--no-options", b"\0\x01\xff\0octet\0"),
        ("t;mode=netascii", "--no-options", b"\0\x01t\0netascii\0"),
        // What a server means by the size of a text cannot be known.
        (
            "t;mode=netascii",
            "",
            b"\0\x01t\0netascii\0blksize\x001428\0windowsize\x0032\0utimeout\x0020000\0",
        ),
    ] {
        let outcome = play(place.get(&fake.url(name), options), || {
            let (came, client) = fake.request();
            assert_eq!(came, request, "{}", came.escape_ascii());
            fake.says(client, b"\0\x05\0\x01no\0");
        });
        outcome.fails_with(1, &["get tftp://", "the server refused: no (error 1)"]);
    }
    place.is_empty();
    // A window that the socket has no room for would collapse.
    play(place.get(&fake.url("a"), "--blksize 65464 --window 65535"), || {
        let (request, client) = fake.request();
        let window: u16 = option(&request, "windowsize").unwrap().parse().unwrap();
        assert!((1..64).contains(&window), "{window}");
        fake.says(client, b"\0\x05\0\x01\0");
    })
    .fails_with(1, &["there is no such file (error 1)"]);
}

#[test]
fn a_server_without_options_sends_blocks_of_512() {
    let content = Random::new(1).bytes(1300);
    for (size, host) in [(1300, "127.0.0.1"), (1024, "::1"), (0, "127.0.0.1")] {
        let (place, fake) = (Place::new(), Fake::at(host));
        fs::write(place.file(), "old").unwrap();
        let outcome = play(place.get(&fake.url("a"), ""), || {
            let (_, client) = fake.request();
            fake.sends(client, &content[..size], 512, 1..);
        });
        outcome.succeeds();
        place.has_only(&content[..size]);
    }
}

#[test]
fn a_name_with_several_addresses_is_asked_at_each() {
    let (place, fake) = (Place::new(), Fake::new());
    let url = format!("tftp://localhost:{}/a", fake.address().port());
    let outcome = play(place.get(&url, ""), || {
        let (_, client) = fake.request();
        fake.sends(client, b"short", 512, 1..);
    });
    outcome.succeeds();
    place.has_only(b"short");
}

#[test]
fn block_numbers_go_on_at_0_or_at_1() {
    let content = Random::new(2).bytes(8 * 65_537 + 3);
    for after in [0, 1] {
        let (place, fake) = (Place::new(), Fake::new());
        let outcome = play(place.get(&fake.url("a"), "--blksize 8 --window 1"), || {
            let (_, client) = fake.request();
            fake.says(client, &oack(&[("blksize", "8"), ("windowsize", "1")]));
            while fake.hears() != ack(0) {}
            fake.sends(client, &content, 8, (1..=u16::MAX).chain(after..));
        });
        outcome.succeeds();
        place.has_only(&content);
    }
}

#[test]
fn the_first_answer_has_to_come_from_the_host_that_was_asked() {
    let (place, fake, stranger) = (Place::new(), Fake::new(), Fake::at("127.0.0.2"));
    let outcome = play(place.get(&fake.url("a"), "--timeout 0.5"), || {
        let (_, client) = fake.request();
        stranger.says(client, &data(1, b"not this"));
    });
    let silent = format!("no answer from {} within", fake.address());
    outcome.fails_with(1, &[&silent, "another host answered: 127.0.0.2"]);
    place.is_empty();
    // With an answer of the host in time the other one does not matter.
    let outcome = play(place.get(&fake.url("a"), ""), || {
        let (_, client) = fake.request();
        stranger.says(client, &data(1, b"not this"));
        fake.sends(client, b"this", 512, 1..);
    });
    outcome.succeeds();
    place.has_only(b"this");
}

#[test]
fn a_datagram_that_is_no_answer_tells_no_port() {
    let (place, fake, stranger) = (Place::new(), Fake::new(), Fake::new());
    let outcome = play(place.get(&fake.url("a"), ""), || {
        let (_, client) = fake.request();
        for none in [&b"not this"[..], b"", &ack(7), &data(9, b"late")] {
            stranger.says(client, none);
        }
        fake.sends(client, b"this", 512, 1..);
    });
    outcome.succeeds();
    place.has_only(b"this");
}

#[test]
fn a_block_of_a_stranger_is_never_taken() {
    let content = Random::new(3).bytes(1000);
    let (place, fake) = (Place::new(), Fake::new());
    let strangers = [Fake::new(), Fake::at("127.0.0.2")];
    let outcome = play(place.get(&fake.url("a"), ""), || {
        let (_, client) = fake.request();
        fake.says(client, &data(1, &content[..512]));
        assert_eq!(fake.hears(), ack(1));
        for stranger in &strangers {
            stranger.says(client, &data(2, b"not this"));
            stranger.says(client, b"\0\x05\0\0stop\0");
        }
        // The port that was asked is none of the transfer either.
        fake.asked.send_to(&data(2, b"nor this"), client).unwrap();
        fake.says(client, &data(2, &content[512..]));
        assert_eq!(fake.hears_after(&ack(1)), ack(2));
    });
    outcome.succeeds();
    place.has_only(&content);
}

#[test]
fn datagrams_that_are_none_of_the_protocol_are_counted_and_change_nothing() {
    let (place, fake) = (Place::new(), Fake::new());
    let noise = Random::new(5).bytes(3000);
    let outcome = play(place.get(&fake.url("a"), ""), || {
        let (_, client) = fake.request();
        fake.says(client, &data(1, &[b'x'; 512]));
        assert_eq!(fake.hears(), ack(1));
        for packet in
            [&b""[..], b"\0", b"\0\x03", b"\0\x03\0", b"\0\x09xx", b"\0\x04\0\x07", &noise]
        {
            fake.says(client, packet);
        }
        fake.says(client, &data(2, b"end"));
        assert_eq!(fake.hears_after(&ack(1)), ack(2));
    });
    outcome.succeeds();
    place.has_only(&[&[b'x'; 512][..], b"end"].concat());
    let outcome = play(place.get(&fake.url("a"), "--timeout 0.3"), || {
        let (_, client) = fake.request();
        fake.says(client, b"\0\x09xx");
    });
    outcome.fails_with(1, &["1 datagrams were not of the protocol"]);
}

#[test]
fn text_is_translated_wherever_it_is_cut() {
    let (place, fake) = (Place::new(), Fake::new());
    let travels = b"one\r\ntwo\r\0three\r\n\r";
    for size in [8, 9, 12] {
        let url = fake.url("a;mode=netascii");
        let outcome = play(place.get(&url, &format!("--blksize {size}")), || {
            let (_, client) = fake.request();
            fake.says(client, &oack(&[("blksize", &size.to_string()), ("windowsize", "1")]));
            while fake.hears() != ack(0) {}
            fake.sends(client, travels, size, 1..);
        });
        outcome.succeeds();
        place.has_only(b"one\ntwo\rthree\n\r");
    }
}
