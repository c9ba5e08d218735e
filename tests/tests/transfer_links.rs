//! Transfers between two hosts over links that are narrow, slow, or drop what they do not like.
//!
//! - A link takes 1280 bytes, and blocks are larger: they travel as fragments.
//! - A host drops fragments: blocks that fit arrive (`--max-blksize`, `--blksize`), and others end in a named fault.
//! - A link is slow: a send finds no room (`EAGAIN`), or the queue of the device is full (`ENOBUFS`).

use std::fs;
use std::path::PathBuf;

use windlass_tests::transfer::place;
use windlass_tests::{Hosts, Listening, Outcome, skipped};

const WINDLASS: &str = env!("CARGO_BIN_EXE_windlass-under-test");

/// A server on one host, and clients on the other.
struct Link {
    hosts: Hosts,
    folder: tempfile::TempDir,
    file: Vec<u8>,
}

impl Link {
    /// `None`, and the reason is told, where this cannot be.
    fn of(size: usize) -> Option<Self> {
        let hosts = Hosts::new()?;
        let (folder, file) = place(size);
        Some(Self { hosts, folder, file })
    }

    fn narrow(&self, mtu: u16) {
        for (ip, device) in [(self.hosts.on_a("ip"), "va"), (self.hosts.on_b("ip"), "vb")] {
            ip.words(&format!("link set {device} mtu {mtu}")).run().succeeds();
        }
    }

    fn serve(&self, options: &str) -> Listening {
        let root = self.folder.path().display();
        let serve =
            format!("serve tftp --listen udp:0.0.0.0:0 --allow-write --root {root} {options}");
        Listening::start(self.hosts.on_a(WINDLASS).words(&serve))
    }

    fn here(&self) -> PathBuf {
        self.folder.path().join("here")
    }

    fn get(&self, server: &Listening, options: &str) -> Outcome {
        let url = format!("tftp://192.0.2.1:{}/file", server.port());
        self.hosts
            .on_b(WINDLASS)
            .arg("get")
            .arg(url)
            .words(options)
            .arg("-o")
            .arg(self.here())
            .run()
    }

    #[track_caller]
    fn gets(&self, server: &Listening, options: &str) {
        self.get(server, options).succeeds();
        assert!(fs::read(self.here()).expect("a file") == self.file, "other bytes");
        fs::remove_file(self.here()).expect("remove");
    }

    #[track_caller]
    fn puts(&self, server: &Listening, name: &str, options: &str) {
        let url = format!("tftp://192.0.2.1:{}/{name}", server.port());
        let put = self.hosts.on_b(WINDLASS).arg("put").arg(self.folder.path().join("file"));
        put.arg(url).words(options).run().succeeds();
        assert!(fs::read(self.folder.path().join(name)).expect("a file") == self.file);
    }
}

#[test]
fn blocks_larger_than_the_link_travel_as_fragments() {
    let Some(link) = Link::of(300_000) else { return };
    link.narrow(1280);
    for model in ["epoll", "fork"] {
        let server = link.serve(&format!("--model {model}"));
        for (nth, options) in ["", "--blksize 8192 --window 4", "--window 1"].iter().enumerate() {
            link.gets(&server, options);
            link.puts(&server, &format!("{model}-{nth}"), options);
        }
    }
    // One port for all sends to each by its address.
    let server = link.serve("--model epoll --single-port");
    link.gets(&server, "");
    link.gets(&server, "--blksize 8192 --window 4");
}

#[test]
fn where_fragments_are_dropped_blocks_that_fit_arrive() {
    let Some(link) = Link::of(50_000) else { return };
    link.narrow(1280);
    for host in [link.hosts.on_a("sh"), link.hosts.on_b("sh")] {
        // Without memory for them none is put together.
        let none =
            "cd /proc/sys/net/ipv4 && echo 0 > ipfrag_low_thresh && echo 0 > ipfrag_high_thresh";
        if host.arg("-c").arg(none).run().code != Some(0) {
            return skipped("this kernel puts fragments together");
        }
    }
    let server = link.serve("--model epoll");
    let outcome = link.get(&server, "--timeout 1");
    outcome.fails_with(1, &["get", "no byte moved for 1"]);
    assert!(!link.here().exists(), "nothing under the name");
    link.gets(&server, "--blksize 1200");
    link.puts(&server, "new", "--blksize 1200");
    drop(server);
    link.gets(&link.serve("--model epoll --max-blksize 1200"), "");
}

#[test]
fn a_link_that_is_slow_costs_time_and_no_byte() {
    let Some(link) = Link::of(100_000) else { return };
    // A short queue: the device says that it is full. A long one fills the buffer of the socket.
    for queue in ["limit 6k", "limit 4m"] {
        let limit = format!("qdisc replace dev va root tbf rate 16mbit burst 4k {queue}");
        if link.hosts.on_a("tc").words(&limit).run().code != Some(0) {
            return skipped("this kernel has no token bucket filter");
        }
        for options in ["--model epoll", "--model thread", "--model epoll --single-port"] {
            let server = link.serve(options);
            link.gets(&server, "");
            link.gets(&server, "--window 64 --blksize 1428");
        }
        // Many share the buffer of one socket.
        for model in ["select", "epoll-et", "reactor"] {
            let server = link.serve(&format!("--single-port --model {model}"));
            let url = format!("tftp://192.0.2.1:{}/file", server.port());
            std::thread::scope(|scope| {
                for _ in 0..6 {
                    let get = link.hosts.on_b(WINDLASS).arg("get").arg(&url);
                    scope.spawn(|| {
                        let outcome = get.words("--window 64 -o -").run();
                        outcome.succeeds();
                        assert!(outcome.stdout == link.file, "other bytes");
                    });
                }
            });
        }
    }
}
