//! `windlass get` and `put` with `windlass serve tftp` and `serve xfer`, over networks that lose, double and reorder.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use windlass_tests::{Lossy, Model, Outcome, Path, Random, Server, serve, windlass};

const SIZE: usize = 300_001;

/// A server, its folder, and a folder to download into.
struct Pair {
    folder: tempfile::TempDir,
    content: Vec<u8>,
    server: Server,
    scheme: &'static str,
}

impl Pair {
    fn new(service: &'static str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("root");
        for name in ["root", "here"] {
            fs::create_dir(folder.path().join(name)).expect("mkdir");
        }
        let content = Random::new(9).bytes(SIZE);
        fs::write(root.join("file"), &content).expect("write");
        fs::write(root.join("empty"), b"").expect("write");
        let writes = if service == "tftp" { " --allow-write" } else { "" };
        let args = format!("--root {}{writes}", root.display());
        let server = serve!(service, Model::Reactor).listen("udp:127.0.0.1:0").args(&args).start();
        Self { folder, content, server, scheme: service }
    }

    fn address(&self) -> SocketAddr {
        self.server.address()["udp:".len()..].parse().expect("an address")
    }

    /// A network with this seed before it.
    fn lossy(&self, seed: u64, paths: [Path; 2]) -> Lossy {
        Lossy::start("127.0.0.1:0", self.address(), seed, paths).expect("a proxy")
    }

    fn root(&self, name: &str) -> PathBuf {
        self.folder.path().join("root").join(name)
    }

    fn here(&self) -> PathBuf {
        self.folder.path().join("here/x")
    }

    fn get(&self, at: SocketAddr, name: &str, options: &str) -> Outcome {
        let url = format!("{}://{at}/{name}", self.scheme);
        windlass!("get", url, "-o", self.here()).words(options).run()
    }

    /// Downloads the file through this address, and compares it.
    #[track_caller]
    fn gets(&self, at: SocketAddr, options: &str) {
        let outcome = self.get(at, "file", options);
        assert_eq!(outcome.code, Some(0), "{options}: {outcome}");
        assert!(fs::read(self.here()).unwrap() == self.content, "{options}: other bytes");
        fs::remove_file(self.here()).unwrap();
    }
}

fn bad_networks() -> impl Iterator<Item = Path> {
    let late = Duration::from_millis(5);
    [
        Path::losing(50),
        Path { duplicate: 200, ..Path::PERFECT },
        Path { reorder: 50, late, ..Path::PERFECT },
        Path { loss: 100, duplicate: 100, reorder: 100, late, ..Path::PERFECT },
    ]
    .into_iter()
}

#[test]
fn tftp_comes_and_goes_whole_over_every_network() {
    let pair = Pair::new("tftp");
    for (nth, path) in bad_networks().enumerate() {
        for (seed, options) in (1..).zip(["", "--window 1 --verify", "--window 8"]) {
            let lossy = pair.lossy(seed, [path; 2]);
            pair.gets(lossy.address(), options);
            let new = format!("new-{nth}-{seed}");
            let url = format!("tftp://{}/{new}", lossy.address());
            let outcome = windlass!("put", pair.root("file"), url).words(options).run();
            assert_eq!(outcome.code, Some(0), "{path:?} {options}: {outcome}");
            assert!(fs::read(pair.root(&new)).unwrap() == pair.content, "{path:?}: other bytes");
        }
    }
}

#[test]
fn xfer_comes_whole_over_every_network() {
    let pair = Pair::new("xfer");
    for path in bad_networks() {
        for seed in 1..=2 {
            pair.gets(pair.lossy(seed, [path; 2]).address(), "");
        }
    }
    let outcome = pair.get(pair.address(), "empty", "");
    outcome.succeeds();
    assert_eq!(fs::read(pair.here()).unwrap(), b"");
}

