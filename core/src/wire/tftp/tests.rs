//! Packets as clients, servers and attackers send them.

extern crate std;

use super::*;
use proptest::prelude::*;
use std::borrow::ToOwned;
use std::vec::Vec;

fn request(bytes: &[u8]) -> Request<'_> {
    match Packet::parse(bytes) {
        Ok(Packet::Request(request)) => request,
        other => panic!("{other:?}"),
    }
}

#[test]
fn table() {
    for (bytes, is) in [
        (&b""[..], Err(Peer::Truncated)),
        (b"\0", Err(Peer::Truncated)),
        (b"\0\0", Err(Peer::Malformed)),
        (b"\0\x07", Err(Peer::Malformed)),
        (b"\x01\0a\0octet\0", Err(Peer::Malformed)),
        (b"\0\x01", Err(Peer::Truncated)),
        (b"\0\x01name", Err(Peer::Truncated)),
        (b"\0\x01name\0", Err(Peer::Truncated)),
        (b"\0\x01name\0octet", Err(Peer::Truncated)),
        (b"\0\x01name\0\0", Err(Peer::Malformed)),
        (b"\0\x02name\0mail\0", Err(Peer::Malformed)),
        (b"\0\x03", Err(Peer::Truncated)),
        (b"\0\x03\x01", Err(Peer::Truncated)),
        (b"\0\x03\x01\x02", Ok(Packet::Data { block: 258, bytes: b"" })),
        (b"\0\x03\xff\xffx", Ok(Packet::Data { block: 65535, bytes: b"x" })),
        (b"\0\x04\0", Err(Peer::Truncated)),
        (b"\0\x04\0\x05", Ok(Packet::Ack { block: 5 })),
        // Some send an ACK in a buffer of their own size.
        (b"\0\x04\0\x05\0\0\0", Ok(Packet::Ack { block: 5 })),
        (b"\0\x05\0", Err(Peer::Truncated)),
        (b"\0\x05\0\x01", Ok(Packet::Error { code: 1, text: b"" })),
        (b"\0\x05\0\x01no", Ok(Packet::Error { code: 1, text: b"no" })),
        (b"\0\x05\0\x63no\0more", Ok(Packet::Error { code: 99, text: b"no" })),
        (b"\0\x06", Ok(Packet::OptionAck(Options(b"")))),
    ] {
        assert_eq!(Packet::parse(bytes), is, "{}", bytes.escape_ascii());
    }
}

#[test]
fn requests_come_in_any_case_filled_up_and_cut() {
    let plain = request(b"\0\x01/boot/a\0octet\0");
    assert_eq!((plain.is_write, plain.name, plain.mode), (false, &b"/boot/a"[..], Mode::Octet));
    assert_eq!(plain.options.pairs().count(), 0);
    let shouted = request(b"\0\x02\0NetASCII\0BLKSIZE\x008\0");
    assert_eq!((shouted.is_write, shouted.name, shouted.mode), (true, &b""[..], Mode::Netascii));
    assert_eq!(shouted.options.pairs().collect::<Vec<_>>(), [(&b"BLKSIZE"[..], &b"8"[..])]);
    for tail in [&b"\0\0\0\0\0"[..], b"tsize", b"tsize\0", b"tsize\x000", b"\0tsize\x000\0"] {
        let bytes = [b"\0\x01a\0octet\0blksize\x00512\0", tail].concat();
        let options = request(&bytes).options;
        assert_eq!(
            options.pairs().collect::<Vec<_>>(),
            [(&b"blksize"[..], &b"512"[..])],
            "{tail:?}"
        );
    }
    // An empty value is a value.
    assert_eq!(Options(b"tsize\0\0").pairs().collect::<Vec<_>>(), [(&b"tsize"[..], &b""[..])]);
}

#[test]
fn what_does_not_fit_is_told() {
    let mut to = [0; 14];
    let mut writer = Writer::new(6, &mut to);
    writer.number(b"tsize", 12345);
    assert_eq!(writer.finish(), Some(14));
    assert_eq!(&to, b"\0\x06tsize\x0012345\0");
    let mut writer = Writer::new(6, &mut to);
    writer.number(b"tsize", 123_456);
    assert_eq!(writer.finish(), None);
    let mut cut = [1; 8];
    assert_eq!(error(ErrorCode::Access, "not for you", &mut cut), 8);
    assert_eq!(&cut, b"\0\x05\0\x02not\0");
}

proptest! {
    #[test]
    fn any_bytes_are_a_packet_or_an_error(op in 0_u8..8, mut bytes: Vec<u8>) {
        bytes.splice(..0, [0, op]);
        if let Ok(Packet::Request(Request { options, .. }) | Packet::OptionAck(options)) =
            Packet::parse(&bytes)
        {
            prop_assert!(options.pairs().count() <= bytes.len() / 3);
        }
    }

    #[test]
    fn options_that_are_written_are_read(
        pairs in proptest::collection::vec(("[a-z]{1,9}", any::<u64>()), 0..20),
    ) {
        let mut to = [0; 1024];
        let mut writer = Writer::new(6, &mut to);
        for (name, value) in &pairs {
            writer.number(name.as_bytes(), *value);
        }
        let len = writer.finish().unwrap();
        let Ok(Packet::OptionAck(options)) = Packet::parse(&to[..len]) else { panic!("no OACK") };
        let read: Vec<_> = options
            .pairs()
            .map(|(name, value)| {
                let value = std::str::from_utf8(value).unwrap().parse().unwrap();
                (std::str::from_utf8(name).unwrap().to_owned(), value)
            })
            .collect();
        prop_assert_eq!(read, pairs);
    }
}
