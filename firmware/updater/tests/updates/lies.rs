//! A server that does not follow the protocol, or lies: each update ends with its verdict, and the device boots what it
//! booted before.

use windlass_core::crc::Crc32;
use windlass_core::fault::{Fault, Peer};
use windlass_core::file::Storage;
use windlass_core::pump::{Need, Pump};
use windlass_core::session::FilesClient;
use windlass_core::time::{Instant, Wake};
use windlass_updater::{Nor, Updater, Verdict};

use crate::line::{Conditions, FLASH, Random, SLOT, booted, image, update};

const LEN: usize = 20_000;

/// More than an answer of any image has: an update that is still not over would take the bytes for ever.
const MOST: usize = 1_000_000;

/// What the server does behind its bytes.
#[derive(Clone, Copy, PartialEq)]
enum Then {
    Ends,
    IsSilent,
}

fn frame(payload: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(payload.len()).unwrap().to_be_bytes().to_vec();
    frame.extend(payload);
    frame
}

/// The first frame of an answer. In the options `|` stands for NUL.
fn head(options: &str) -> Vec<u8> {
    frame(format!("image|{options}").replace('|', "\0").as_bytes())
}

/// An answer with these options, the frames of a file, the end of it, and a digest.
fn answer(options: &str, file: &[u8], digest: &[u8]) -> Vec<u8> {
    let mut answer = head(options);
    file.chunks(1000).for_each(|part| answer.extend(frame(part)));
    answer.extend(frame(b""));
    answer.extend(frame(digest));
    answer
}

/// A device that boots an old image gets this answer, over a line that loses nothing.
fn hears(bytes: impl IntoIterator<Item = u8>, then: Then) -> Verdict {
    let old = image(1, LEN);
    let mut flash = vec![0xff; FLASH];
    update(&mut flash, &old, Conditions::default(), None);
    let mut updater = Updater::start(Nor::new(&mut flash[..]), SLOT).unwrap();
    let mut request = [0; 96];
    let len = updater.request(b"image", &mut request).unwrap();
    let mut client = FilesClient::new(&request[..len], [0; 96]);
    let (mut rx, mut tx) = ([0; 64], [0; 64]);
    let mut pump = Pump::new(&mut rx, &mut tx).idle_timeout(30_000_000);

    let (mut bytes, mut received, mut now) = (bytes.into_iter(), 0, Instant::from_micros(1));
    let how = loop {
        let mut waits = Wake::Now;
        match pump.next(&mut client, now) {
            Need::Send { bytes, .. } => {
                let n = bytes.len();
                pump.sent(n);
            }
            Need::Recv { buf, until } => {
                let mut n = 0;
                for (to, byte) in buf.iter_mut().zip(&mut bytes) {
                    *to = byte;
                    n += 1;
                }
                received += n;
                match then {
                    _ if n > 0 => pump.received(n),
                    Then::Ends => pump.eof(),
                    Then::IsSilent => waits = until,
                }
            }
            Need::File { op, memory } => {
                let answer = updater.perform(now, op, memory);
                pump.answer(&mut client, now, answer);
            }
            Need::Shutdown => {}
            Need::Wait(until) => waits = until,
            Need::Over(how) => break how,
        }
        assert!(received < MOST, "it takes more bytes than any image has");
        now = now.after(waits.wait_us(now).expect("it waits for nothing").max(1));
    };
    while let Ok(Some(until)) = updater.settle(now) {
        now = now.after(until.wait_us(now).unwrap());
    }
    let verdict = updater.verdict(how);
    assert_eq!(booted(&mut flash), Some(old), "after {verdict:?}");
    verdict
}

#[test]
fn a_server_that_lies() {
    const WRONG_SIZE: Verdict = Verdict::Broken(Fault::Peer(Peer::WrongSize));
    const MALFORMED: Verdict = Verdict::Broken(Fault::Peer(Peer::Malformed));
    let new = image(2, LEN);
    let mut crc = Crc32::new();
    crc.update(&new);
    let crc = crc.finish().to_be_bytes();
    for (options, digest, verdict) in [
        ("size|20000|digest|crc32|", &[1, 2, 3, 4][..], Verdict::WrongDigest),
        ("size|20000|digest|crc32|", &crc[..2], MALFORMED),
        ("size|20000|digest|crc32|", &[0; 8], MALFORMED),
        ("size|19999|digest|crc32|", &crc, MALFORMED),
        ("size|20001|digest|crc32|", &crc, MALFORMED),
        ("size|0|digest|crc32|", &crc, WRONG_SIZE),
        ("size|65537|digest|crc32|", &crc, Verdict::TooLarge),
        ("size|18446744073709551615|digest|crc32|", &crc, Verdict::TooLarge),
        ("size|18446744073709551616|digest|crc32|", &crc, Verdict::Unsupported),
        ("size|20000|digest|blake3|", &[0; 32], Verdict::Unsupported),
        ("size|20000|", &crc, Verdict::Unsupported),
        ("digest|crc32|", &crc, Verdict::Unsupported),
        ("", &crc, Verdict::Unsupported),
        ("size|20000|offset|4096|digest|crc32|", &crc, MALFORMED),
        ("size|20000|offset|9223372036854775808|digest|crc32|", &crc, MALFORMED),
    ] {
        assert_eq!(hears(answer(options, &new, digest), Then::Ends), verdict, "{options:?}");
    }
}

#[test]
fn an_answer_that_does_not_end() {
    let head = head("size|20000|digest|crc32|");
    let endless = || head.iter().copied();
    let part = frame(&[7; 1000]);
    let verdict = hears(endless().chain(part.iter().copied().cycle()), Then::Ends);
    assert_eq!(verdict, Verdict::Broken(Fault::Peer(Peer::Malformed)));
    // A frame of four gigabytes.
    let verdict = hears(endless().chain([0xff; 4]).chain(std::iter::repeat(7)), Then::Ends);
    assert!(matches!(verdict, Verdict::Broken(_)), "{verdict:?}");
}

#[test]
fn an_answer_that_stops_anywhere() {
    let whole = answer("size|20000|digest|crc32|", &image(2, LEN), &[1, 2, 3, 4]);
    for len in (0..60).chain((60..whole.len()).step_by(997)) {
        for then in [Then::Ends, Then::IsSilent] {
            let verdict = hears(whole[..len].iter().copied(), then);
            assert_eq!(verdict, Verdict::ServerGone, "after {len} bytes");
        }
    }
}

#[test]
fn bytes_without_a_meaning() {
    for seed in 0..200 {
        let mut random = Random(seed);
        let noise = std::iter::repeat_with(|| random.next().to_le_bytes()[0]);
        // The first frame is short, so that what is in it is looked at.
        let len = u8::try_from(seed % 90).unwrap();
        let verdict = hears([0, 0, 0, len].into_iter().chain(noise), Then::Ends);
        assert_ne!(verdict, Verdict::Updated, "seed {seed}");
    }
}
