//! Both ends: the laws, one end with the other, and streams of other programs.

#![expect(clippy::cast_possible_truncation, reason = "all of it is small")]

extern crate std;

use std::string::String;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::fault::{Fault, Limit, Peer};
use crate::file::{Answer, Digest, DigestKind, Extent, FileUser, Op, Piece, Refusal};
use crate::laws::Lab;
use crate::session::{Out, Session};
use crate::time::Instant;
use crate::want::{Close, Want};

pub(super) const NOW: Instant = Instant::ZERO;

pub(super) fn request(name: &[u8], options: Options) -> Vec<u8> {
    let mut wire = [0; Request::WIRE_MAX];
    let len = Request { name, options }.render(&mut wire).unwrap();
    wire[..len].to_vec()
}

fn digest_of(kind: DigestKind, bytes: &[u8]) -> Digest {
    let mut digest = [0_u8; 32];
    for (at, &byte) in bytes.iter().enumerate() {
        digest[at % 32] = digest[at % 32].wrapping_mul(31).wrapping_add(byte);
    }
    digest[31] ^= bytes.len() as u8;
    match kind {
        DigestKind::Blake3 => Digest::Blake3(digest),
        DigestKind::Crc32 => Digest::Crc32(u32::from_le_bytes(*digest.last_chunk().unwrap())),
        DigestKind::Sha256 => Digest::Sha256(digest),
    }
}

pub(super) type Server = FilesServer<[u8; REQUEST_MAX]>;

pub(super) fn server() -> Server {
    FilesServer::new([0; REQUEST_MAX])
}

/// A small shell: the answer to `wire`, `step` bytes at a time.
fn answer(server: &mut Server, wire: &[u8], file: Result<&[u8], Refusal>, step: usize) -> Vec<u8> {
    let mut stream = Vec::new();
    let (mut digested, mut digested_to): (Vec<u8>, u64) = (Vec::new(), 0);
    let mut digest = |offset: u64, bytes: &[u8]| {
        if offset == 0 || offset != digested_to {
            digested.clear();
        }
        digested.extend_from_slice(bytes);
        digested_to = offset + bytes.len() as u64;
        digested.clone()
    };
    let mut so_far = Vec::new();
    let mut wire = wire.to_vec();
    let mut unread = &mut wire[..];
    loop {
        let want = server.want();
        if want.close.is_done() {
            return stream;
        }
        if want.read {
            if unread.is_empty() {
                server.eof(NOW);
                continue;
            }
            let n = step.min(unread.len());
            let (piece, rest) = std::mem::take(&mut unread).split_at_mut(n);
            unread = rest;
            let _ = server.input(NOW, piece, &mut Out::new(&mut []));
            continue;
        }
        let part = |at: Extent| {
            let from = at.offset as usize;
            &file.unwrap()[from..from + at.len.min(step as u64) as usize]
        };
        let answer = match server.op() {
            Some(Op::Open(_)) => match file {
                Ok(file) => Answer::Opened(file.len() as u64),
                Err(why) => Answer::Refused(why),
            },
            Some(Op::Digest { extent, .. }) => {
                so_far = digest(extent.offset, part(extent));
                Answer::Digested(part(extent).len() as u64)
            }
            Some(Op::FinishDigest(kind)) => Answer::Digest(digest_of(kind, &so_far)),
            Some(other) => panic!("a server asked for {other:?}"),
            None => {
                let kind = server.digests();
                match server.piece(0) {
                    Some(Piece::Head { len }) => {
                        let mut room = std::vec![0; len.min(step)];
                        assert_eq!(server.head(0, &mut room), room.len());
                        stream.extend_from_slice(&room);
                        server.sent(NOW, room.len() as u64);
                    }
                    Some(Piece::File(extent)) => {
                        let bytes = part(extent);
                        if kind.is_some() {
                            so_far = digest(extent.offset, bytes);
                        }
                        stream.extend_from_slice(bytes);
                        server.sent(NOW, bytes.len() as u64);
                    }
                    None => {
                        let mut room = [0; 7];
                        let mut out = Out::new(&mut room[..step.min(7)]);
                        server.render(NOW, &mut out);
                        stream.extend_from_slice(out.rendered());
                    }
                }
                continue;
            }
        };
        server.answer(NOW, answer);
    }
}

/// The result of a client for a stream.
#[derive(Debug, PartialEq, Eq, Default)]
pub(super) struct Got {
    name: Vec<u8>,
    size: Option<u64>,
    offset: u64,
    file: Vec<u8>,
    digest: Option<Digest>,
    refused: Option<String>,
    whole: bool,
}

