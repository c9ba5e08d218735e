//! What a server does before its answer is complete, and what it promises.

extern crate std;

use std::vec::Vec;

use super::super::tests::{BLAKE3, CRC32, NOW, Server, receive, request, server};
use super::super::*;
use crate::fault::Peer;
use crate::file::{Answer, Digest, DigestKind, Digests, Extent, FileUser, Op};
use crate::session::{Out, Session};

/// A server that was asked for a file of `size` bytes, which is open.
fn asked(options: Options, size: u64) -> Server {
    let mut server = server();
    let mut wire = request(b"n", options);
    let _ = server.input(NOW, &mut wire, &mut Out::new(&mut []));
    server.answer(NOW, Answer::Opened(size));
    server
}

/// What it renders before it wants something else.
fn rendered(server: &mut Server) -> Vec<u8> {
    let mut stream = Vec::new();
    while server.want().write && server.piece(0).is_none() {
        let mut room = [0; 7];
        let mut out = Out::new(&mut room);
        server.render(NOW, &mut out);
        stream.extend_from_slice(out.rendered());
    }
    stream
}

/// It asks for a digest, and this is it.
fn compared(server: &mut Server, with: u8) {
    assert_eq!(server.op(), Some(Op::FinishDigest(DigestKind::Blake3)));
    server.answer(NOW, Answer::Digest(Digest::Blake3([with; 32])));
}

const FAR: Options = Options {
    offset: Some(UNSENT_MAX + 1),
    prefix: Some(Digest::Blake3([7; 32])),
    digest: BLAKE3,
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
        let extent = Extent { offset: far - PREFIX_WINDOW, len: PREFIX_WINDOW };
        assert_eq!(server.op(), Some(Op::Digest { kind: DigestKind::Blake3, extent }));
        server.answer(NOW, Answer::Digested(PREFIX_WINDOW));
        compared(&mut server, digest);
        assert_eq!((server.options().digest, server.options().offset), (None, Some(offset)));
        rendered(&mut server);
        assert!(server.piece(0).is_some() && server.digests().is_none());
    }
}

/// If nothing is sent that draws a reset from a client that is gone, a shell works in vain.
#[test]
fn an_answer_begins_before_the_work_and_goes_on_during_it() {
    let near = Options { offset: Some(UNSENT_MAX), ..FAR };
    for (options, same) in [(near, true), (near, false), (Options { prefix: None, ..near }, true)] {
        let mut server = asked(options, 1 << 40);
        let mut stream = rendered(&mut server);
        assert!(stream.ends_with(b"digest\0blake3\0wait\0"), "{stream:?}");
        let (mut work, mut most, mut dots) = (0, 0, 0);
        while let Some(op) = server.op() {
            let Op::Digest { extent, .. } = op else {
                compared(&mut server, 7 + u8::from(!same));
                continue;
            };
            most = most.max(extent.len);
            work += extent.len;
            server.answer(NOW, Answer::Digested(extent.len));
            let piece = rendered(&mut server);
            dots += usize::from(piece == b".");
            stream.extend(piece);
        }
        stream.extend(rendered(&mut server));
        assert!(most <= 128 << 20, "{most} bytes without a word");
        assert!(work >= if same { UNSENT_MAX } else { PREFIX_WINDOW }, "{work}");
        // The last dot may come with the offset.
        assert!(if same { (63..=64).contains(&dots) } else { dots == 0 }, "{dots} dots");
        // The file itself is missing; the answer is whole.
        let got = receive(&[&stream[..], b"\0\0\0\0"].concat(), 9);
        assert_eq!(got, Err(Peer::Malformed.into()));
        let (header, payload) = stream.split_at(4);
        assert_eq!(header, u32::try_from(payload.len()).unwrap().to_be_bytes());
        let options = Options::parse(options::split_word(payload).1);
        assert_eq!(options, server.options());
        assert_eq!(options.offset, Some(if same { UNSENT_MAX } else { 0 }));
        assert_eq!((options.digest, server.digests()), (BLAKE3, BLAKE3));
        assert!(server.piece(0).is_some());
    }
}

/// Nothing is said of waiting where there is no work.
#[test]
fn an_answer_without_work_comes_at_once() {
    let zero = Options { offset: Some(0), ..FAR };
    let beyond = Options { offset: Some(20), ..FAR };
    for options in [zero, beyond, Options { prefix: None, digest: None, ..FAR }] {
        let mut server = asked(options, 10);
        let stream = rendered(&mut server);
        assert!(server.piece(0).is_some());
        assert_eq!(server.digests(), options.digest);
        let wait = b"wait";
        assert!(!stream.windows(wait.len()).any(|text| text == wait), "{stream:?}");
    }
}

/// A device that has CRC-32 alone promises no other digest, and compares no other prefix.
#[test]
fn a_shell_promises_the_digests_that_it_has() {
    for (digest, prefix, promised, from) in [
        (BLAKE3, None, None, 5),
        (CRC32, None, CRC32, 5),
        (None, Some(Digest::Blake3([1; 32])), None, 0),
    ] {
        let mut server = server().offering(Digests::CRC32);
        let options = Options { offset: Some(5), prefix, digest, ..Options::default() };
        let _ = server.input(NOW, &mut request(b"n", options), &mut Out::new(&mut []));
        server.answer(NOW, Answer::Opened(9));
        assert_eq!((server.options().digest, server.options().offset), (promised, Some(from)));
    }
}
