//! Files, pipes, devices, terminals; slow, full, and closed ones.

use std::fs::{self, File, Permissions};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use nix::pty::{OpenptyResult, Winsize, openpty};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use windlass_tests::{PATIENCE, Random, proc, windlass};

use crate::folder::Folder;
use crate::server::{Server, answer_with};

const LARGE: usize = 10 << 20;

fn same(came: &[u8], expected: &[u8]) {
    assert_eq!(came.len(), expected.len());
    assert!(came == expected, "other bytes than expected");
}

#[test]
fn megabytes_come_whole_to_files_and_pipes_also_in_a_storm_of_signals() {
    let body = Random::new(21).bytes(LARGE);
    let server = Server::that_says(answer_with(&body));
    let url = server.url("/large");
    let folder = Folder::new();
    windlass!("get", &url, "-o", folder.at("file")).run().succeeds();
    folder.has_only("file", &body);
    let outcome = windlass!("get", &url, "-o", "-").run();
    outcome.succeeds();
    same(&outcome.stdout, &body);
    let redirected = File::create(folder.at("file")).expect("create");
    windlass!("get", &url).output(redirected).run().succeeds();
    folder.has_only("file", &body);
    for args in [&["-o", "file"][..], &[]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_windlass-under-test"));
        command.args(["get", &url]).args(args).current_dir(folder.path());
        let output = command.env("WINDLASS_TEST_STORM", "1").output().expect("run");
        assert!(output.status.success(), "{output:?}");
        let file = || fs::read(folder.at("file")).expect("read");
        same(&if args.is_empty() { output.stdout } else { file() }, &body);
    }
}

/// While no process reads the pipe, the server is not read either, and memory stays small. Then all
/// arrives.
#[test]
fn a_reader_that_waits_holds_the_server_up() {
    // An odd size, so that no two buffers hold the same.
    let body = Random::new(22).bytes(1_000_003).repeat(64);
    let answer = answer_with(&body);
    let (sender, sent) = channel();
    let server = Server::start(move |client, _| {
        let first = client.push(&answer, Duration::from_millis(2500));
        sender.send(first).expect("the test waits");
        client.say(&answer[first..]);
    });
    let mut command = Command::new(env!("CARGO_BIN_EXE_windlass-under-test"));
    command.args(["get", &server.url("/"), "--timeout", "1.5"]);
    let mut child = command.stdout(Stdio::piped()).spawn().expect("start");
    // Longer than its timeout: it is the reader that is slow, and not the server.
    let held = sent.recv_timeout(PATIENCE).expect("the server is held up");
    assert!(held < body.len() / 2, "{held} bytes were taken that no process reads");
    let memory = proc::private_memory(child.id().cast_signed());
    assert!(memory < 8 << 20, "{memory} bytes of memory");
    let mut came = Vec::new();
    let mut pipe = child.stdout.take().expect("a pipe");
    // Small bites at first, so that it is full and empty again and again.
    let mut bite = [0; 1000];
    while came.len() < 1 << 20 {
        let count = pipe.read(&mut bite).expect("read");
        assert!(count > 0, "it ended after {} bytes", came.len());
        came.extend_from_slice(&bite[..count]);
    }
    pipe.read_to_end(&mut came).expect("read");
    assert!(child.wait().expect("wait").success());
    same(&came, &body);
}

#[test]
fn a_reader_that_leaves_is_an_error() {
    let server = Server::that_says(answer_with(&vec![b'x'; LARGE]));
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let outcome = windlass!("get", server.url("/")).output(OwnedFd::from(writer).into()).run();
    outcome.fails_with(1, &["write standard output", "Broken pipe"]);

    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    let leaves =
        thread::spawn(move || reader.read_exact(&mut vec![0; 100_000]).expect("some bytes"));
    let outcome = windlass!("get", server.url("/")).output(OwnedFd::from(writer).into()).run();
    outcome.fails_with(1, &["write standard output", "Broken pipe"]);
    leaves.join().expect("the reader");
}