pub(super) fn receive(stream: &[u8], chunk: usize) -> Result<Got, Fault> {
    let mut client = FilesClient::new(&[], [0; REQUEST_MAX]);
    let mut got = Got::default();
    for mut input in stream.chunks(chunk) {
        loop {
            input = client.receive(input);
            let answer = match client.op() {
                Some(Op::Create(head)) => {
                    (got.name, got.size, got.offset) = (head.name.to_vec(), head.size, head.offset);
                    Answer::Done
                }
                Some(Op::Store(extent)) => {
                    let (bytes, rest) = input.split_at(extent.len as usize);
                    got.file.extend_from_slice(bytes);
                    input = rest;
                    Answer::Kept(bytes.len())
                }
                Some(Op::Commit(digest)) => {
                    (got.digest, got.whole) = (digest.map(Digest::copied), true);
                    Answer::Done
                }
                Some(other) => panic!("a client asked for {other:?}"),
                None => break,
            };
            client.answer(NOW, answer);
        }
    }
    client.eof(NOW);
    if let Some(why) = client.reason() {
        got.refused = Some(String::from_utf8(why.to_vec()).unwrap());
        return Ok(got);
    }
    match client.want().close {
        Close::Done(how) => how.map(|()| got),
        Close::Open | Close::WriteHalf => panic!("a client waits behind the end of its stream"),
    }
}

pub(super) const BLAKE3: Option<DigestKind> = Some(DigestKind::Blake3);
pub(super) const CRC32: Option<DigestKind> = Some(DigestKind::Crc32);

const ALL: Options = Options {
    frame: Some(16),
    offset: Some(3),
    prefix: Some(Digest::Blake3([0; 32])),
    digest: BLAKE3,
    size: None,
};

#[test]
fn the_server_keeps_the_laws() {
    let miri = cfg!(miri);
    let len = if miri { 5 } else { 40 };
    let prefix = |n: u8| {
        let mut digest = [0; 32];
        digest[0] = n;
        Digest::Blake3(digest)
    };
    for (file, options) in [
        (Some(len), Options::default()),
        (Some(0), Options { digest: CRC32, ..Options::default() }),
        (Some(len), Options { digest: BLAKE3, frame: Some(17), ..Options::default() }),
        (Some(len), Options { prefix: Some(prefix(3)), ..ALL }),
        (Some(len), Options { prefix: Some(Digest::Crc32(3)), digest: CRC32, ..ALL }),
        (Some(len), ALL),
        (Some(len), Options { offset: Some(len + 1), ..ALL }),
        (None, Options::default()),
    ] {
        let wire = request(b"name", options);
        let lab = Lab::<512>::new();
        let mut lab = match file {
            Some(len) => lab.with_file(len),
            None => lab,
        };
        let make = || FilesServer::new([0; 200]);
        lab.check(make, &wire).unwrap_or_else(|broken| panic!("{options:?} {file:?}: {broken}"));
        if miri {
            break;
        }
    }
    for bad in [&b"\0\0\0\0"[..], b"\0\0\0\x05/x\0y\0", b"\xff\xff\xff\xffabc", b"\0\0\0\xc9abc"] {
        Lab::<512>::new().with_file(20).check(|| FilesServer::new([0; 200]), bad).unwrap();
    }
    Lab::<512>::new().with_file(40).check(|| FilesServer::pushing([0; 200], b"name"), b"").unwrap();
    Lab::<512>::new().with_file(9).check(|| FilesServer::pushing([0; 2], b"name"), b"x").unwrap();
}

proptest! {
    #[test]
    fn what_is_sent_arrives(
        file in proptest::collection::vec(any::<u8>(), 0..300),
        frame in proptest::option::of(1_u32..120),
        offset in proptest::option::of(0_u64..320),
        checks: bool,
        lies: bool,
        crc32: bool,
        digest: bool,
        step in 1_usize..50,
        chunk in 1_usize..50,
    ) {
        let len = file.len() as u64;
        let had = offset.unwrap_or(0);
        let same = had <= len;
        let prefix = &file[..if same { had as usize } else { 0 }];
        let kind = if crc32 { DigestKind::Crc32 } else { DigestKind::Blake3 };
        let of_prefix = match digest_of(kind, prefix) {
            Digest::Blake3(mut bytes) => {
                bytes[0] ^= u8::from(lies);
                Digest::Blake3(bytes)
            }
            Digest::Crc32(value) => Digest::Crc32(value ^ u32::from(lies)),
            Digest::Sha256(_) => unreachable!("no server offers it"),
        };
        let prefix = checks.then_some(of_prefix);
        let options = Options { frame, offset, prefix, digest: digest.then_some(kind), size: None };
        let mut server = server();
        let stream = answer(&mut server, &request(b"a/name", options), Ok(&file), step);
        prop_assert_eq!(server.want().close, Close::Done(Ok(())));
        let got = receive(&stream, chunk).unwrap();
        let from = if same && !(checks && lies && had > 0) { had } else { 0 };
        prop_assert_eq!(&got.file, &file[from as usize..]);
        prop_assert_eq!((got.offset, got.size, got.whole), (from, Some(len), true));
        prop_assert_eq!(got.digest, digest.then(|| digest_of(kind, &file)));
        prop_assert_eq!(got.name, b"a/name");
    }

    #[test]
    fn nothing_that_is_received_is_too_much(bytes: Vec<u8>, chunk in 1_usize..40) {
        let _ = receive(&bytes, chunk);
    }

    #[test]
    fn nothing_that_is_asked_is_too_much(bytes: Vec<u8>, step in 1_usize..40) {
        let mut server = server();
        let _ = answer(&mut server, &bytes, Err(Refusal::NotFound), step);
        prop_assert!(server.want().close.is_done());
    }
}

