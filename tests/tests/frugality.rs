//! Memory and system calls that a server does not need, in the steady state and for idle connections.
//!
//! - Exchanging messages allocates nothing, under every event loop; nor does a datagram, under `iterative` too; nor a
//!   request for a file by HTTP, once the file has been asked for, also among many downloads. Counters and the access log
//!   allocate nothing either.
//! - Ten thousand idle connections cost at most 128 bytes of user memory each, and those of `files` at most 256
//!   until they ask for a file. Ten thousand of `http` that have had a file cost less than under nginx.
//! - A message costs one read, one write, and its share of a wait.
//!
//! The tests here take turns: they count what a process does, and need its descriptors.

use std::cell::Cell;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use windlass::addr::Address;
use windlass::drive::{AccessLog, Admission, Ledger, LineFormat, LogFile, Sink};
use windlass::server::{Limits, Offer, Server, Service, Stop, Web};
use windlass::sys::listener::Listener;
use windlass::sys::root::Root;
use windlass::sys::spool::Asked;
use windlass_tests::web::{Answer, ask};
use windlass_tests::{
    Client, Counting, Descriptors, Model, PATIENCE, Random, has, models, serve, within,
};

models!(exchanging_messages_allocates_nothing:
    select Select, poll Poll, epoll Epoll, epoll_et EpollEt, reactor Reactor);
models!(answering_datagrams_allocates_nothing: iterative Iterative, select Select, poll Poll, epoll Epoll,
    epoll_et EpollEt, reactor Reactor);
models!(asking_for_files_by_http_allocates_nothing:
    select Select, poll Poll, epoll Epoll, epoll_et EpollEt, reactor Reactor);
models!(many_downloads_at_once_allocate_nothing:
    select Select, poll Poll, epoll Epoll, epoll_et EpollEt, reactor Reactor);
models!(an_idle_connection_costs_at_most_128_bytes: epoll Epoll, epoll_et EpollEt, reactor Reactor);
models!(an_idle_client_of_http_costs_less_than_under_nginx: epoll Epoll, epoll_et EpollEt, reactor Reactor);
models!(a_client_of_files_costs_at_most_256_bytes_until_it_asks: epoll Epoll, epoll_et EpollEt, reactor Reactor);
models!(a_message_costs_one_read_one_write_and_little_more: epoll Epoll, epoll_et EpollEt, reactor Reactor);

static TURN: Mutex<()> = Mutex::new(());

/// Allocations of all watched threads.
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static WATCHED: Cell<bool> = const { Cell::new(false) };
}

fn count() {
    // A thread that ends has no cell any more, and what it does then is not counted.
    if WATCHED.try_with(Cell::get).unwrap_or(false) {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
    }
}

#[global_allocator]
static COUNTING: Counting = Counting(count);

/// A server as its operator sees it: clients are counted, and have their lines in the access log.
fn seen(listener: Listener, offer: impl Into<Offer>, stop: Stop) -> Server {
    let file = LogFile::new("log".into(), tempfile::tempfile().expect("a file")).expect("a log");
    let mut reader = file.reader().share().expect("a reader");
    thread::spawn(move || while reader.next(|_| ()) != Asked::End {});
    let log = Arc::new(AccessLog::new(Sink::File(file), LineFormat::Text, "a listener"));
    let offer = offer.into().limited(Admission::default(), Some(log), None).expect("memory");
    let ledger = Arc::new(Ledger::new().expect("memory"));
    Server::new(listener, offer, Limits::default(), stop).counting(ledger)
}

fn exchanging_messages_allocates_nothing(model: Model) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let any: Address = "tcp:127.0.0.1:0".parse().expect("an address");
    let listener = Listener::bind(&any, 64).expect("listen");
    let address = listener.address().to_string();
    let (stop, handle) = Stop::by_handle(0).expect("an eventfd");
    let mut random = Random::new(9);
    let message = random.bytes(10_000);
    let mut clients: Vec<_> = (0..10).map(|_| Client::connect(&address)).collect();
    // They have spoken before the server looks: its first wait finds all of them ready, and its
    // lists grow to their size.
    for client in &mut clients {
        client.send(&message);
    }
    let server = thread::spawn(move || {
        WATCHED.set(true);
        let how = seen(listener, Service::Upper, stop).run(model);
        WATCHED.set(false);
        how
    });
    for client in &mut clients {
        client.expect(&message.to_ascii_uppercase());
    }
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    assert!(before > 0, "the server's thread is not watched");
    for _ in 0..100 {
        let size = random.up_to(message.len());
        for client in &mut clients {
            client.send(&message[..size]);
        }
        let reply = message[..size].to_ascii_uppercase();
        for client in &mut clients {
            client.expect(&reply);
        }
    }
    let allocations = ALLOCATIONS.load(Ordering::Relaxed) - before;
    handle.stop();
    server.join().expect("the server's thread").expect("the server");
    assert_eq!(allocations, 0, "for 2000 messages");
}