/// The document was cut short; while its beginning still goes out, the reader leaves too.
#[test]
fn what_went_wrong_first_is_told() {
    let (sender, has_ended) = channel();
    let server = Server::start(move |client, _| {
        client.say(b"HTTP/1.1 200 OK\r\nContent-Length: 200001\r\n\r\n");
        // More than a pipe takes, and less than would keep us from being heard to the end.
        client.say(&vec![b'x'; 200_000]);
        client.end();
        sender.send(()).expect("the test waits");
    });
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let leaves = thread::spawn(move || {
        has_ended.recv_timeout(PATIENCE).expect("the connection ends");
        drop(reader);
    });
    let outcome = windlass!("get", server.url("/")).output(OwnedFd::from(writer).into()).run();
    outcome.fails_with(1, &["200000 of 200001 bytes"]);
    leaves.join().expect("the reader");
}

#[test]
fn what_is_full_is_an_error() {
    for body in [&b"x"[..], &vec![b'x'; LARGE]] {
        let server = Server::that_says(answer_with(body));
        let full = File::options().write(true).open("/dev/full").expect("/dev/full");
        let outcome = windlass!("get", server.url("/")).output(full).run();
        outcome.fails_with(1, &["write standard output", "No space left"]);
        let outcome = windlass!("get", server.url("/"), "-o", "/dev/full").run();
        outcome.fails_with(1, &["write /dev/full", "No space left"]);
    }
}

#[test]
fn what_cannot_be_opened_is_an_error() {
    let server = Server::that_says(answer_with(b"x"));
    let folder = Folder::new();
    symlink("nowhere", folder.at("link")).expect("a link");
    for (path, word) in [
        (folder.at("missing/file"), "No such file"),
        (folder.path().to_owned(), "directory"),
        (folder.at("file/"), "directory"),
        (folder.at("link"), "nowhere"),
        ("/proc/self/file".into(), "No such file"),
    ] {
        let name = path.to_str().expect("ASCII");
        windlass!("get", server.url("/"), "-o", name).run().fails_with(1, &[name, word]);
        assert_eq!(folder.names(), ["link"]);
    }
    // Under a name of 256 bytes there is no file (NAME_MAX).
    let long = folder.at(&"x".repeat(256));
    windlass!("get", server.url("/"), "-o", &long).run().fails_with(1, &["too long"]);
    assert_eq!(folder.names(), ["link"]);
}

/// No server listens at that port, and none is asked.
#[test]
fn a_folder_is_refused_before_the_request() {
    let folder = Folder::new();
    for name in ["", "missing/", "missing/.", "."] {
        let path = folder.at(name);
        let path = path.to_str().expect("ASCII");
        let outcome = windlass!("get", "http://127.0.0.1:1/", "-o", path).run();
        outcome.fails_with(1, &[&format!("open {path}: "), "directory"]);
        assert!(folder.names().is_empty());
    }
}

#[test]
fn a_device_is_written_to_and_not_replaced() {
    let server = Server::that_says(answer_with(b"gone"));
    windlass!("get", server.url("/"), "-o", "/dev/null").run().succeeds();
    let kind = fs::metadata("/dev/null").expect("/dev/null").file_type();
    assert!(kind.is_char_device());
}

#[test]
fn a_fifo_gets_what_its_reader_takes() {
    let body = Random::new(23).bytes(LARGE);
    let server = Server::that_says(answer_with(&body));
    let folder = Folder::new();
    mkfifo(&folder.at("fifo"), Mode::S_IRWXU).expect("mkfifo");
    let path = folder.at("fifo");
    let reader = thread::spawn(move || fs::read(path).expect("read"));
    windlass!("get", server.url("/"), "-o", folder.at("fifo")).run().succeeds();
    same(&reader.join().expect("the reader"), &body);
    assert_eq!(folder.names(), ["fifo"]);
}

#[test]
fn a_file_is_replaced_when_its_successor_is_whole_and_keeps_its_permissions() {
    let folder = Folder::new();
    let mode = |name: &str| fs::metadata(folder.at(name)).expect("stat").permissions().mode();
    fs::write(folder.at("old"), b"old").expect("write");
    let any = mode("old");
    fs::set_permissions(folder.at("old"), Permissions::from_mode(0o640)).expect("chmod");
    symlink("old", folder.at("link")).expect("a link");
    let broken = Server::that_says("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nnew");
    for name in ["old", "link"] {
        let outcome = windlass!("get", broken.url("/"), "-o", folder.at(name)).run();
        outcome.fails_with(1, &["3 of 9"]);
        assert_eq!(fs::read(folder.at("old")).expect("read"), b"old");
    }
    let server = Server::that_says(answer_with(b"new"));
    for name in ["old", "link", "new"] {
        windlass!("get", server.url("/"), "-o", folder.at(name)).run().succeeds();
        assert_eq!(fs::read(folder.at(name)).expect("read"), b"new");
    }
    assert_eq!(folder.names(), ["link", "new", "old"]);
    assert!(folder.at("link").is_symlink());
    assert_eq!((mode("old") & 0o777, mode("new")), (0o640, any));
}

