//! Machines with few parts: they understand those that have others, and say what they leave out.

use windlass_core::file::{Answer, DigestKind, Refusal};
use windlass_core::sim::Path;
use windlass_core::time::Instant;
use windlass_core::transfer::parts::{
    ALL, EXTENSIONS, NONE, OPTIONS, READS, ROUND_TRIPS, TEXTS, WINDOWS, WRITES,
};
use windlass_core::transfer::tftp::{Config, Offer, TftpGet, TftpPut, TftpServer};
use windlass_core::transfer::xfer::{XferClient, XferServer};
use windlass_core::transfer::{HEAD_MAX, Heard, Timing, Transfer};

use super::world::{Case, Kind, Ran, image};

/// One transfer between a client and a server of these parts; the server has both directions.
fn between<const CLIENT: u8, const SERVER: u8>(case: &Case) -> Ran {
    let (file, timing) = (image(case.size, case.seed), Timing::CLIENT);
    let offer = Offer { block: Some(case.block), window: Some(case.window), ..Offer::DEFAULT };
    let config = Config { writes: true, ..Config::DEFAULT };
    let mut server = TftpServer::<16, SERVER>::with_parts(config);
    match case.kind {
        Kind::Xfer => {
            let mut client = XferClient::<_, CLIENT>::with_parts(b"image", &timing);
            let mut server = XferServer::<16, SERVER>::with_parts(Timing::SERVER);
            case.between(&mut client, &mut server, &file)
        }
        Kind::Get => {
            let client = TftpGet::<_, CLIENT>::with_parts(b"image", offer, &timing);
            let mut client = client.digest(DigestKind::Crc32);
            case.between(&mut client, &mut server, &file)
        }
        Kind::Put => {
            let size = file.len() as u64;
            let mut client = TftpPut::<_, CLIENT>::with_parts(b"image", size, offer, &timing);
            case.between(&mut client, &mut server, &file)
        }
    }
}

const BOTH: u8 = READS | WRITES;

/// The client of each parts against one server.
const fn clients<const SERVER: u8>() -> [fn(&Case) -> Ran; 7] {
    [
        between::<NONE, SERVER>,
        between::<TEXTS, SERVER>,
        between::<ROUND_TRIPS, SERVER>,
        between::<OPTIONS, SERVER>,
        between::<WINDOWS, SERVER>,
        between::<EXTENSIONS, SERVER>,
        between::<ALL, SERVER>,
    ]
}

#[test]
fn each_understands_each_where_much_is_lost() {
    let servers = [
        clients::<BOTH>(),
        clients::<{ BOTH | TEXTS }>(),
        clients::<{ BOTH | ROUND_TRIPS }>(),
        clients::<{ BOTH | OPTIONS }>(),
        clients::<{ BOTH | WINDOWS }>(),
        clients::<{ BOTH | EXTENSIONS }>(),
        clients::<ALL>(),
    ];
    let path = Path {
        delay_us: 500,
        loss: 100,
        duplicate: 100,
        reorder: 50,
        reorder_us: 3_000,
        ..Path::PERFECT
    };
    let seeds = if cfg!(miri) { 1 } else { 3 };
    for kind in [Kind::Xfer, Kind::Get, Kind::Put] {
        for (server, clients) in servers.iter().enumerate() {
            for (client, run) in clients.iter().enumerate() {
                for seed in 0..seeds {
                    let case = Case {
                        kind,
                        path,
                        block: 1428,
                        window: 4,
                        size: 9_000,
                        digest: false,
                        seed,
                    };
                    let ran = run(&case);
                    assert!(ran.is_identical, "client {client}, server {server}: {case:?} {ran:?}");
                }
            }
        }
    }
}

/// The datagram that it owes.
fn owed(machine: &mut dyn Transfer) -> Vec<u8> {
    let mut head = [0; HEAD_MAX];
    let tx = machine.render(Instant::ZERO, 0, &mut head).expect("a datagram");
    machine.sent(Instant::ZERO, 1);
    head[..tx.head].to_vec()
}