/// Files of every way to be sent, parts of them, pages, refusals and digests.
fn asking_for_files_by_http_allocates_nothing(model: Model) {
    http_allocates_nothing(model, |address| {
        let mut clients: Vec<_> = (0..10).map(|_| Client::connect(address)).collect();
        move || {
            for client in &mut clients {
                for (path, field) in [
                    ("/small", "X: y"),
                    ("/small", "If-None-Match: *"),
                    ("/", "X: y"),
                    ("/middle", "Range: bytes=9-30000"),
                    ("/large", "X: y"),
                    ("/large", "Want-Repr-Digest: sha-256=1"),
                    ("/nothing", "X: y"),
                ] {
                    ask(client, "GET", path, &[field]);
                }
            }
        }
    });
}

/// The size of a file that no client has in one turn.
const TURNS: usize = 600_000;

/// Each of many clients is in the middle of its download when the next one is served.
fn many_downloads_at_once_allocate_nothing(model: Model) {
    http_allocates_nothing(model, |address| {
        let mut clients: Vec<_> = (0..80).map(|_| Client::connect(address)).collect();
        move || {
            for client in &mut clients {
                client.send(b"GET /turns HTTP/1.1\r\nHost: a\r\n\r\n");
            }
            for client in &mut clients {
                assert_eq!(Answer::read(client, "GET").body.len(), TURNS);
            }
        }
    });
}

/// A server of files, and a round of requests to it again and again.
fn http_allocates_nothing<R: FnMut()>(model: Model, clients: impl FnOnce(&str) -> R) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().expect("a folder");
    for (name, size) in [
        ("small", 1000),
        ("index.html", 500),
        ("middle", 40_000),
        ("turns", TURNS),
        ("large", 1 << 20),
    ] {
        std::fs::write(folder.path().join(name), vec![b'x'; size]).expect("write");
    }
    let root = Root::open(folder.path()).expect("a root");
    let any: Address = "tcp:127.0.0.1:0".parse().expect("an address");
    let listener = Listener::bind(&any, 128).expect("listen");
    let address = listener.address().to_string();
    let (stop, handle) = Stop::by_handle(0).expect("an eventfd");
    let server = thread::spawn(move || {
        WATCHED.set(true);
        let how = seen(listener, Offer::http(root, Web::default()), stop).run(model);
        WATCHED.set(false);
        how
    });
    let mut round = clients(&address);
    let mut allocated = || {
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        round();
        ALLOCATIONS.load(Ordering::Relaxed) - before
    };
    assert!(allocated() > 0, "the server's thread is not watched");
    // Until the versions are settled nothing is kept; and lists of the loop grow to their size.
    let mut quiet = 0;
    within(PATIENCE, "five rounds without an allocation", || {
        quiet = if allocated() == 0 { quiet + 1 } else { 0 };
        quiet == 5
    });
    // A mount or a lack of memory elsewhere on the host empties the kernel's caches for a moment. Then a helper
    // reads, which allocates. What a request allocates itself is in every round.
    let rounds: Vec<_> = (0..20).map(|_| allocated()).collect();
    let quiet = rounds.iter().filter(|&&allocations| allocations == 0).count();
    drop(round);
    handle.stop();
    server.join().expect("the server's thread").expect("the server");
    assert!(quiet >= 10, "allocations of each round: {rounds:?}");
}

fn answering_datagrams_allocates_nothing(model: Model) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let any: Address = "udp:127.0.0.1:0".parse().expect("an address");
    let socket = Listener::bind(&any, 0).expect("bind");
    let at = socket.address().socket_addr().expect("an address");
    let (stop, handle) = Stop::by_handle(0).expect("an eventfd");
    let clients: Vec<_> = (0..10).map(|_| client_of(at)).collect();
    let ask = || {
        for (n, client) in clients.iter().enumerate() {
            client.send(&vec![b'x'; 10 * n]).expect("send");
        }
    };
    let hear = || {
        let mut buf = [0; 4096];
        for (n, client) in clients.iter().enumerate() {
            assert_eq!(client.recv(&mut buf).expect("an answer"), 10 * n);
        }
    };
    // More than a turn takes is there before the server looks: its lists grow to their size.
    (0..5).for_each(|_| ask());
    let server = thread::spawn(move || {
        WATCHED.set(true);
        let how = seen(socket, Service::Upper, stop).run(model);
        WATCHED.set(false);
        how
    });
    (0..5).for_each(|_| hear());
    // The turn in which it opened its port is over when it answers again.
    ask();
    hear();
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    assert!(before > 0, "the server's thread is not watched");
    for _ in 0..100 {
        ask();
        hear();
    }
    let allocations = ALLOCATIONS.load(Ordering::Relaxed) - before;
    handle.stop();
    server.join().expect("the server's thread").expect("the server");
    assert_eq!(allocations, 0, "for 2000 datagrams");
}

fn client_of(at: SocketAddr) -> UdpSocket {
    let client = UdpSocket::bind("127.0.0.1:0").expect("bind");
    client.connect(at).expect("connect");
    client.set_read_timeout(Some(PATIENCE)).expect("set");
    client
}

