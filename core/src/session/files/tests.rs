//! Both ends against the laws, against each other, and against what others send.

#![expect(clippy::cast_possible_truncation, reason = "all of it is small")]

extern crate std;

use std::string::String;
use std::vec::Vec;

use proptest::prelude::*;
use zerocopy::IntoBytes;

use super::*;
use crate::fault::Peer;
use crate::laws::Lab;
use crate::session::{Out, Session};
use crate::want::Close;

const NOW: Instant = Instant::ZERO;

fn request(name: &[u8], options: Options) -> Vec<u8> {
    let mut wire = [0; Request::WIRE_MAX];
    let len = Request { name, options }.render(&mut wire).unwrap();
    wire[..len].to_vec()
}

fn digest_of(bytes: &[u8]) -> Digest {
    let mut digest = [0_u8; 32];
    for (at, &byte) in bytes.iter().enumerate() {
        digest[at % 32] = digest[at % 32].wrapping_mul(31).wrapping_add(byte);
    }
    digest[31] ^= bytes.len() as u8;
    digest
}

/// A shell of its own: the answer to `wire`, `step` bytes at a time.
fn answer(
    server: &mut FilesServer,
    wire: &[u8],
    file: Result<&[u8], Refusal>,
    step: usize,
) -> Vec<u8> {
    let mut stream = Vec::new();
    let (mut digested, mut digested_to): (Vec<u8>, u64) = (Vec::new(), 0);
    let mut wire = wire.to_vec();
    let mut unread = &mut wire[..];
    loop {
        let want = server.want();
        if want.close.is_done() {
            return stream;
        }
        if !want.write {
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
        let step = step as u64;
        let part = |at: Extent| {
            let from = at.offset as usize;
            &file.unwrap()[from..from + at.len.min(step) as usize]
        };
        let sender = server.file_sender().unwrap();
        match sender.task() {
            Task::Render => {
                let mut room = [0; 7];
                let room = &mut room[..(step as usize).min(7)];
                let mut out = Out::new(room);
                server.space(NOW, &mut out);
                stream.extend_from_slice(out.rendered());
            }
            Task::Open(_) => sender.opened(NOW, file.map(|file| file.len() as u64)),
            Task::Digest(extent) => {
                if extent.offset == 0 || extent.offset != digested_to {
                    digested.clear();
                }
                let bytes = part(extent);
                digested.extend_from_slice(bytes);
                digested_to = extent.offset + bytes.len() as u64;
                sender.digested(NOW, bytes.len() as u64, &digest_of(&digested));
            }
            Task::Send { digest } => {
                let bytes = match sender.piece(0).unwrap() {
                    Piece::Header { header, from } => {
                        let rest = &header.as_bytes()[from..];
                        rest[..rest.len().min(step as usize)].to_vec()
                    }
                    Piece::File(extent) => {
                        if digest && extent.offset == 0 {
                            digested.clear();
                        }
                        let bytes = part(extent).to_vec();
                        if digest {
                            digested.extend_from_slice(&bytes);
                            digested_to = extent.offset + bytes.len() as u64;
                        }
                        bytes
                    }
                };
                sender.sent(NOW, bytes.len() as u64);
                stream.extend_from_slice(&bytes);
            }
        }
    }
}

/// What a client makes of a stream.
#[derive(Debug, PartialEq, Eq, Default)]
struct Got {
    name: Vec<u8>,
    options: Options,
    file: Vec<u8>,
    digest: Option<Digest>,
    refused: Option<String>,
    whole: bool,
}

fn receive(stream: &[u8], chunk: usize) -> Result<Got, Peer> {
    let mut receiver = Receiver::<REQUEST_MAX>::new();
    let mut got = Got::default();
    for mut input in stream.chunks(chunk) {
        loop {
            match receiver.feed(input)? {
                Fed::More => break,
                Fed::Head { head, rest } => {
                    (got.name, got.options) = (head.name.to_vec(), head.options);
                    input = rest;
                }
                Fed::Refused(why) => {
                    got.refused = Some(String::from_utf8(why.to_vec()).unwrap());
                    break;
                }
                Fed::Body { bytes, rest } => {
                    got.file.extend_from_slice(bytes);
                    input = rest;
                }
                Fed::End { digest, rest } => {
                    (got.digest, got.whole, input) = (digest, true, rest);
                }
            }
        }
    }
    receiver.finish()?;
    Ok(got)
}

const ALL: Options =
    Options { frame: Some(16), offset: Some(3), prefix: Some([0; 32]), digest: true, size: None };

#[test]
fn the_server_keeps_the_laws() {
    let miri = cfg!(miri);
    let len = if miri { 5 } else { 40 };
    let prefix = |n: u8| {
        let mut digest = [0; 32];
        digest[0] = n;
        digest
    };
    for (file, options) in [
        (Some(len), Options::default()),
        (Some(0), Options { digest: true, ..Options::default() }),
        (Some(len), Options { digest: true, frame: Some(17), ..Options::default() }),
        (Some(len), Options { prefix: Some(prefix(3)), ..ALL }),
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
        let make = FilesServer::<200>::new;
        lab.check(make, &wire).unwrap_or_else(|broken| panic!("{options:?} {file:?}: {broken}"));
        if miri {
            break;
        }
    }
    for bad in [&b"\0\0\0\0"[..], b"\0\0\0\x05/x\0y\0", b"\xff\xff\xff\xffabc", b"\0\0\0\xc9abc"] {
        Lab::<512>::new().with_file(20).check(FilesServer::<200>::new, bad).unwrap();
    }
    Lab::<512>::new().with_file(40).check(|| FilesServer::<200>::pushing(b"name"), b"").unwrap();
    Lab::<512>::new().with_file(9).check(|| FilesServer::<2>::pushing(b"name"), b"x").unwrap();
}

proptest! {
    #[test]
    fn what_is_sent_arrives(
        file in proptest::collection::vec(any::<u8>(), 0..300),
        frame in proptest::option::of(1_u32..120),
        offset in proptest::option::of(0_u64..320),
        checks: bool,
        lies: bool,
        digest: bool,
        step in 1_usize..50,
        chunk in 1_usize..50,
    ) {
        let len = file.len() as u64;
        let had = offset.unwrap_or(0);
        let same = had <= len;
        let prefix = &file[..if same { had as usize } else { 0 }];
        let mut of_prefix = digest_of(prefix);
        of_prefix[0] ^= u8::from(lies);
        let options = Options { frame, offset, prefix: checks.then_some(of_prefix), digest, size: None };
        let mut server = FilesServer::new();
        let stream = answer(&mut server, &request(b"a/name", options), Ok(&file), step);
        prop_assert_eq!(server.want().close, Close::Done(Ok(())));
        let got = receive(&stream, chunk).unwrap();
        let from = if same && !(checks && lies && had > 0) { had } else { 0 };
        prop_assert_eq!(&got.file, &file[from as usize..]);
        prop_assert_eq!(got.options.offset, offset.map(|_| from));
        prop_assert_eq!((got.options.size, got.whole), (Some(len), true));
        prop_assert_eq!(got.digest, digest.then(|| digest_of(&file)));
        prop_assert_eq!(got.name, b"a/name");
    }

    #[test]
    fn nothing_that_is_received_is_too_much(bytes: Vec<u8>, chunk in 1_usize..40) {
        let _ = receive(&bytes, chunk);
    }

    #[test]
    fn nothing_that_is_asked_is_too_much(bytes: Vec<u8>, step in 1_usize..40) {
        let mut server = FilesServer::new();
        let _ = answer(&mut server, &bytes, Err(Refusal::NotFound), step);
        prop_assert!(server.want().close.is_done());
    }
}

#[test]
fn a_stream_that_is_cut_anywhere_is_not_whole() {
    let file: Vec<u8> = (0..50).collect();
    for options in [Options::default(), Options { digest: true, ..Options::default() }] {
        let stream = answer(&mut FilesServer::new(), &request(b"n", options), Ok(&file), 9);
        for end in 0..stream.len() {
            assert_eq!(receive(&stream[..end], 5), Err(Peer::Truncated), "cut at {end}");
        }
        assert!(receive(&stream, 5).is_ok());
    }
}

#[test]
fn a_name_needs_no_nul_and_no_options() {
    let stream = answer(&mut FilesServer::new(), b"\0\0\0\x04name", Ok(b"x"), 3);
    let got = receive(&stream, 100).unwrap();
    assert_eq!((&got.name[..], &got.file[..]), (&b"name"[..], &b"x"[..]));
    // Nor does a server's.
    let got = receive(b"\0\0\0\x04name\0\0\0\x01x\0\0\0\0", 3).unwrap();
    assert_eq!((&got.file[..], got.options, got.whole), (&b"x"[..], Options::default(), true));
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
        let stream = answer(&mut FilesServer::new(), &wire, file, 4);
        let got = receive(&stream, 3).unwrap();
        assert_eq!(got.refused.as_deref(), Some(why.text()));
        assert!(!got.whole);
    }
}