/// What a server says to a request for a file of 600 bytes.
fn answered(server: &mut dyn Transfer, request: &[u8]) -> Vec<u8> {
    assert_eq!(server.handle(Instant::ZERO, request), Heard::Taken);
    if server.want().file {
        let answer = match server.storage().and_then(|file| file.op().map(|op| format!("{op:?}"))) {
            Some(op) if op.starts_with("Open") => Answer::Opened(600),
            _ => Answer::Done,
        };
        server.storage().expect("a file").answer(Instant::ZERO, answer);
    }
    owed(server)
}

const EVERY_OPTION: &[u8] = b"\0\x01a\0octet\0tsize\x000\0blksize\x00600\0windowsize\x002\0\
    utimeout\x0020000\0seek\x001\0x-crc32\x000\0";

fn oack<const PARTS: u8>() -> Vec<u8> {
    answered(&mut TftpServer::<16, PARTS>::with_parts(Config::DEFAULT), EVERY_OPTION)
}

#[test]
fn a_server_grants_the_options_that_it_has() {
    assert_eq!(oack::<READS>(), b"\0\x03\0\x01");
    assert_eq!(oack::<{ READS | OPTIONS }>(), b"\0\x06tsize\x00600\0blksize\x00600\0");
    let with_windows = b"\0\x06tsize\x00600\0blksize\x00600\0windowsize\x002\0";
    assert_eq!(oack::<{ READS | WINDOWS }>(), with_windows);
}

fn request<const PARTS: u8>() -> Vec<u8> {
    let client = TftpGet::<_, PARTS>::with_parts(b"a", Offer::DEFAULT, &Timing::CLIENT);
    owed(&mut client.seek(7).digest(DigestKind::Crc32))
}

#[test]
fn a_client_asks_for_the_options_that_it_has() {
    assert_eq!(request::<NONE>(), b"\0\x01a\0octet\0");
    assert_eq!(request::<OPTIONS>(), b"\0\x01a\0octet\0tsize\x000\0blksize\x001428\0");
    assert_eq!(
        request::<ALL>(),
        b"\0\x01a\0octet\0tsize\x000\0blksize\x001428\0windowsize\x0032\0utimeout\x0020000\0\
            seek\x007\0x-crc32\x000\0"
    );
}

#[test]
fn an_answer_to_what_was_not_asked_for_is_refused() {
    let mut client = TftpGet::<_, NONE>::with_parts(b"a", Offer::DEFAULT, &Timing::CLIENT);
    owed(&mut client);
    assert_eq!(client.handle(Instant::ZERO, b"\0\x06blksize\x00512\0"), Heard::Taken);
    assert_eq!(owed(&mut client), b"\0\x05\0\x08\0");
}

#[test]
fn a_direction_that_a_server_does_not_have_is_refused() {
    let config = Config { writes: true, ..Config::DEFAULT };
    let mut sends = TftpServer::<16, READS>::with_parts(config);
    assert_eq!(answered(&mut sends, b"\0\x02a\0octet\0"), b"\0\x05\0\x02\0");
    let mut takes = TftpServer::<16, { WRITES | TEXTS }>::with_parts(config);
    let refused = [b"\0\x05\0\x02", Refusal::NotAllowed.text().as_bytes(), b"\0"].concat();
    assert_eq!(answered(&mut takes, b"\0\x01a\0octet\0"), refused);
    assert_eq!(
        answered(&mut TftpServer::<16, WRITES>::with_parts(config), b"\0\x02a\0octet\0"),
        b"\0\x04\0\0"
    );
}

/// What a server of `xfer` says for a file that is not there.
fn not_found(server: &mut dyn Transfer) -> Vec<u8> {
    assert_eq!(server.handle(Instant::ZERO, b"\0\0\0\x01a\0"), Heard::Taken);
    let file = server.storage().expect("a file");
    file.answer(Instant::ZERO, Answer::Refused(Refusal::NotFound));
    owed(server)
}

#[test]
fn without_texts_an_error_has_its_number() {
    let mut full = XferServer::<16>::new(Timing::SERVER);
    let text = Refusal::NotFound.text().as_bytes();
    let with_text = [b"\0\0\0\x05\0\0\0\x01", text, b"\0"].concat();
    assert_eq!(not_found(&mut full), with_text);
    let mut bare = XferServer::<16, NONE>::with_parts(Timing::SERVER);
    assert_eq!(not_found(&mut bare), b"\0\0\0\x05\0\0\0\x01\0");
}
