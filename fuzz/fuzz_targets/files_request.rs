//! The request of a client of `files`: in any pieces it draws the same answer, and a client that sent it takes that
//! answer.
#![no_main]

use libfuzzer_sys::fuzz_target;
use windlass_core::fault::{Fault, Peer};
use windlass_core::session::{FilesClient, FilesServer};
use windlass_core::sim::Disk;
use windlass_fuzz::{Told, frame, pieces, talk};

fn served<'i>(request: impl Iterator<Item = &'i [u8]>, size: usize) -> Told {
    let mut session = FilesServer::new([0_u8; 300]);
    talk(&mut session, request, &mut Disk::new(vec![b'f'; size]))
}

fuzz_target!(|request: &[u8]| {
    let size = request.len() * 7;
    let whole = served([request].into_iter(), size);
    assert_eq!(served(pieces(request), size), whole);
    assert!(whole.how.is_some(), "a server ends once the client has ended");
    // Of an answer that is not a refusal, the client makes the file.
    let Some((Some(_), behind)) = frame(request, 300) else { return };
    if let Some(Err(Fault::Storage(_))) = whole.how {
        return;
    }
    let sent = &request[..request.len() - behind.len()];
    let mut client = FilesClient::new(sent, [0_u8; 512]);
    let got = talk(&mut client, pieces(&whole.output), &mut Disk::new(vec![b'f'; size]));
    match got.how {
        Some(Ok(())) => assert_eq!(got.file, Some(vec![b'f'; size])),
        Some(Err(Fault::Peer(Peer::Refused))) => {}
        how => panic!("{how:?} of {:?}", whole.output.escape_ascii().to_string()),
    }
});