#[test]
fn the_longest_name_is_asked_for() {
    let name = [b'x'; NAME_MAX];
    let stream = answer(&mut FilesServer::new(), &request(&name, ALL), Ok(b"0123456789"), 50);
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
        (frames(&[b"n", &long]), Peer::TooLong { claimed: 4097, max: 4096 }),
        (frames(&[b"n\0frame\x0016\0", &long[..17]]), Peer::TooLong { claimed: 17, max: 16 }),
        (
            b"\xff\xff\xff\xff".to_vec(),
            Peer::TooLong { claimed: u32::MAX, max: REQUEST_MAX as u32 },
        ),
        (b"".to_vec(), Peer::Truncated),
    ] {
        assert_eq!(receive(&stream, 7), Err(fault), "{stream:?}");
    }
}

/// A server that was asked for a file of `size` bytes, which is open.
fn asked(options: Options, size: u64) -> FilesServer {
    let mut server = FilesServer::new();
    let mut wire = request(b"n", options);
    let _ = server.input(NOW, &mut wire, &mut Out::new(&mut []));
    server.opened(NOW, Ok(size));
    server
}

/// What it renders before it wants something else.
fn rendered(server: &mut FilesServer) -> Vec<u8> {
    let mut stream = Vec::new();
    while server.want().write && server.task() == Task::Render {
        let mut room = [0; 7];
        let mut out = Out::new(&mut room);
        server.space(NOW, &mut out);
        stream.extend_from_slice(out.rendered());
    }
    stream
}

