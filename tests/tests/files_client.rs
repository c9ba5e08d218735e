//! `windlass get files://`, with our server and with servers that break the protocol.
//!
//! - If a transfer fails, the bytes received so far stay in a part, and `--continue` resumes there.
//! - Whatever fails, the file gets its name only when it is complete.
//! - `--verify` detects a byte that changed.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use nix::sys::signal::Signal;
use windlass_tests::{Model, Outcome, PATIENCE, Random, Server, serve, skipped, windlass, within};

const SIZE: usize = 3_000_001;

/// A root with one file, and a folder to download into.
struct Place {
    folder: tempfile::TempDir,
    content: Vec<u8>,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let content = Random::new(8).bytes(SIZE);
        for name in ["root", "here"] {
            fs::create_dir(folder.path().join(name)).expect("mkdir");
        }
        fs::write(folder.path().join("root/file"), &content).expect("write");
        fs::write(folder.path().join("root/a b"), b"spaced").expect("write");
        Self { folder, content }
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    fn here(&self, name: &str) -> PathBuf {
        self.folder.path().join("here").join(name)
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path().join("here")).expect("read");
        let mut names: Vec<String> =
            entries.map(|it| it.expect("an entry").file_name().to_string_lossy().into()).collect();
        names.sort();
        names
    }

    fn serve(&self) -> Server {
        let args = format!("--root {}", self.root().display());
        serve!("files", Model::Epoll).args(&args).start()
    }

    /// Where the part of the file `x` is, and its facts.
    fn part(&self) -> PathBuf {
        self.here(&part_name())
    }

    fn facts(&self) -> PathBuf {
        self.part().with_extension("facts")
    }

    fn write_part(&self, content: &[u8]) {
        fs::write(self.part(), content).expect("write");
        fs::write(self.facts(), FACTS).expect("write");
    }

    #[track_caller]
    fn has_only_a_part(&self, content: &[u8]) {
        assert_eq!(self.names(), [".facts", ".part"].map(|end| part_name().replace(".part", end)));
        assert!(fs::read(self.part()).expect("read") == content, "other bytes");
    }

    #[track_caller]
    fn has_only(&self, name: &str, content: &[u8]) {
        assert_eq!(self.names(), [name]);
        assert!(fs::read(self.here(name)).expect("read") == content, "other bytes");
    }
}

/// The name of the part of the file `x`.
fn part_name() -> String {
    format!(".windlass-x-{}.part", &blake3::hash(b"x").to_hex()[..16])
}

const FACTS: &str = r#"{"windlass-part":1,"source":"files://host/x","resumable":true}"#;

fn url(server: &Server, name: &str) -> String {
    format!("files://{}/{name}", server.address().trim_start_matches("tcp:"))
}

/// A server that says `answer` to the first client, whatever it asks, and closes.
fn that_says(answer: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("address");
    thread::spawn(move || {
        let (mut client, _) = listener.accept().expect("accept");
        let mut len = [0; 4];
        client.read_exact(&mut len).expect("a request");
        let mut name = vec![0; u32::from_be_bytes(len) as usize];
        client.read_exact(&mut name).expect("a name");
        client.write_all(&answer).expect("answer");
    });
    format!("files://{address}/file")
}

/// It may have said what it did.
#[track_caller]
fn has_succeeded(outcome: &Outcome) {
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
}

fn frames(frames: &[&[u8]]) -> Vec<u8> {
    let frame = |payload: &&[u8]| {
        [&u32::try_from(payload.len()).expect("short").to_be_bytes()[..], payload].concat()
    };
    frames.iter().flat_map(frame).collect()
}

