//! Limits on the time that a client may take from a server.
//!
//! - A request has a limit as a whole, and so has the time in which a client takes its pending output;
//!   a conversation has neither.
//! - A client's time begins when it is served.
//! - No server works for a client that is gone.
//! - Ten slow clients do not keep a good client from being served.

use std::fs::{self, File};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use windlass_core::file::DigestKind;
use windlass_core::session::files::Options;
use windlass_tests::{
    Client, Model, PATIENCE, Server, every_model, meanwhile, models, request, serve, within,
};

every_model!(
    a_request_has_a_limit_as_a_whole,
    a_conversation_has_no_limit_as_a_whole,
    a_client_that_takes_too_little_is_cut,
    no_server_works_for_a_client_that_closed,
);
models!(ten_slow_requests_do_not_keep_a_good_client_waiting:
    thread_pool ThreadPool, pool_static PoolStatic, prefork Prefork);
models!(ten_slow_readers_do_not_keep_a_good_client_waiting:
    thread_pool ThreadPool, pool_static PoolStatic, prefork Prefork);
models!(ten_requests_of_clients_that_are_gone_do_not_keep_a_good_one_waiting:
    thread_pool ThreadPool, pool_static PoolStatic, prefork Prefork);

/// A server with a file of 3 bytes and one of 8 GiB, which takes no room.
struct Place {
    server: Server,
    root: tempfile::TempDir,
}

impl Place {
    fn serve(model: Model, args: &str) -> Self {
        let root = tempfile::tempdir().expect("a folder");
        fs::write(root.path().join("small"), b"abc").expect("write");
        let big = File::create(root.path().join("big")).expect("create");
        big.set_len(8 << 30).expect("a sparse file");
        let root_is = format!("--root {}", root.path().display());
        let server = serve!("files", model).args(&root_is).args(args).start();
        Self { server, root }
    }

    fn connect(&self) -> Client {
        self.server.connect()
    }

    /// A client that wants all of the large file.
    fn reader(&self) -> Client {
        let mut client = self.connect();
        client.send(&request(b"big", Options::default()));
        client
    }

    /// A client that asks for the digest of the large file and is gone.
    fn leaver(&self) {
        let options = Options {
            offset: Some(8 << 30),
            digest: Some(DigestKind::Blake3),
            ..Options::default()
        };
        self.connect().send(&request(b"big", options));
    }

    /// A good client gets its file.
    #[track_caller]
    fn serves_within(&self, limit: Duration) {
        let mut client = self.connect();
        client.send(&request(b"small", Options::default()));
        within(limit, "a good client is answered", || client.has_input());
        let answer = client.rest();
        assert!(answer.ends_with(b"\0\0\0\x03abc\0\0\0\0"), "{}", answer.escape_ascii());
    }
}

/// The pace of a slow client.
const BEAT: Duration = Duration::from_millis(20);

/// Says a byte of a request that never becomes whole. Whether the server still listens.
fn says_a_byte(client: &mut Client) -> bool {
    client.try_send(b"x").is_ok() && !client.is_dead()
}

/// Takes a few bytes. Whether the server is still there: what is sent to it would be answered with a reset.
fn takes_some(client: &mut Client) -> bool {
    client.try_read(&mut [0; 100]).is_ok() && client.try_send(b".").is_ok() && !client.is_dead()
}

fn a_request_has_a_limit_as_a_whole(model: Model) {
    let place = Place::serve(model, "--request-timeout 0.5");
    let mut slow = place.connect();
    slow.send(&4_000_u32.to_be_bytes());
    within(PATIENCE, "it is cut", || {
        // The pace.
        thread::sleep(BEAT);
        !says_a_byte(&mut slow)
    });
    place.serves_within(PATIENCE);
}

fn a_conversation_has_no_limit_as_a_whole(model: Model) {
    let server = serve!("upper", model).args("--request-timeout 0.2").start();
    let mut client = server.connect();
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(600) {
        client.upper(b"and so on");
        // The pace.
        thread::sleep(BEAT);
    }
    client.ends_with(b"");
}