const FAR: Options = Options {
    offset: Some(UNSENT_MAX + 1),
    prefix: Some([7; 32]),
    digest: true,
    frame: None,
    size: None,
};

/// What is digested and not sent is bounded, and the end of it is enough to compare.
#[test]
fn what_a_request_costs_is_bounded() {
    let (far, size) = (UNSENT_MAX + 1, 1 << 40);
    for (digest, offset) in [(7, far), (8, 0)] {
        let mut server = asked(FAR, size);
        rendered(&mut server);
        let window = Extent { offset: far - PREFIX_WINDOW, len: PREFIX_WINDOW };
        assert_eq!(server.task(), Task::Digest(window));
        server.digested(NOW, PREFIX_WINDOW, &[digest; 32]);
        assert!(!server.options().digest);
        assert_eq!(server.options().offset, Some(offset));
        rendered(&mut server);
        assert_eq!(server.task(), Task::Send { digest: false });
    }
}

/// A shell works for nobody if nothing is sent that a client which is gone would answer with a reset.
#[test]
fn an_answer_begins_before_the_work_and_goes_on_during_it() {
    let near = Options { offset: Some(UNSENT_MAX), ..FAR };
    for (options, same) in [(near, true), (near, false), (Options { prefix: None, ..near }, true)] {
        let mut server = asked(options, 1 << 40);
        let mut stream = rendered(&mut server);
        assert!(stream.ends_with(b"digest\0blake3\0wait\0"), "{stream:?}");
        let (mut work, mut most, mut dots) = (0, 0, 0);
        let mut so_far = [7; 32];
        so_far[0] += u8::from(!same);
        while let Task::Digest(extent) = server.task() {
            most = most.max(extent.len);
            work += extent.len;
            server.digested(NOW, extent.len, &so_far);
            let piece = rendered(&mut server);
            dots += usize::from(piece == b".");
            stream.extend(piece);
        }
        assert!(most <= 128 << 20, "{most} bytes without a word");
        assert!(work >= if same { UNSENT_MAX } else { PREFIX_WINDOW }, "{work}");
        // The last dot may come with the offset.
        assert!(if same { (63..=64).contains(&dots) } else { dots == 0 }, "{dots} dots");
        let got = receive(&[&stream[..], b"\0\0\0\0"].concat(), 9);
        // The file itself is missing; the head is whole.
        assert_eq!(got, Err(Peer::Malformed));
        let mut receiver = Receiver::<REQUEST_MAX>::new();
        let Ok(Fed::Head { head, rest: [] }) = receiver.feed(&stream) else {
            panic!("no head: {stream:?}");
        };
        assert_eq!(head.options, server.options());
        assert_eq!(head.options.offset, Some(if same { UNSENT_MAX } else { 0 }));
        assert!(head.options.digest);
        assert_eq!(server.task(), Task::Send { digest: true });
    }
}

/// Nothing is said of waiting where there is no work.
#[test]
fn an_answer_without_work_comes_at_once() {
    let zero = Options { offset: Some(0), ..FAR };
    let beyond = Options { offset: Some(20), ..FAR };
    for options in [zero, beyond, Options { prefix: None, digest: false, ..FAR }] {
        let mut server = asked(options, 10);
        let stream = rendered(&mut server);
        assert_eq!(server.task(), Task::Send { digest: options.digest });
        let wait = b"wait";
        assert!(!stream.windows(wait.len()).any(|text| text == wait), "{stream:?}");
    }
}