#[test]
fn a_file_comes_whole() {
    let place = Place::new();
    let server = place.serve();
    windlass!("get", url(&server, "file"), "-o", place.here("x"), "--verify").run().succeeds();
    place.has_only("x", &place.content);
    // Over the one that is there.
    windlass!("get", url(&server, "a%20b"), "-o", place.here("x"), "--continue").run().succeeds();
    place.has_only("x", b"spaced");
    let outcome = windlass!("get", url(&server, "file"), "--verify").run();
    outcome.succeeds();
    assert!(outcome.stdout == place.content, "other bytes");
    let mut command = Command::new(env!("CARGO_BIN_EXE_windlass-under-test"));
    command.args(["get", "-O", &url(&server, "a%20b")]).current_dir(place.here(""));
    assert!(command.status().expect("run").success());
    assert_eq!(place.names(), ["a b", "x"]);
}

#[test]
fn what_is_pushed_is_taken() {
    let place = Place::new();
    let file = place.root().join("file");
    let server = serve!("files", Model::Epoll).args(&format!("--push {}", file.display())).start();
    windlass!("get", url(&server, ""), "-o", place.here("x"), "--timeout", "60").run().succeeds();
    place.has_only("x", &place.content);
}

#[test]
fn a_refusal_is_told_and_leaves_nothing() {
    let place = Place::new();
    fs::write(place.folder.path().join("secret"), b"secret").expect("write");
    let server = place.serve();
    for (name, why) in [
        ("nothing", "there is no such file"),
        ("../secret", "the name must be relative"),
        ("%2e%2e/secret", "the name must be relative"),
        ("/etc/passwd", "the name must be relative"),
        (".", "the name is not of a regular file"),
        ("a%00b", "the name must be relative"),
        (&"x".repeat(5000), "the name is too long"),
    ] {
        let outcome = windlass!("get", url(&server, name), "-o", place.here("x")).run();
        outcome.fails_with(1, &["get files://127.0.0.1:", why]);
        assert!(place.names().is_empty());
    }
    let outcome = windlass!("get", that_says(frames(&[b"", b"\x1b[31mno"])), "-o", "-").run();
    outcome.fails_with(1, &["the server refused: \\u{1b}[31mno"]);
}

#[test]
fn a_stream_that_is_cut_is_gone_on_from() {
    let place = Place::new();
    let size = format!("file\0size\0{SIZE}\0frame\0{}\0", 1 << 24);
    let half = &place.content[..1_500_000];
    let mut answer = frames(&[size.as_bytes()]);
    answer.extend_from_slice(&u32::try_from(SIZE).expect("short").to_be_bytes());
    answer.extend_from_slice(half);
    let outcome = windlass!("get", that_says(answer), "-o", place.here("x")).run();
    let why = "the stream ended inside a message; 1500000 bytes are kept in";
    outcome.fails_with(1, &[why, &part_name()]);
    place.has_only_a_part(half);
    let server = place.serve();
    let args = ["--continue", "--verify", "-v"];
    let get = |args: &[&str]| {
        let get = windlass!("get", url(&server, "file"), "-o", place.here("x"));
        args.iter().fold(get, windlass_tests::Program::arg).run()
    };
    let outcome = get(&args);
    has_succeeded(&outcome);
    assert!(outcome.stderr.contains("offset=1500000"), "{}", outcome.stderr);
    place.has_only("x", &place.content);
    // A part of something else is of no use, nor is one that is too long, nor one that is not wanted.
    for part in [&b"something else"[..], &[&place.content[..], b"and more"].concat()] {
        for args in [&["--continue", "-v"][..], &args, &[]] {
            fs::remove_file(place.here("x")).expect("remove");
            place.write_part(part);
            let outcome = get(args);
            has_succeeded(&outcome);
            let from_start = args.is_empty() || outcome.stderr.contains("offset=0");
            assert!(from_start, "{}", outcome.stderr);
            place.has_only("x", &place.content);
        }
    }
    // One that is whole is only renamed.
    for args in [&["--continue", "-v"][..], &args] {
        fs::rename(place.here("x"), place.part()).expect("rename");
        fs::write(place.facts(), FACTS).expect("write");
        let outcome = get(args);
        has_succeeded(&outcome);
        assert!(outcome.stderr.contains(&format!("offset={SIZE}")), "{}", outcome.stderr);
        place.has_only("x", &place.content);
    }
}

