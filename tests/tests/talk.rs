//! `windlass talk`: both directions at once, each to its own end.
//!
//! - 8 MiB go through every model and come back whole: files and pipes on either side.
//! - If the server closes first, `talk` ends with success, whatever standard input does.
//! - A reset is an error in one line; an empty input is no error.

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::thread;

use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use windlass_tests::{Feed, Model, Random, every_model, serve, windlass};

every_model!(
    megabytes_come_back_whole,
    the_server_may_close_first,
    a_server_that_closes_first_need_not_read,
    no_input_is_no_failure,
);

const MEGABYTES: usize = 8 << 20;

fn megabytes_come_back_whole(model: Model) {
    let server = serve!("upper", model).start();
    let sent = Random::new(8).bytes(MEGABYTES);
    let expected = sent.to_ascii_uppercase();
    let folder = tempfile::tempdir().expect("a folder");
    let (input, output) = (folder.path().join("input"), folder.path().join("output"));
    std::fs::write(&input, &sent).expect("write");
    let file = || Feed::File(File::open(&input).expect("open"));
    for (feed, to_file) in [(file(), false), (Feed::Pipe(sent.clone()), true), (file(), true)] {
        let talk = windlass!("talk", server.address()).feed(feed);
        let outcome = if to_file {
            talk.output(File::create(&output).expect("create")).run()
        } else {
            talk.run()
        };
        outcome.succeeds();
        let came = if to_file { std::fs::read(&output).expect("read") } else { outcome.stdout };
        assert_eq!(came.len(), expected.len());
        assert!(came == expected, "other bytes than expected");
    }
}

fn the_server_may_close_first(model: Model) {
    let server = serve!("time", model).start();
    for feed in [Feed::Silence, Feed::Nothing] {
        let outcome = windlass!("talk", server.address()).feed(feed).run();
        outcome.succeeds();
        let stamp = String::from_utf8(outcome.stdout).expect("digits");
        let seconds: u64 = stamp.trim_end().parse().expect("a stamp");
        assert!(stamp.ends_with('\n') && seconds > 1_700_000_000, "{stamp:?}");
    }
}

/// Whether its input was still being sent when the server closed is a matter of luck. Many runs, so
/// that both happen.
fn a_server_that_closes_first_need_not_read(model: Model) {
    let server = serve!("time", model).start();
    for size in [1, 1_000, 100_000, 1_000_000].into_iter().cycle().take(20) {
        let outcome = windlass!("talk", server.address()).feed(Feed::Pipe(vec![b'x'; size])).run();
        outcome.succeeds();
        assert_eq!(outcome.stdout.last(), Some(&b'\n'), "{size} bytes of input");
    }
}

fn no_input_is_no_failure(model: Model) {
    let server = serve!("upper", model).start();
    for feed in [Feed::Nothing, Feed::Pipe(Vec::new())] {
        let outcome = windlass!("talk", server.address()).feed(feed).run();
        outcome.succeeds();
        assert!(outcome.stdout.is_empty());
    }
}

#[test]
fn an_input_that_fails_is_a_failure() {
    let server = serve!("upper", Model::Epoll).start();
    for _ in 0..50 {
        // A folder can be opened and not be read.
        let folder = File::open("/").expect("open");
        let outcome = windlass!("talk", server.address()).feed(Feed::File(folder)).run();
        outcome.fails_with(1, &["standard input"]);
    }
}

/// No process reads it, so no process would find out.
#[test]
fn an_input_that_is_only_written_is_a_failure() {
    let server = serve!("upper", Model::Epoll).start();
    let folder = tempfile::tempdir().expect("a folder");
    let write_only = File::create(folder.path().join("file")).expect("create");
    let outcome = windlass!("talk", server.address()).feed(Feed::File(write_only)).run();
    outcome.fails_with(1, &["read standard input", "Bad file"]);
}

/// The end is there before the program is.
#[test]
fn a_fifo_without_writers_is_at_its_end() {
    let server = serve!("upper", Model::Epoll).start();
    let folder = tempfile::tempdir().expect("a folder");
    for said in ["", "said"] {
        let left = fifo_after(&folder.path().join(format!("fifo{said}")), said);
        let outcome = windlass!("talk", server.address()).feed(Feed::File(left)).run();
        outcome.succeeds();
        assert_eq!(outcome.stdout, said.to_ascii_uppercase().as_bytes());
    }
}

/// The end of a FIFO that reads what a writer `said` before it left.
fn fifo_after(path: &Path, said: &str) -> File {
    mkfifo(path, Mode::S_IRWXU).expect("mkfifo");
    // It is both ends, so that opening one end does not wait for the other.
    let mut both = File::options().read(true).write(true).open(path).expect("open");
    both.write_all(said.as_bytes()).expect("write");
    File::open(path).expect("open")
}

/// A client that does not read while it cannot send waits for ever for a server that does the same.
#[test]
fn both_sides_may_say_everything_before_they_listen() {
    const SAID: usize = 16 << 20;
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = format!("tcp:{}", listener.local_addr().expect("address"));
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("accept");
        stream.write_all(&vec![b's'; SAID]).expect("send");
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).expect("receive");
        heard.len()
    });
    let outcome = windlass!("talk", &address).feed(Feed::Pipe(vec![b'c'; SAID])).run();
    outcome.succeeds();
    assert_eq!(outcome.stdout.len(), SAID);
    assert_eq!(server.join().expect("the server"), SAID);
}

/// The error of a reset is reported once, to whichever direction asks first. So there are many runs:
/// while it says nothing, and while both directions wait in the middle of a transfer.
#[test]
fn a_reset_is_a_failure_of_one_line() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = format!("tcp:{}", listener.local_addr().expect("address"));
    for round in 0..40 {
        let talks = round % 2 == 0;
        let resetting = listener.try_clone().expect("dup");
        let server = thread::spawn(move || {
            let (mut stream, _) = resetting.accept().expect("accept");
            if talks {
                stream.read_exact(&mut [0; 1_000]).expect("receive");
            }
            let linger = libc::linger { l_onoff: 1, l_linger: 0 };
            setsockopt(&stream, sockopt::Linger, &linger).expect("linger");
        });
        let feed = if talks { Feed::Pipe(vec![b'x'; 10 << 20]) } else { Feed::Silence };
        let outcome = windlass!("talk", &address).feed(feed).run();
        server.join().expect("the server");
        outcome.fails_with(1, &[&address]);
    }
}