/// Under 20 % duplication a block costs at most 1.05 datagrams (RFC 1123, 4.2.3.1). What the timers of a busy machine
/// send again comes on top, and differs from run to run; what copies draw does not. So one run of some has to be as
/// cheap as that.
#[test]
fn copies_of_datagrams_draw_no_copies() {
    for (service, options) in [("tftp", "--window 1 --blksize 1024"), ("xfer", "")] {
        let pair = Pair::new(service);
        let path = Path { duplicate: 200, ..Path::PERFECT };
        let blocks = SIZE.div_ceil(1024) as u64;
        let is_cheap = |seed| {
            let lossy = pair.lossy(seed, [path; 2]);
            pair.gets(lossy.address(), options);
            let [_, back] = lossy.counts();
            assert!(back.doubled > blocks / 10, "{service}: {back:?}");
            back.sent <= blocks + blocks / 20
        };
        assert!((1..=10).any(is_cheap), "{service}: each run sent more");
    }
}

/// The answer that would end it is lost, and the client has left: each end knows that the file is whole.
#[test]
fn a_transfer_is_whole_though_its_last_answers_are_lost() {
    let pair = Pair::new("tftp");
    // The third datagram of the client acknowledges the only block.
    for lose in [&[3][..], &[2], &[1, 3]] {
        let lossy = pair.lossy(1, [Path { lose, ..Path::PERFECT }, Path::PERFECT]);
        fs::write(pair.root("short"), b"short").unwrap();
        pair.get(lossy.address(), "short", "--timeout 20").succeeds();
        assert_eq!(fs::read(pair.here()).unwrap(), b"short");
        assert!(lossy.counts()[0].lost > 0);
    }
}

#[test]
fn a_download_goes_on_over_tftp() {
    let pair = Pair::new("tftp");
    // For each client the network dies after a while: half of the file is there, and the rest needs less.
    let cut: &'static [u64] = Vec::leak((60..5000).collect());
    let dying = pair.lossy(1, [Path { lose: cut, ..Path::PERFECT }, Path::PERFECT]);
    let outcome = pair.get(dying.address(), "file", "--timeout 2 --window 2");
    outcome.fails_with(1, &["no byte moved for 2", "bytes are kept in", "--continue"]);
    let kept: u64 = outcome.stderr.split_whitespace().find_map(|word| word.parse().ok()).unwrap();
    assert!(kept > 10_000, "{outcome}");
    let before = dying.counts()[1].sent;
    pair.gets(dying.address(), "--continue");
    // Not those of the whole file.
    let (sent, left) = (dying.counts()[1].sent - before, (SIZE as u64 - kept).div_ceil(1428));
    assert!(sent < 2 * left, "{sent} datagrams for {left} blocks");
}

#[test]
fn text_is_the_same_at_both_ends() {
    let pair = Pair::new("tftp");
    let text = "a line\nand\ranother\r\n\n".repeat(3000);
    fs::write(pair.root("text"), &text).unwrap();
    let lossy = pair.lossy(1, [Path::losing(20); 2]);
    let url = format!("tftp://{}/sent;mode=netascii", lossy.address());
    windlass!("put", pair.root("text"), url).words("--window 4").run().succeeds();
    pair.get(lossy.address(), "sent;mode=netascii", "").succeeds();
    for copy in [pair.root("sent"), pair.here()] {
        assert!(fs::read(copy).unwrap() == text.as_bytes(), "another text");
    }
}

#[test]
fn zones_lead_to_a_server_on_another_host() {
    let Some(hosts) = windlass_tests::Hosts::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), b"over the link").unwrap();
    for (on, number, device) in [(hosts.on_a("ip"), 77, "va"), (hosts.on_b("ip"), 78, "vb")] {
        let ip = on.words(&format!("addr add fe80::{number}/64 dev {device} nodad")).run();
        assert_eq!(ip.code, Some(0), "{ip}");
    }
    let windlass = env!("CARGO_BIN_EXE_windlass-under-test");
    let serve = format!("serve tftp --listen udp:[::]:0 --root {}", folder.path().display());
    let server = windlass_tests::Listening::start(hosts.on_a(windlass).words(&serve));
    let port = server.address().rsplit(':').next().unwrap();
    for host in ["[fe80::77%25vb]", "[fe80::77%vb]", "[fd77::1]"] {
        let url = format!("tftp://{host}:{port}/file");
        let outcome = hosts.on_b(windlass).arg("get").arg(&url).run();
        outcome.succeeds();
        assert_eq!(outcome.stdout, b"over the link", "{url}");
    }
}
