//! Files that are compared, and transfers that go on where one before stopped.

use windlass_tests::Random;

use crate::fake::{Fake, Place, ack, data, is_error, oack, option, play};

#[test]
fn a_whole_file_is_compared_with_the_digest_of_the_server() {
    let content = b"all of it";
    let digest = blake3::hash(content).to_hex();
    let wrong = blake3::hash(b"another").to_hex();
    for (digest, is_same) in [(Some(digest), true), (Some(wrong), false), (None, false)] {
        let (place, fake) = (Place::new(), Fake::new());
        let outcome = play(place.get(&fake.url("a"), "--verify"), || {
            let (request, client) = fake.request();
            assert_eq!(option(&request, "x-blake3").as_deref(), Some("0"));
            let Some(digest) = digest else {
                fake.says(client, &data(1, content));
                assert!(is_error(&fake.hears(), 0));
                return;
            };
            fake.says(client, &oack(&[("x-blake3", &digest)]));
            while fake.hears() != ack(0) {}
            fake.says(client, &data(1, content));
            let said = fake.hears_after(&ack(0));
            assert!(if is_same { said == ack(1) } else { is_error(&said, 0) });
        });
        match digest {
            Some(_) if is_same => {
                outcome.succeeds();
                place.has_only(content);
            }
            Some(_) => {
                outcome.fails_with(1, &["the received bytes differ from the file of the server"]);
            }
            None => outcome.fails_with(1, &["the server does not say what the digest is"]),
        }
        if !is_same {
            place.is_empty();
        }
    }
}

#[test]
fn a_transfer_goes_on_where_the_one_before_stopped() {
    let content = Random::new(6).bytes(2000);
    let digest = blake3::hash(&content).to_hex();
    // A server that goes on, one that has another file by now, one without a digest, and one that knows no options.
    for case in ["goes on", "another", "no digest", "stock"] {
        let (place, fake) = (Place::new(), Fake::new());
        play(place.get(&fake.url("a"), "--timeout 0.3"), || {
            let (_, client) = fake.request();
            fake.says(client, &data(1, &content[..512]));
            assert_eq!(fake.hears(), ack(1));
        })
        .fails_with(1, &["512 bytes are kept in", "--continue"]);
        fake.forgets();
        let outcome = play(place.get(&fake.url("a"), "--continue"), || {
            let (request, client) = fake.request();
            assert_eq!(option(&request, "seek").as_deref(), Some("512"));
            assert_eq!(option(&request, "x-blake3").as_deref(), Some("0"));
            let seek = [("seek", "512"), ("x-blake3", &*digest), ("windowsize", "1")];
            match case {
                "goes on" | "another" => {
                    fake.says(client, &oack(&seek));
                    while fake.hears() != ack(0) {}
                    let mut rest = content[512..].to_vec();
                    rest[0] ^= u8::from(case == "another");
                    for (block, number) in rest.chunks(512).zip(1..) {
                        fake.says(client, &data(number, block));
                        let said = fake.hears_after(&ack(number - 1));
                        assert!(said == ack(number) || case == "another");
                    }
                }
                "no digest" => {
                    fake.says(client, &oack(&seek[..1]));
                    assert!(is_error(&fake.hears(), 0));
                    let (request, client) = fake.request();
                    assert_eq!(option(&request, "seek"), None);
                    fake.sends(client, &content, 512, 1..);
                }
                _ => fake.sends(client, &content, 512, 1..),
            }
        });
        if case == "another" {
            outcome.fails_with(1, &["the received bytes differ from the file of the server"]);
            place.is_empty();
        } else {
            outcome.succeeds();
            place.has_only(&content);
        }
    }
}