#[test]
fn a_stream_that_is_cut_anywhere_is_not_whole() {
    let file: Vec<u8> = (0..50).collect();
    for options in [
        Options::default(),
        Options { digest: BLAKE3, ..Options::default() },
        Options { digest: CRC32, ..Options::default() },
    ] {
        let stream = answer(&mut server(), &request(b"n", options), Ok(&file), 9);
        for end in 0..stream.len() {
            assert_eq!(receive(&stream[..end], 5), Err(Peer::Truncated.into()), "cut at {end}");
        }
        assert!(receive(&stream, 5).is_ok());
    }
}

#[test]
fn a_name_needs_no_nul_and_no_options() {
    let stream = answer(&mut server(), b"\0\0\0\x04name", Ok(b"x"), 3);
    let got = receive(&stream, 100).unwrap();
    assert_eq!((&got.name[..], &got.file[..]), (&b"name"[..], &b"x"[..]));
    // Nor does a server's.
    let got = receive(b"\0\0\0\x04name\0\0\0\x01x\0\0\0\0", 3).unwrap();
    assert_eq!((&got.file[..], got.size, got.whole), (&b"x"[..], None, true));
}

#[test]
fn a_refusal_says_why() {
    for (wire, file, why) in [
        (request(b"n", Options::default()), Err(Refusal::NotFound), Refusal::NotFound),
        (b"\0\0\0\0".to_vec(), Ok(&b""[..]), Refusal::BadName),
        (b"\0\0\0\x01\0".to_vec(), Ok(&b""[..]), Refusal::BadName),
        (b"\xff\xff\xff\xff".to_vec(), Ok(&b""[..]), Refusal::TooLong),
        ([&5000_u32.to_be_bytes()[..], &[b'x'; 5000]].concat(), Ok(&b""[..]), Refusal::TooLong),
        ([&4096_u32.to_be_bytes()[..], &[b'x'; 4096]].concat(), Ok(&b""[..]), Refusal::TooLong),
    ] {
        let stream = answer(&mut server(), &wire, file, 4);
        let got = receive(&stream, 3).unwrap();
        assert_eq!(got.refused.as_deref(), Some(why.text()));
        assert!(!got.whole);
    }
}

#[test]
fn the_longest_name_is_asked_for() {
    let name = [b'x'; NAME_MAX];
    let stream = answer(&mut server(), &request(&name, ALL), Ok(b"0123456789"), 50);
    assert_eq!(receive(&stream, 100).unwrap().file, b"0123456789");
    let mut wire = [0; Request::WIRE_MAX];
    let options = Options::default();
    for (name, why) in [
        (&[b'x'; REQUEST_MAX][..], Refusal::TooLong),
        (b"", Refusal::BadName),
        (b"a\0b", Refusal::BadName),
    ] {
        assert_eq!(Request { name, options }.render(&mut wire), Err(why));
    }
}

#[test]
fn a_server_that_breaks_its_word_is_found_out() {
    let frames = |frames: &[&[u8]]| {
        let frame = |payload: &&[u8]| {
            [&u32::try_from(payload.len()).unwrap().to_be_bytes()[..], payload].concat()
        };
        frames.iter().flat_map(frame).collect::<Vec<u8>>()
    };
    let long = [0; 4097];
    for (stream, fault) in [
        (frames(&[b"n\0size\x004\0", b"123", b""]), Peer::Malformed),
        (frames(&[b"n\0size\x002\0", b"123"]), Peer::Malformed),
        (frames(&[b"n\0size\x002\0offset\x003\0"]), Peer::Malformed),
        (frames(&[b"n\0digest\0blake3\0", b"", b"short"]), Peer::Malformed),
        (frames(&[b"n\0digest\0crc32\0", b"", b"short"]), Peer::Malformed),
        (frames(&[b"n\0digest\0blake3\0", b"", &long[..33]]), Peer::Malformed),
        (frames(&[b"n", &long]), Peer::TooLong { claimed: 4097, max: 4096 }),
        (frames(&[b"n\0frame\x0016\0", &long[..17]]), Peer::TooLong { claimed: 17, max: 16 }),
        (b"".to_vec(), Peer::Truncated),
    ] {
        assert_eq!(receive(&stream, 7), Err(fault.into()), "{stream:?}");
    }
    let max = REQUEST_MAX as u32;
    let fault = Peer::TooLong { claimed: u32::MAX, max };
    assert_eq!(receive(b"\xff\xff\xff\xff", 7), Err(fault.into()));
    // A text that the protocol allows and the memory cannot hold is not a fault of the peer.
    let mut client = FilesClient::new(&[], [0; 3]);
    client.receive(b"\0\0\0\x04name");
    assert_eq!(client.want(), Want::done(Err(Limit { need: 4, have: 3 }.into())));
}
