//! What a client asks its shell for, and what it makes of the answers.

extern crate std;

use std::vec::Vec;

use super::super::tests::NOW;
use super::*;
use crate::laws::Lab;

const FILE: &[u8] = b"\0\0\0\x01n\0\0\0\x03abc\0\0\0\x01d\0\0\0\0";

type Client = FilesClient<'static, [u8; 64]>;

fn client() -> Client {
    FilesClient::new(b"request", [0; 64])
}

/// A client that has seen `stream`, and asks for something or is done.
fn at(stream: &[u8]) -> Client {
    let mut client = client();
    let mut stream = stream.to_vec();
    let _ = client.input(NOW, &mut stream, &mut Out::new(&mut []));
    client
}

#[test]
fn it_keeps_the_laws() {
    for stream in [
        FILE,
        b"\0\0\0\x12n\0digest\0crc32\0\0\0\0\0\x01a\0\0\0\0\0\0\0\x041234",
        b"\0\0\0\x01x",
        b"\0\0\0\0\0\0\0\x02no",
        b"\0\0\0\x41",
    ] {
        Lab::<64>::new().check(client, stream).unwrap();
    }
}

#[test]
fn each_step_of_a_file_is_asked_for() {
    let mut client = client();
    let mut stream = [FILE, b"more"].concat();
    let mut unread = &mut stream[..];
    let mut kept = Vec::new();
    let mut asked = Vec::new();
    while !client.want().close.is_done() {
        let Consumed { bytes, .. } = client.input(NOW, unread, &mut Out::new(&mut []));
        unread = &mut unread[bytes..];
        while let Some(op) = client.op() {
            let answer = match op {
                Op::Create(head) => {
                    asked.push(std::format!("create {:?}, digest {:?}", head.name, head.digest));
                    Answer::Done
                }
                Op::Store(extent) => {
                    assert_eq!(extent.offset, kept.len() as u64);
                    let n = usize::try_from(extent.len).unwrap().min(2);
                    kept.extend_from_slice(&unread[..n]);
                    unread = &mut unread[n..];
                    Answer::Kept(n)
                }
                Op::Commit(digest) => {
                    asked.push(std::format!("commit {digest:?}"));
                    Answer::Done
                }
                other => panic!("a client asked for {other:?}"),
            };
            client.answer(NOW, answer);
        }
    }
    assert_eq!((client.want(), unread.len()), (Want::done(Ok(())), 4));
    assert_eq!((&kept[..], client.kept()), (&b"abcd"[..], 4));
    // Without a digest it says so, before the file comes and after.
    assert_eq!(asked, ["create [110], digest None", "commit None"]);
}

#[test]
fn an_answer_to_something_else_changes_nothing() {
    let mut client = at(&FILE[..5]);
    for answer in [Answer::Kept(1), Answer::Opened(1), Answer::Busy(crate::time::Wake::Never)] {
        client.answer(NOW, answer);
        assert!(matches!(client.op(), Some(Op::Create(_))));
    }
    client.answer(NOW, Answer::Done);
    client.answer(NOW, Answer::Done);
    assert_eq!(client.want(), Want { write: true, ..Want::READ });
}

#[test]
fn what_storage_cannot_do_ends_it() {
    let fault = Fault::Storage(StorageFault::Full);
    let mut client = at(&FILE[..5]);
    client.answer(NOW, Answer::Failed(fault));
    assert_eq!(client.want(), Want::done(Err(fault)));
}

#[test]
fn a_place_that_is_refused_ends_it() {
    let mut client = at(&FILE[..5]);
    client.answer(NOW, Answer::Refused(crate::file::Refusal::NoRoom));
    assert_eq!(client.want(), Want::done(Err(Fault::Aborted)));
}

#[test]
fn a_refusal_has_a_reason() {
    let client = at(b"\0\0\0\0\0\0\0\x02no");
    assert_eq!(client.want(), Want::done(Err(Peer::Refused.into())));
    assert_eq!(client.reason(), Some(&b"no"[..]));
}
