//! The client of `xfer`.

use std::fs;

use windlass_tests::Random;

use crate::fake::{Fake, Place, play};

/// The packets of `xfer`: a kind and what belongs to it.
fn xfer(kind: u32, rest: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes(), rest].concat()
}

fn xfer_ack(seq: u32) -> Vec<u8> {
    xfer(4, &seq.to_be_bytes())
}

fn xfer_data(seq: u32, block: &[u8]) -> Vec<u8> {
    let len = u32::try_from(block.len()).unwrap();
    xfer(2, &[&seq.to_be_bytes(), &len.to_be_bytes(), block].concat())
}

#[test]
fn xfer_is_stop_and_wait_to_the_eot() {
    let (place, fake) = (Place::new(), Fake::new());
    let content = Random::new(7).bytes(2500);
    let url = format!("xfer://{}/dir/a%20b", fake.address());
    let outcome = play(place.get(&url, ""), || {
        let (request, client) = fake.request();
        assert_eq!(request, xfer(1, b"dir/a b\0"));
        let blocks = content.chunks(1024).zip(1..).map(|(block, seq)| xfer_data(seq, block));
        for (packet, seq) in blocks.chain([xfer(3, &4u32.to_be_bytes())]).zip(1..) {
            fake.says(client, &packet);
            assert_eq!(fake.hears_after(&xfer_ack(seq - 1)), xfer_ack(seq));
        }
    });
    outcome.succeeds();
    place.has_only(&content);
}

#[test]
fn an_xfer_without_its_eot_is_no_file() {
    let (place, fake) = (Place::new(), Fake::new());
    fs::write(place.file(), "old").unwrap();
    let url = format!("xfer://{}/a", fake.address());
    play(place.get(&url, "--timeout 0.3"), || {
        let (_, client) = fake.request();
        fake.says(client, &xfer_data(1, b"block"));
        assert_eq!(fake.hears(), xfer_ack(1));
    })
    .fails_with(1, &["get xfer://", "no byte moved for 0.3"]);
    let fake = Fake::new();
    let url = format!("xfer://{}/a", fake.address());
    play(place.get(&url, ""), || {
        let (_, client) = fake.request();
        fake.says(client, &xfer(5, b"\0\0\0\x01no such file\0"));
    })
    .fails_with(1, &["the server refused: no such file (error 1)"]);
    fake.has_heard_all_after(&xfer(1, b"a\0"));
    place.has_only(b"old");
}
