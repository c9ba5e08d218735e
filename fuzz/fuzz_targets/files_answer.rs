//! The answer of a server of `files`: in any pieces it makes the same file, and a file is valid only if it is all
//! of the frames up to the last one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use windlass_core::file::DigestKind;
use windlass_core::session::FilesClient;
use windlass_core::session::files::{Options, Request};
use windlass_core::sim::Disk;
use windlass_fuzz::{Told, frame, pieces, talk};

fn got<'i>(asks: Options, answer: impl Iterator<Item = &'i [u8]>) -> Told {
    let mut request = [0; 128];
    let len = Request { name: b"image", options: asks }.render(&mut request).unwrap();
    let mut client = FilesClient::new(&request[..len], [0_u8; 256]);
    talk(&mut client, answer, &mut Disk::new(vec![b'p'; 4096]))
}

/// The payloads between the answer and the empty frame.
fn model(answer: &[u8]) -> Option<Vec<u8>> {
    let (Some(_), mut rest) = frame(answer, 256)? else { return None };
    let mut file = Vec::new();
    loop {
        let (payload, behind) = frame(rest, usize::MAX)?;
        let payload = payload?;
        if payload.is_empty() {
            return Some(file);
        }
        file.extend_from_slice(payload);
        rest = behind;
    }
}

fuzz_target!(|answer: &[u8]| {
    let plain = got(Options::NONE, [answer].into_iter());
    assert_eq!(got(Options::NONE, pieces(answer)), plain);
    if let Some(file) = &plain.file {
        // What a server may answer to a request without options has no offset in it.
        let sent = model(answer).expect("the stream is whole");
        assert!(file.ends_with(&sent), "{file:?}");
    }
    let all = Options {
        digest: Some(DigestKind::Crc32),
        offset: Some(1000),
        frame: Some(64),
        ..Options::NONE
    };
    assert_eq!(got(all, pieces(answer)), got(all, [answer].into_iter()));
});