fn a_client_that_takes_too_little_is_cut(model: Model) {
    let place = Place::serve(model, "--idle-timeout 1 --min-rate 10000000");
    let mut slow = place.reader();
    within(PATIENCE, "it is cut", || {
        // The pace.
        thread::sleep(BEAT);
        !takes_some(&mut slow)
    });
    place.serves_within(PATIENCE);
}

/// To digest all that these ask for takes minutes.
fn no_server_works_for_a_client_that_closed(model: Model) {
    let place = Place::serve(model, "");
    (0..30).for_each(|_| place.leaver());
    place.serves_within(Duration::from_secs(20));
    let used = place.server.cpu_time();
    assert!(used < Duration::from_secs(10), "{used:?} of work for clients that are gone");
}

/// A client that half-closed looks like one that is gone, until it is sent something.
#[test]
fn a_client_that_half_closed_gets_its_digest() {
    let place = Place::serve(Model::Epoll, "");
    let mut client = place.connect();
    // All but the last: enough work for the server to say that it is at work.
    let most = 129 << 20;
    let options =
        Options { offset: Some(most), digest: Some(DigestKind::Blake3), ..Options::default() };
    client.send(&request(b"small", Options::default()));
    client.ends_with(b"\0\0\0\x0dsmall\0size\x003\0\0\0\0\x03abc\0\0\0\0");
    let root = place.root.path();
    File::create(root.join("more")).and_then(|file| file.set_len(most)).expect("a sparse file");
    let mut client = place.connect();
    client.send(&request(b"more", options));
    client.finish();
    let answer = client.rest();
    let head = b"more\0size\x00135266304\0digest\0blake3\0wait\0.\0offset\x00135266304\0";
    assert_eq!(&answer[4..4 + head.len()], head, "{}", answer.escape_ascii());
    assert_eq!(answer.len(), 4 + head.len() + 4 + 4 + 32);
}

/// With one thread, which a client keeps for longer than the idle timeout.
#[test]
fn a_client_in_the_queue_of_a_pool_keeps_its_patience() {
    let args = "--min-threads 1 --max-threads 1 --idle-timeout 0.5";
    let server = serve!("upper", Model::ThreadPool).args(args).start();
    let mut first = server.connect();
    first.upper(b"first");
    let mut queued = server.connect();
    queued.send(b"queued");
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(1_500) {
        // The pace.
        thread::sleep(BEAT);
        // A machine that is busy may let it pause for too long: then the next one has its turn.
        if first.try_upper(b"still here").is_err() {
            break;
        }
    }
    drop(first);
    queued.expect(b"QUEUED");
}

/// Far more than a good client waits for on a machine at rest, which is less than 3 seconds, and far less
/// than the idle timeout and the time of a request would make of ten clients on five workers.
const SOON: Duration = Duration::from_secs(25);

/// Workers as by default. Ten clients, each of which does `deed` again and again.
fn with_ten(
    model: Model,
    come: impl Fn(&Place) -> Client,
    deed: impl Fn(&mut Client) -> bool + Sync + Send,
) {
    let args = match model {
        Model::PoolStatic => "--workers 5",
        Model::Prefork => "--min-spare 2 --max-spare 5 --max-workers 5",
        _ => "--max-threads 5 --queue 100",
    };
    let place = Place::serve(model, args);
    let bad = Mutex::new((0..10).map(|_| come(&place)).collect::<Vec<_>>());
    let bad_deeds = || {
        bad.lock().expect("no failure").retain_mut(&deed);
        // The pace.
        thread::sleep(BEAT);
    };
    meanwhile(1, bad_deeds, || place.serves_within(SOON));
}

fn ten_slow_requests_do_not_keep_a_good_client_waiting(model: Model) {
    let come = |place: &Place| {
        let mut client = place.connect();
        client.send(&4_000_u32.to_be_bytes());
        client
    };
    with_ten(model, come, says_a_byte);
}

fn ten_slow_readers_do_not_keep_a_good_client_waiting(model: Model) {
    // Clients that have not had their turn are sent nothing yet.
    let deed = |client: &mut Client| !client.has_input() || takes_some(client);
    with_ten(model, Place::reader, deed);
}

fn ten_requests_of_clients_that_are_gone_do_not_keep_a_good_one_waiting(model: Model) {
    with_ten(
        model,
        |place| {
            place.leaver();
            place.connect()
        },
        |_| false,
    );
}