/// A client that is killed leaves a good part, and so does one that is asked to stop.
#[test]
fn a_client_that_is_ended_is_gone_on_from() {
    for signal in [Signal::SIGKILL, Signal::SIGTERM, Signal::SIGINT] {
        let place = Place::new();
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let url = format!("files://{}/file", listener.local_addr().expect("address"));
        let client = windlass!("get", url, "-o", place.here("x")).start();
        let (mut peer, _) = listener.accept().expect("accept");
        let size = format!("file\0size\0{SIZE}\0frame\x00100000\0");
        peer.write_all(&frames(&[size.as_bytes(), &place.content[..70_000]])).expect("send");
        let part = || fs::metadata(place.part()).map_or(0, |part| part.len());
        within(PATIENCE, "some of it is there", || part() == 70_000);
        client.end_by(signal);
        place.has_only_a_part(&place.content[..70_000]);
        drop(peer);
        let server = place.serve();
        let get = windlass!("get", self::url(&server, "file"), "-o", place.here("x"), "-cv").run();
        has_succeeded(&get);
        assert!(get.stderr.contains("offset=70000"), "{}", get.stderr);
        place.has_only("x", &place.content);
    }
}

#[test]
fn what_changed_on_its_way_is_found() {
    let place = Place::new();
    let digest = *blake3::hash(b"good").as_bytes();
    let head = b"file\0size\x004\0digest\0blake3\0";
    let answer = |bytes: &[u8]| that_says(frames(&[head, bytes, b"", &digest]));
    let get = |url: String| windlass!("get", url, "-o", place.here("x"), "--verify").run();
    get(answer(b"g0od")).fails_with(
        1,
        &["verify files://", "the received bytes differ from the file of the server"],
    );
    assert!(place.names().is_empty());
    get(answer(b"good")).succeeds();
    place.has_only("x", b"good");
    let silent = that_says(frames(&[b"file\0size\x004\0", b"good", b""]));
    get(silent).fails_with(1, &["it cannot be verified"]);
    place.has_only("x", b"good");
}

#[test]
fn a_server_that_breaks_its_word_is_found_out() {
    let place = Place::new();
    for (answer, why) in [
        (frames(&[b"file\0size\x005\0", b"1234", b""]), "bytes that do not follow the protocol"),
        (frames(&[b"file\0size\x003\0", b"1234", b""]), "bytes that do not follow the protocol"),
        (frames(&[b"file\0size\x009\0offset\x005\0", b"6789", b""]), "do not follow the protocol"),
        (b"\0\0\0\x04file\xff\xff\xff\xff".to_vec(), "4294967295 bytes where 4096 are allowed"),
        (b"\xff\xff\xff\xff".to_vec(), "4294967295 bytes where"),
        (frames(&[b"file"]), "ended inside a message"),
        (frames(&[b"other\0size\x001\0", b"1", b""]), "sends another file: other"),
        (Vec::new(), "ended inside a message"),
    ] {
        let outcome = windlass!("get", that_says(answer), "-o", place.here("x")).run();
        outcome.fails_with(1, &["get files://127.0.0.1:", why]);
        for name in place.names() {
            assert!(name.starts_with(".windlass-x-"), "{name}");
            fs::remove_file(place.here(&name)).expect("remove");
        }
    }
}