#[test]
fn the_urls_name_is_used_when_it_is_asked_for() {
    let server = Server::that_says(answer_with(b"x"));
    let folder = Folder::new();
    let mut command = Command::new(env!("CARGO_BIN_EXE_windlass-under-test"));
    command.args(["get", "-O", &server.url("/a/b%20c?d")]).current_dir(folder.path());
    assert!(command.status().expect("run").success());
    folder.has_only("b c", b"x");
}

#[test]
fn a_terminal_sees_how_far_it_is() {
    let server = Server::that_says(answer_with(&[b'x'; 3 << 10]));
    let folder = Folder::new();
    let file = folder.at("file");
    let shown =
        on_a_terminal(&["get", &server.url("/"), "-o", file.to_str().expect("a path of ASCII")]);
    assert!(shown.contains("3.00 KiB"), "{shown:?}");
    // When the document itself is on the terminal, nothing else is.
    let server = Server::that_says(answer_with(b"hello"));
    assert_eq!(on_a_terminal(&["get", &server.url("/")]), "hello");
    let server = Server::that_says("HTTP/1.1 404 Not Found\r\n\r\n");
    let error = on_a_terminal(&["get", &server.url("/"), "-o", "/dev/null"]);
    assert!(error.starts_with("windlass: ") && error.ends_with("404 Not Found\r\n"), "{error:?}");
}

/// All has come, and the reader of the document takes its time.
#[test]
fn the_last_line_is_drawn_once() {
    // More than a pipe takes, and less than would keep us from being heard to the end.
    let server = Server::that_says(answer_with(&vec![b'x'; 200_000]));
    let terminal = terminal();
    let mut command = Command::new(env!("CARGO_BIN_EXE_windlass-under-test"));
    command.args(["get", &server.url("/")]).env("TERM", "xterm").stdin(Stdio::null());
    let mut child = command.stdout(Stdio::piped()).stderr(terminal.slave).spawn().expect("start");
    drop(command);
    let mut terminal = File::from(terminal.master);
    let (mut shown, mut byte) = (Vec::new(), [0]);
    while byte != *b"\n" {
        terminal.read_exact(&mut byte).expect("the line ends");
        shown.extend(byte);
    }
    // Not to wait for something: half a second of nothing new is what is measured.
    thread::sleep(Duration::from_millis(500));
    let mut document = Vec::new();
    child.stdout.take().expect("a pipe").read_to_end(&mut document).expect("read");
    assert!(child.wait().expect("wait").success());
    assert_eq!(document.len(), 200_000);
    let mut more = Vec::new();
    // EIO when no process has the other end open any more.
    let _ = terminal.read_to_end(&mut more);
    let [shown, more] = [shown, more].map(|it| String::from_utf8_lossy(&it).into_owned());
    assert!(shown.contains("195.31 KiB in "), "{shown:?}");
    assert_eq!(more, "", "after {shown:?}");
}

fn terminal() -> OpenptyResult {
    let size = Winsize { ws_row: 24, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 };
    openpty(Some(&size), None).expect("a terminal")
}

/// What `windlass` shows when its standard output and standard error are a terminal.
fn on_a_terminal(args: &[&str]) -> String {
    let terminal = terminal();
    let end = || Stdio::from(terminal.slave.try_clone().expect("dup"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_windlass-under-test"));
    command.args(args).env("TERM", "xterm").stdin(end()).stdout(end()).stderr(end());
    let mut child = command.spawn().expect("start");
    drop((command, terminal.slave));
    let mut shown = Vec::new();
    // EIO when no process has the other end open any more.
    let _ = File::from(terminal.master).read_to_end(&mut shown);
    child.wait().expect("wait");
    String::from_utf8_lossy(&shown).into_owned()
}

#[test]
fn without_a_terminal_nothing_is_said() {
    let server = Server::that_says(answer_with(&vec![b'x'; LARGE]));
    let outcome = windlass!("get", server.url("/"), "-o", "/dev/null").run();
    outcome.succeeds();
    assert!(outcome.stdout.is_empty());
}