fn an_idle_connection_costs_at_most_128_bytes(model: Model) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let share = Descriptors::take(10_000);
    let server = serve!("upper", model).args("--idle-timeout 600").start();
    // The first ones make the table and the buffers.
    let mut warm: Vec<_> = (0..100).map(|_| server.connect()).collect();
    for client in &mut warm {
        client.upper(b"warm");
    }
    let before = server.private_memory();
    let mut idle: Vec<_> = (0..share.count() - warm.len()).map(|_| server.connect()).collect();
    // Each is answered once: then the server has certainly taken it in.
    for client in &mut idle {
        client.send(b"hello");
    }
    for client in &mut idle {
        client.expect(b"HELLO");
    }
    let cost = server.private_memory().saturating_sub(before);
    let each = cost / idle.len();
    assert!(each <= 128, "{each} bytes each, {cost} for {}", idle.len());
}

/// nginx has 528 bytes for each (5,000 of them, `docs/BENCH.md`).
fn an_idle_client_of_http_costs_less_than_under_nginx(model: Model) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let share = Descriptors::take(10_000);
    let root = tempfile::tempdir().expect("a folder");
    std::fs::write(root.path().join("file"), "content").expect("write");
    let options =
        format!("--idle-timeout 600 --request-timeout 600 --root {}", root.path().display());
    let server = serve!("http", model).args(&options).start();
    let kept_alive = |count: usize| {
        (0..count)
            .map(|_| {
                let mut client = server.connect();
                assert_eq!(ask(&mut client, "GET", "/file", &[]).body, b"content");
                client
            })
            .collect::<Vec<_>>()
    };
    let warm = kept_alive(100);
    let before = server.private_memory();
    let idle = kept_alive(share.count() - 200);
    let cost = server.private_memory().saturating_sub(before);
    let each = cost / idle.len();
    assert!(each <= 400, "{each} bytes each, {cost} for {}", idle.len());
    drop(warm);
}

fn a_client_of_files_costs_at_most_256_bytes_until_it_asks(model: Model) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let share = Descriptors::take(10_000);
    let root = tempfile::tempdir().expect("a folder");
    let options =
        format!("--idle-timeout 600 --request-timeout 600 --root {}", root.path().display());
    let server = serve!("files", model).args(&options).start();
    // A client that is refused was accepted, and so were those that connected before it.
    let ask = || {
        let mut client = server.connect();
        client.send(b"\0\0\0\x04none");
        client.expect(b"\0\0\0\0");
    };
    let warm: Vec<_> = (0..100).map(|_| server.connect()).collect();
    ask();
    let before = server.private_memory();
    let idle: Vec<_> = (0..share.count() - 200).map(|_| server.connect()).collect();
    ask();
    let cost = server.private_memory().saturating_sub(before);
    let each = cost / idle.len();
    assert!(each <= 256, "{each} bytes each, {cost} for {}", idle.len());
    drop(warm);
}

fn a_message_costs_one_read_one_write_and_little_more(model: Model) {
    const ROUNDS: usize = 150;
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    if !has("strace") {
        return;
    }
    // What starting, connecting and ending cost is in both.
    let (few, many) = (system_calls(model, 1), system_calls(model, 1 + ROUNDS));
    let (calls, messages) = (many.saturating_sub(few), ROUNDS * BUSY);
    assert!(calls >= 2 * messages, "strace missed some: {calls} calls for {messages} messages");
    assert!(calls * 10 <= messages * 21, "{calls} calls for {messages} messages");
}

/// Connections that are busy at the same time.
const BUSY: usize = 64;

/// System calls that a server makes from its start to its end, for `rounds` messages on each of
/// [`BUSY`] connections.
fn system_calls(model: Model, rounds: usize) -> usize {
    let folder = tempfile::tempdir().expect("a folder");
    let table = folder.path().join("calls");
    let strace = ["strace", "-f", "-c", "-o", table.to_str().expect("text")];
    let server = serve!("upper", model).under(&strace).start();
    let mut clients: Vec<_> = (0..BUSY).map(|_| server.connect()).collect();
    let message = Random::new(10).bytes(64);
    let reply = message.to_ascii_uppercase();
    for _ in 0..rounds {
        for client in &mut clients {
            client.send(&message);
        }
        for client in &mut clients {
            client.expect(&reply);
        }
    }
    for client in &mut clients {
        client.ends_with(b"");
    }
    // To the server, not to the strace around it, which ends when the server has ended.
    kill(Pid::from_raw(server.pid()), Signal::SIGTERM).expect("it runs");
    assert_eq!(server.wait().code, Some(0));
    let table = std::fs::read_to_string(&table).expect("what strace counted");
    // The last line: `100.00  seconds  usecs/call  calls  [errors]  total`.
    let total = table.lines().rev().find(|line| line.trim_end().ends_with("total"));
    let calls = total.and_then(|line| line.split_whitespace().nth(3)?.parse().ok());
    calls.unwrap_or_else(|| panic!("no total: {table}"))
}