/// A megabyte of disk: what fitted stays, and is gone on from when there is room.
#[test]
fn a_full_disk_is_told() {
    if !nix::unistd::geteuid().is_root() {
        skipped("only root can mount a small disk");
        return;
    }
    let place = Place::new();
    let server = place.serve();
    let script = format!(
        "mount -t tmpfs -o size=1m none '{here}' && cd '{here}' || exit 9
         '{windlass}' get '{url}' -o x; echo \"first $? $(ls -A)\"
         mount -o remount,size=16m '{here}'
         '{windlass}' get '{url}' -o x --continue --verify -v; echo \"second $? $(ls -A)\"
         cmp x '{root}/file' && echo same",
        here = place.here("").display(),
        windlass = env!("CARGO_BIN_EXE_windlass-under-test"),
        url = url(&server, "file"),
        root = place.root().display(),
    );
    let outcome = windlass_tests::Program::new("unshare").words("-m sh -c").arg(script).run();
    let said = String::from_utf8_lossy(&outcome.stdout).into_owned();
    let part = part_name();
    let first = format!("first 1 {}\n{part}\n", part.replace(".part", ".facts"));
    assert_eq!(said, format!("{first}second 0 x\nsame\n"), "{outcome:?}");
    // One block of the disk is for the facts.
    let kept = (1 << 20) - 4096;
    let why = format!("No space left on device; {kept} bytes are kept in {part}");
    assert!(outcome.stderr.contains(&why), "{outcome:?}");
    assert!(outcome.stderr.contains(&format!("offset={kept}")), "{outcome:?}");
}

#[test]
fn wrong_usage_is_told() {
    let path = Path::new("/dev/null/x");
    for (words, why) in [
        ("get http://localhost:1/x --continue", "needs a file"),
        ("get http://localhost:1/x -o y --verify", "is for files://"),
        ("get files://localhost:1/x --continue", "--continue needs a file"),
        ("get files://localhost:1/ -O", "ends in no name"),
        ("get files://localhost:1/.. -O", "ends in no name"),
        ("get files://localhost:1/x?y", "not a URL: byte 21"),
        ("serve files", "files needs --root DIR, or --push FILE"),
        ("serve upper --root .", "--root is for files, http, tftp and xfer, and --push for files"),
        ("serve files --push /", "--push is for a file"),
    ] {
        windlass!().words(words).run().fails_with(2, &[why]);
    }
    let root = windlass!("serve", "files", "--root", path).run();
    root.fails_with(1, &["open the root /dev/null/x: Not a directory"]);
    let push = windlass!("serve", "files", "--push", "/nothing").run();
    push.fails_with(1, &["push /nothing: there is no such file"]);
}

/// The second client gets an error, and spoils neither the part nor the file of the first.
#[test]
fn two_transfers_of_one_file_do_not_meet() {
    let place = Place::new();
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let url = format!("files://{}/file", listener.local_addr().expect("address"));
    let mut first = windlass!("get", url, "-o", place.here("x")).start();
    let (mut peer, _) = listener.accept().expect("accept");
    let size = format!("file\0size\0{SIZE}\0frame\0{}\0", 1 << 24);
    let mut answer = frames(&[size.as_bytes()]);
    answer.extend_from_slice(&u32::try_from(SIZE).expect("short").to_be_bytes());
    peer.write_all(&answer).expect("send");
    peer.write_all(&place.content[..1_000_000]).expect("send");
    let part = || fs::metadata(place.part()).map_or(0, |part| part.len());
    within(PATIENCE, "some of it is there", || part() == 1_000_000);
    let server = place.serve();
    for more in ["--timeout=30", "--continue", "--verify"] {
        let get = windlass!("get", self::url(&server, "file"), "-o", place.here("x"), more).run();
        get.fails_with(1, &["another transfer is writing it"]);
    }
    peer.write_all(&place.content[1_000_000..]).expect("send");
    peer.write_all(&[0; 4]).expect("send");
    assert_eq!(first.wait(), Some(0));
    place.has_only("x", &place.content);
}

/// A part beside what is no file is not what the reader of it waits for.
#[test]
fn a_fifo_gets_all_of_it() {
    let place = Place::new();
    let server = place.serve();
    nix::unistd::mkfifo(&place.here("x"), nix::sys::stat::Mode::S_IRWXU).expect("mkfifo");
    place.write_part(&place.content[..1_000_000]);
    let fifo = place.here("x");
    let reader = thread::spawn(move || fs::read(fifo).expect("read"));
    windlass!("get", url(&server, "file"), "-o", place.here("x"), "-c").run().succeeds();
    assert!(reader.join().expect("it ends") == place.content, "other bytes");
}
