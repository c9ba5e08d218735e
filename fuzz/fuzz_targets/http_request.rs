//! The requests of a client of `http`: in any pieces they draw the same answers. A path never leads up, and a range lies
//! in the file.
#![no_main]

use libfuzzer_sys::fuzz_target;
use windlass_core::session::HttpServer;
use windlass_core::sim::Disk;
use windlass_core::wire::http::{Range, Tag, date, path, range, wants_sha256};
use windlass_fuzz::{Told, pieces, talk};

fn served<'i>(requests: impl Iterator<Item = &'i [u8]>) -> Told {
    let mut session = HttpServer::new([0_u8; 300], ());
    talk(&mut session, requests, &mut Disk::new(vec![b'f'; 500]))
}

fuzz_target!(|requests: &[u8]| {
    let whole = served([requests].into_iter());
    assert_eq!(served(pieces(requests)), whole);
    assert!(whole.how.is_some(), "a server ends once the client has ended");
    assert!(whole.output.is_empty() || whole.output.starts_with(b"HTTP/1.1 "));
    // Each line as what a field or a target may have in it.
    for line in requests.split(|&byte| byte == b'\n') {
        let mut name = line.to_vec();
        if let Ok(found) = path(&mut name) {
            let mut components = name[..found.len].split(|&byte| byte == b'/');
            assert!(
                components.all(|component| component != b"..") && !name[..found.len].contains(&0)
            );
        }
        assert!(wants_sha256(line).is_none() || line.windows(7).any(|word| word == b"sha-256"));
        let size = line.len() as u64;
        if let Range::Part { offset, len } = range(line, size) {
            assert!(len > 0 && offset.checked_add(len).is_some_and(|end| end <= size));
        }
        let tag = Tag { parts: [1, 2, 3], is_weak: false };
        if tag.is_strongly(line) {
            assert!(tag.is_in(line, true) && date(line).is_none());
        }
    }
});
