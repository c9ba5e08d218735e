//! The tables of the script and the numbers of the core.

use std::collections::BTreeMap;
use std::fs;

use windlass_core::frame::link::{Decoder, Link, PAYLOAD_MAX, PacketStep, REPORT};
use windlass_core::session::files::NAME_MAX;
use windlass_core::time::Instant;
use windlass_core::wire::tftp::ErrorCode;
use windlass_core::wire::{FrameHeader, Score, xfer};
use windlass_tests::dissectors;

use crate::{number_of, rendered, written};

/// `NAME = number` and `[number] = "NAME"` of a table of the script.
fn table(name: &str) -> BTreeMap<String, u64> {
    let script = fs::read_to_string(dissectors()).expect("the script");
    let (_, table) = script.split_once(&format!("local {name} = {{")).expect("the table");
    let (table, _) = table.split_once("\n}").expect("its end");
    let table = table.split_once(" }\n").map_or(table, |(line, _)| line);
    let lines = table.lines().map(|line| line.split("--").next().unwrap_or_default());
    let pairs = lines.flat_map(|line| line.split(',')).filter_map(|pair| pair.split_once('='));
    let pairs = pairs.map(|(left, right)| {
        let [left, right] = [left, right].map(|word| word.trim().trim_matches(['[', ']', '"']));
        let number = |word: &str| match word.strip_prefix("0x") {
            Some(hex) => u64::from_str_radix(hex, 16).ok(),
            None => word.parse().ok(),
        };
        match number(left) {
            Some(number) => (right.to_owned(), number),
            None => (left.to_owned(), number(right).expect("a number")),
        }
    });
    pairs.collect()
}

#[track_caller]
fn is_table<N: TryInto<u64>>(name: &str, expected: impl IntoIterator<Item = (impl ToString, N)>) {
    let number = |number: N| number.try_into().ok().expect("a number");
    let expected = expected.into_iter().map(|(name, it)| (name.to_string(), number(it)));
    assert_eq!(table(name), expected.collect(), "{name}");
}

#[test]
fn the_tables_are_those_of_the_core() {
    is_table(
        "WIRE",
        [
            ("SCORE_MARKS", Score::LEN_MIN - 1),
            ("SCORE_NAME_MAX", Score::NAME_MAX),
            ("FRAME_HEADER", FrameHeader::LEN),
            ("FILES_NAME_MAX", NAME_MAX),
            ("XFER_DATA_AT", xfer::DATA_AT),
            ("XFER_BLOCK_MAX", xfer::BLOCK_MAX),
            ("XFER_PATH_MAX", xfer::PATH_MAX),
            ("LINK_PAYLOAD_MAX", PAYLOAD_MAX),
            ("LINK_ANSWERS", usize::from(opening()[1].0 & 0x80)),
        ],
    );
    let types = [
        ("PATH", xfer::Packet::Path(b"x")),
        ("DATA", xfer::Packet::Data { seq: 1, bytes: b"x" }),
        ("EOT", xfer::Packet::Eot { seq: 1 }),
        ("ACK", xfer::Packet::Ack { seq: 1 }),
        ("ERROR", xfer::Packet::Error { code: 1, text: b"" }),
    ];
    is_table("XFER_TYPES", types.map(|(name, packet)| (name, number_of(&rendered(&packet)))));
    let codes = [
        ErrorCode::Undefined,
        ErrorCode::NotFound,
        ErrorCode::Access,
        ErrorCode::Full,
        ErrorCode::Illegal,
        ErrorCode::UnknownTid,
        ErrorCode::Exists,
        ErrorCode::Options,
    ];
    is_table("XFER_ERRORS", codes.map(|code| (format!("{code:?}"), code as u16)));
    let [open, answer, data, end, reset] = opening();
    let report = (REPORT, 0);
    let kinds = [
        ("OPEN", open),
        ("ACK", answer),
        ("DATA", data),
        ("END", end),
        ("RESET", reset),
        ("REPORT", report),
    ];
    is_table("LINK_KINDS", kinds.map(|(name, (kind, _))| (name, kind & 0x7f)));
}

/// The kinds and numbers of an opening, its acknowledgement, data, the end, and of the answer to data
/// without a link.
fn opening() -> [(u8, u8); 5] {
    let mut memory = [[0; 96]; 6];
    let [rx, tx, rest @ ..] = &mut memory;
    let mut opens = Link::connect(rx, tx, 7);
    let [rx, tx, rest @ ..] = rest;
    let mut answers = Link::listen(rx, tx);
    let [rx, tx] = rest;
    let mut stranger = Link::listen(rx, tx);
    let open = moved(&mut opens, &mut answers);
    let ack = moved(&mut answers, &mut opens);
    assert_eq!(opens.send(b"x"), 1);
    let data = written(&mut opens, Instant::ZERO);
    answers.input(Instant::ZERO, &data);
    answers.taken(1);
    let _ = moved(&mut answers, &mut opens);
    opens.close();
    let end = written(&mut opens, Instant::ZERO);
    stranger.input(Instant::ZERO, &data);
    [open, ack, data, end, written(&mut stranger, Instant::ZERO)].map(|line| {
        let mut memory = [0; 64];
        match Decoder::new(&mut memory).feed(&line) {
            PacketStep::Packet { packet, .. } => (packet.kind, packet.seq),
            other => panic!("{other:?}"),
        }
    })
}

fn moved(from: &mut Link<'_>, to: &mut Link<'_>) -> Vec<u8> {
    let line = written(from, Instant::ZERO);
    to.input(Instant::ZERO, &line);
    line
}
