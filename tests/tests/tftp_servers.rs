//! `windlass get tftp://` and `put` with the TFTP servers that others run, over a network that is good, and one that
//! is not.

use std::fs::{self, File, Permissions};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use windlass_tests::{
    Feed, Hosts, Lossy, PATIENCE, Path, Program, Random, Running, foreign, has, windlass, within,
};

/// A server of another project on the files of a folder, and a folder to download into.
struct Stock {
    folder: tempfile::TempDir,
    address: SocketAddr,
    name: &'static str,
    _server: Running,
}

/// Files by their names. One is as long as a block of either size, and one longer than a window.
const SIZES: [(&str, usize); 7] = [
    ("empty", 0),
    ("511", 511),
    ("512", 512),
    ("513", 513),
    ("1428", 1428),
    ("100k", 100_000),
    ("blocks", 2856),
];

impl Stock {
    /// tftpd-hpa and atftpd take the socket as `inetd` passes it: so the port is free, and what is sent before they
    /// run waits.
    fn start(name: &'static str, options: &str) -> Option<Self> {
        let program = foreign(name)?;
        let folder = folder();
        let socket = UdpSocket::bind("127.0.0.1:0").expect("bind");
        let address = socket.local_addr().expect("an address");
        let server = Program::new(program)
            .words(options)
            .arg(folder.path().join("root"))
            .feed(Feed::File(File::from(OwnedFd::from(socket))))
            .start();
        Some(Self { folder, address, name, _server: server })
    }

    fn all() -> impl Iterator<Item = Self> {
        let servers = [("in.tftpd", "-u root -c -s"), ("atftpd", "--user root --group root")];
        servers.into_iter().filter_map(|(name, options)| Self::start(name, options))
    }

    fn root(&self, name: &str) -> PathBuf {
        self.folder.path().join("root").join(name)
    }

    fn content(&self, name: &str) -> Vec<u8> {
        fs::read(self.root(name)).expect("read")
    }

    fn url(&self, name: &str) -> String {
        format!("tftp://{}/{name}", self.address)
    }

    /// Downloads a file through `at`, and compares it.
    #[track_caller]
    fn gets(&self, at: SocketAddr, name: &str, options: &str) {
        let file = self.folder.path().join("here");
        let url = format!("tftp://{at}/{name}");
        let outcome = windlass!("get", &url, "-o", &file).words(options).run();
        assert_eq!(outcome.code, Some(0), "{} {url} {options}: {outcome}", self.name);
        let plain = name.split(';').next().expect("one at least");
        let same = fs::read(&file).expect("read") == self.content(plain);
        assert!(same, "{} {url} {options}: other bytes", self.name);
        fs::remove_file(file).expect("remove");
    }
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().join("root");
    fs::create_dir(&root).expect("mkdir");
    for (name, size) in SIZES {
        fs::write(root.join(name), Random::new(size as u64).bytes(size)).expect("write");
    }
    fs::write(root.join("text"), "a line\nand\ranother\n\n".repeat(300)).expect("write");
    // Where a server changes its user, it still reads and writes there.
    for path in [folder.path(), &root] {
        fs::set_permissions(path, Permissions::from_mode(0o777)).expect("chmod");
    }
    folder
}

#[test]
fn files_of_every_size_come_whole() {
    for stock in Stock::all() {
        for (name, _) in SIZES {
            for options in ["", "--no-options", "--blksize 65464", "--blksize 100 --window 3"] {
                stock.gets(stock.address, name, options);
            }
        }
        stock.gets(stock.address, "text;mode=netascii", "");
        stock.gets(stock.address, "text;mode=netascii", "--no-options");
    }
}

#[test]
fn what_is_not_there_is_refused_in_the_words_of_the_server() {
    for stock in Stock::all() {
        let url = stock.url("nowhere");
        windlass!("get", url).run().fails_with(1, &["the server refused: ", "(error 1)"]);
    }
}

#[test]
fn files_are_put() {
    for stock in Stock::all() {
        for (name, _) in SIZES {
            for (nth, options) in ["", "--no-options", "--blksize 8000"].into_iter().enumerate() {
                let new = format!("new-{name}-{nth}");
                let url = stock.url(&new);
                let outcome = windlass!("put", stock.root(name), &url).words(options).run();
                assert_eq!(outcome.code, Some(0), "{} {url} {options}: {outcome}", stock.name);
                let what = format!("{} has {new}", stock.name);
                // It acknowledges the last block before it closes the file.
                within(PATIENCE, &what, || stock.content(&new) == stock.content(name));
            }
        }
    }
}

#[test]
fn a_network_that_loses_doubles_and_reorders_costs_time_and_no_byte() {
    let late = Duration::from_millis(5);
    for stock in Stock::all() {
        for (path, options) in [
            (Path::losing(50), ""),
            (Path::losing(50), "--no-options --timeout 40"),
            (Path { duplicate: 200, ..Path::PERFECT }, ""),
            (Path { reorder: 50, late, ..Path::PERFECT }, "--window 8"),
            (Path { loss: 20, duplicate: 20, reorder: 20, late, ..Path::PERFECT }, "--window 4"),
        ] {
            // Without options a stock server waits a second or five for each loss: a short file will do.
            let name = if options.contains("no-options") { "blocks" } else { "100k" };
            for seed in 1..=3 {
                let lossy = Lossy::start("127.0.0.1:0", stock.address, seed, [path; 2]);
                let lossy = lossy.expect("a proxy");
                stock.gets(lossy.address(), name, options);
            }
        }
    }
}

#[test]
fn dnsmasq_on_another_host_serves_this_one() {
    if !has("dnsmasq") {
        return;
    }
    let Some(hosts) = Hosts::new() else { return };
    let folder = folder();
    let root = folder.path().join("root");
    let options =
        "--no-daemon --conf-file=/dev/null --port=0 --user=root --pid-file= --enable-tftp";
    let _server =
        hosts.on_a("dnsmasq").words(options).arg(format!("--tftp-root={}", root.display())).start();
    within(PATIENCE, "dnsmasq listens", || {
        let table = hosts.on_a("cat").arg("/proc/net/udp").run().stdout;
        String::from_utf8_lossy(&table).contains(":0045 ")
    });
    let file = folder.path().join("here");
    for host in ["192.0.2.1", "[fd77::1]"] {
        for (name, _) in SIZES {
            for options in ["", "--no-options", "--blksize 1000"] {
                let windlass = env!("CARGO_BIN_EXE_windlass-under-test");
                let url = format!("tftp://{host}/{name}");
                let get = hosts.on_b(windlass).arg("get").arg(&url).arg("-o").arg(&file);
                let outcome = get.words(options).run();
                assert_eq!(outcome.code, Some(0), "{url} {options}: {outcome}");
                assert!(fs::read(&file).unwrap() == fs::read(root.join(name)).unwrap(), "{url}");
            }
        }
    }
    // A port that is not served, of a host that is there.
    let windlass = env!("CARGO_BIN_EXE_windlass-under-test");
    let outcome = hosts.on_b(windlass).words("get tftp://192.0.2.1:70/511").run();
    outcome.fails_with(1, &["Connection refused"]);
}
