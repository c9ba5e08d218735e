//! Foreign programs at the other end: `socat` and `nc` (netcat-openbsd).
//!
//! - As clients of `upper`, `echo` and `time`.
//! - As servers of `windlass talk` and `windlass time`.

use std::fs::File;
use std::net::TcpListener;

use windlass_tests::{
    Feed, Model, Outcome, PATIENCE, Program, Random, Running, every_model, has, proc, serve,
    windlass, within,
};

every_model!(socat_is_served, nc_is_served);

const SIZE: usize = 1 << 20;

#[track_caller]
fn brings(outcome: &Outcome, expected: &[u8]) {
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert_eq!(outcome.stdout.len(), expected.len(), "{outcome}");
    assert!(outcome.stdout == expected, "other bytes than expected");
}

/// What follows `tcp:127.0.0.1:`.
fn port(address: &str) -> &str {
    address.rsplit(':').next().expect("a port")
}

fn socat_is_served(model: Model) {
    if !has("socat") {
        return;
    }
    let bytes = Random::new(11).bytes(SIZE);
    let server = serve!("upper", model).start();
    // -t: after the end of its input, it waits so long for ours.
    let socat = |target: String| Program::new("socat").words("-t 50 -").arg(target);
    let outcome = socat(format!("TCP:127.0.0.1:{}", port(server.address())))
        .feed(Feed::Pipe(bytes.clone()))
        .run();
    brings(&outcome, &bytes.to_ascii_uppercase());

    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("socket");
    let listen = format!("unix:{}", path.display());
    let server = serve!("echo", model).listen(listen).start();
    let target = format!("UNIX-CONNECT:{}", path.display());
    brings(&socat(target).feed(Feed::Pipe(bytes.clone())).run(), &bytes);
    drop(server);

    let server = serve!("time", model).start();
    let outcome = socat(format!("TCP:127.0.0.1:{}", port(server.address()))).run();
    assert_is_stamp(&outcome);
}

fn nc_is_served(model: Model) {
    if !has("nc") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let input = folder.path().join("input");
    let bytes = Random::new(12).bytes(SIZE);
    std::fs::write(&input, &bytes).expect("write");
    let file = || Feed::File(File::open(&input).expect("open"));
    let server = serve!("upper", model).start();
    // -N: half-close at the end of its input.
    let nc = || Program::new("nc").words("-N");
    let outcome = nc().arg("127.0.0.1").arg(port(server.address())).feed(file()).run();
    brings(&outcome, &bytes.to_ascii_uppercase());

    let path = folder.path().join("socket");
    let server = serve!("echo", model).listen(format!("unix:{}", path.display())).start();
    brings(&nc().arg("-U").arg(&path).feed(file()).run(), &bytes);
    drop(server);

    let server = serve!("time", model).start();
    let outcome = nc().arg("127.0.0.1").arg(port(server.address())).run();
    assert_is_stamp(&outcome);
}

#[track_caller]
fn assert_is_stamp(outcome: &Outcome) {
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let text = String::from_utf8(outcome.stdout.clone()).expect("digits");
    let seconds = text.strip_suffix('\n').and_then(|digits| digits.parse::<u64>().ok());
    assert!(seconds.is_some_and(|seconds| seconds > 1_700_000_000), "{text:?}");
}

/// Starts `server` on a port that was free a moment ago; another one if it was taken meanwhile.
fn on_a_free_port(server: impl Fn(u16) -> Program) -> (u16, Running) {
    for _ in 0..10 {
        let reserved = TcpListener::bind("127.0.0.1:0").expect("bind");
        let port = reserved.local_addr().expect("address").port();
        drop(reserved);
        let mut running = server(port).start();
        let mut ended = false;
        within(PATIENCE, "it listens or ends", || {
            ended = running.has_ended();
            ended || proc::listens_on_port(port)
        });
        if !ended {
            return (port, running);
        }
    }
    panic!("ten ports in a row were taken");
}

#[test]
fn talk_works_with_a_socat_that_echoes() {
    if !has("socat") {
        return;
    }
    let bytes = Random::new(13).bytes(SIZE);
    let (port, server) = on_a_free_port(|port| {
        let listen = format!("TCP-LISTEN:{port},bind=127.0.0.1,reuseaddr");
        Program::new("socat").words("-t 50").arg(listen).arg("EXEC:cat")
    });
    let address = format!("tcp:127.0.0.1:{port}");
    let outcome = windlass!("talk", address).feed(Feed::Pipe(bytes.clone())).run();
    outcome.succeeds();
    brings(&outcome, &bytes);
    drop(server);

    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("socket");
    let listen = format!("UNIX-LISTEN:{}", path.display());
    let server = Program::new("socat").words("-t 50").arg(listen).arg("EXEC:cat").start();
    within(PATIENCE, "it listens", || proc::listens_on_path(&path));
    let address = format!("unix:{}", path.display());
    let outcome = windlass!("talk", address).feed(Feed::Pipe(bytes.clone())).run();
    outcome.succeeds();
    brings(&outcome, &bytes);
    drop(server);
}

/// One direction at a time: an `nc -l` leaves when its peer has said its last, whatever it still
/// has to say itself.
#[test]
fn talk_prints_what_an_nc_says() {
    let Some(listening) = Listening::nc("-N", true) else { return };
    let outcome = windlass!("talk", &listening.address).feed(Feed::Silence).run();
    outcome.succeeds();
    brings(&outcome, &listening.says);
}

#[test]
fn an_nc_gets_what_talk_says() {
    let Some(mut listening) = Listening::nc("-d", false) else { return };
    let bytes = Random::new(14).bytes(SIZE);
    windlass!("talk", &listening.address).feed(Feed::Pipe(bytes.clone())).run().succeeds();
    within(PATIENCE, "nc ends", || listening.nc.has_ended());
    let heard = std::fs::read(listening.folder.path().join("heard")).expect("read");
    assert!(heard == bytes, "{} bytes came, not {SIZE}, or others", heard.len());
}

/// An `nc` that waits for one client.
struct Listening {
    nc: Running,
    address: String,
    folder: tempfile::TempDir,
    /// What it sends, if it sends anything.
    says: Vec<u8>,
}

impl Listening {
    fn nc(option: &str, speaks: bool) -> Option<Self> {
        if !has("nc") {
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let [path, said, heard] = ["socket", "said", "heard"].map(|name| folder.path().join(name));
        let says = Random::new(15).bytes(if speaks { SIZE } else { 0 });
        std::fs::write(&said, &says).expect("write");
        let nc = Program::new("nc").words("-l -U").arg(option).arg(&path);
        let nc = nc.feed(Feed::File(File::open(&said).expect("open")));
        let nc = nc.output(File::create(&heard).expect("create")).start();
        within(PATIENCE, "it listens", || proc::listens_on_path(&path));
        let address = format!("unix:{}", path.display());
        Some(Self { nc, address, folder, says })
    }
}

#[test]
fn time_asks_a_socat_that_tells_the_time() {
    if !has("socat") {
        return;
    }
    let (port, server) = on_a_free_port(|port| {
        let listen = format!("TCP-LISTEN:{port},bind=127.0.0.1,reuseaddr");
        Program::new("socat").arg("-U").arg(listen).arg("EXEC:date +%s")
    });
    let outcome = windlass!("time", format!("tcp:127.0.0.1:{port}")).run();
    outcome.succeeds();
    assert_is_stamp(&outcome);
    drop(server);
}
