//! What `windlass status` counts is exact, under every model.
//!
//! - Every service has them. Each sum is that of a known load: clients by how they ended, bytes, files, datagrams.
//! - Workers and whole servers that are killed take nothing with them but the clients that they had; a pool that grows and
//!   shrinks, and a reload, lose nothing.
//! - A new server begins at 0, with another time of its start.

use std::fs;
use std::net::UdpSocket;
use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use windlass::addr::Transport;
use windlass::client::Observer;
use windlass::server::Service;
use windlass::status::Status;
use windlass::totals::Totals;
use windlass_core::fault::Fault;
use windlass_core::transfer::Timing;
use windlass_core::transfer::tftp::{Offer, TftpGet};
use windlass_core::transfer::xfer::XferClient;
use windlass_tests::transfer::{self, Asker, Memory, Stored, request, transfer};
use windlass_tests::{
    Client, Model, PATIENCE, Random, Server, every_concurrent_model, every_model, models, proc,
    serve, services, supervise, within,
};

every_model!(clients_and_bytes_are_counted, a_server_that_is_killed_loses_only_its_clients);
every_model!(datagrams_are_counted, transfers_are_counted, every_service_is_counted);
every_model!(an_upload_is_counted_when_its_file_is_whole);
every_concurrent_model!(those_that_are_served_now_are_counted);
models!(a_worker_that_is_killed_loses_only_its_client: fork Fork, pool_static PoolStatic, prefork Prefork);
models!(a_pool_counts_through_a_reload: pool_static PoolStatic, prefork Prefork);

/// A server, and the socket that tells its state.
struct Counted {
    server: Server,
    observer: Observer,
    _folder: tempfile::TempDir,
}

impl Counted {
    #[track_caller]
    fn start(service: &'static str, model: Model, listen: &str, args: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("control");
        let args = format!("--control {} {args}", path.display());
        let server = serve!(service, model).listen(listen).args(&args).start();
        Self { server, observer: Observer::new(&path), _folder: folder }
    }

    fn upper(model: Model) -> Self {
        Self::start("upper", model, "tcp:127.0.0.1:0", "")
    }

    #[track_caller]
    fn status(&mut self) -> Status {
        ask(&mut self.observer)
    }

    /// The sums, once `holds` is true of them.
    #[track_caller]
    fn until(&mut self, what: &str, holds: impl Fn(&Totals) -> bool) -> Totals {
        until(&mut self.observer, what, holds)
    }
}

#[track_caller]
fn ask(observer: &mut Observer) -> Status {
    let patience = u64::try_from(PATIENCE.as_micros()).expect("it fits");
    observer.ask(patience).unwrap_or_else(|error| panic!("{error}")).0
}

#[track_caller]
fn until(observer: &mut Observer, what: &str, holds: impl Fn(&Totals) -> bool) -> Totals {
    let mut last = Totals::default();
    within(PATIENCE, what, || {
        // While it is replaced, no process may answer.
        if let Ok((status, _)) = observer.ask(1_000_000) {
            last = status.totals;
        }
        holds(&last)
    });
    last
}

/// The sums of the workers of a pool are told elsewhere.
fn without_workers(totals: &Totals) -> Totals {
    Totals { spawned: 0, crashed: 0, killed: 0, reloads: 0, failed_spawns: 0, ..*totals }
}

fn clients_and_bytes_are_counted(model: Model) {
    let mut counted = Counted::upper(model);
    let mut bytes = 0;
    for len in [1, 10, 1000, 100_000] {
        let text = vec![b'a'; len];
        let mut client = counted.server.connect();
        assert_eq!(client.converse(&text).len(), len);
        bytes += len as u64;
    }
    let mut client = counted.server.connect();
    client.upper(b"hello");
    client.reset();
    drop(counted.server.connect());
    let totals = counted.until("all have ended", |it| it.begun == 6 && it.now() == 0);
    assert_eq!(totals.first_byte.count(), 5);
    assert_eq!(totals.duration.count(), 6);
    assert!(totals.first_byte.sum_us <= totals.duration.sum_us);
    let expected = Totals {
        accepted: 6,
        begun: 6,
        served: 5,
        reset: 1,
        bytes_in: bytes + 5,
        bytes_out: bytes + 5,
        duration: totals.duration,
        first_byte: totals.first_byte,
        ..Totals::default()
    };
    assert_eq!(without_workers(&totals), expected);
}

fn those_that_are_served_now_are_counted(model: Model) {
    let mut counted = Counted::upper(model);
    let mut clients = Vec::new();
    for count in 1..=5 {
        let mut client = counted.server.connect();
        client.upper(b"hello");
        clients.push(client);
        let totals = counted.until("it is counted", |it| it.bytes_out == 5 * count);
        assert_eq!((totals.accepted, totals.now(), totals.bytes_in), (count, count, 5 * count));
    }
    let busy = counted.status().scoreboard.matches('X').count();
    let is_loop = matches!(
        model,
        Model::Select | Model::Poll | Model::Epoll | Model::EpollEt | Model::Reactor
    );
    assert_eq!(busy, if is_loop { 1 } else { 5 });
    drop(clients);
    counted.until("none is served", |it| it.now() == 0 && it.served == 5);
}

fn a_server_that_is_killed_loses_only_its_clients(model: Model) {
    let folder = tempfile::tempdir().expect("a folder");
    let control = folder.path().join("control");
    let (supervised, members) = supervise!(&config(&control, model)).serving(1);
    let mut observer = Observer::new(&control);
    let at = &members[0].address;
    for _ in 0..3 {
        Client::connect(at).converse(b"hello");
    }
    let before = until(&mut observer, "three were served", |it| it.served == 3 && it.now() == 0);
    let mut client = Client::connect(at);
    client.upper(b"hello");
    // The answer may be here before the server has counted it.
    until(&mut observer, "it is counted", |it| it.bytes_out == 20);
    kill(Pid::from_raw(members[0].pid), Signal::SIGKILL).expect("kill");
    let lost = until(&mut observer, "one is lost", |it| it.lost == 1 && it.now() == 0);
    assert_eq!((lost.served, lost.bytes_in), (3, 20));
    Client::connect(at).converse(b"hello");
    let after = until(&mut observer, "a new process serves", |it| it.served == 4);
    assert_eq!((after.accepted, after.begun, after.lost, after.bytes_out), (5, 5, 1, 25));
    assert!(before.duration.sum_us <= after.duration.sum_us);
    // The last one was started anew: the supervisor was not.
    drop(client);
    assert_eq!(supervised.stop(), Some(0));
    let (again, members) = supervise!(&config(&control, model)).serving(1);
    Client::connect(&members[0].address).converse(b"hello");
    let anew = until(&mut observer, "it counts anew", |it| it.served == 1);
    assert_eq!((anew.accepted, anew.lost, anew.bytes_in), (1, 0, 5));
    drop(again);
}

#[test]
fn a_server_that_begins_again_says_when() {
    let folder = tempfile::tempdir().expect("a folder");
    let control = folder.path().join("control");
    let mut last = 0;
    for model in [Model::Epoll, Model::PoolStatic, Model::Epoll] {
        let (supervised, _) = supervise!(&config(&control, model)).serving(1);
        let mut status = Status::default();
        within(PATIENCE, "it answers", || {
            let answer = Observer::new(&control).ask(1_000_000);
            answer.map(|(is, _)| status = is).is_ok()
        });
        assert!(status.started_us > last, "{status:?}");
        assert_eq!((status.totals.accepted, status.totals.now()), (0, 0));
        last = status.started_us;
        assert_eq!(supervised.stop(), Some(0));
    }
}

fn config(control: &Path, model: Model) -> String {
    format!(
        "[[listener]]\nservice = 'upper'\nmodel = '{}'\nlisten = 'tcp:127.0.0.1:0'\ncontrol = '{}'\n",
        model.name(),
        control.display()
    )
}

fn a_worker_that_is_killed_loses_only_its_client(model: Model) {
    let mut counted = Counted::upper(model);
    for _ in 0..3 {
        counted.server.connect().converse(b"hello");
    }
    counted.until("three were served", |it| it.served == 3 && it.now() == 0);
    for round in 1..=5 {
        let mut client = counted.server.connect();
        client.upper(b"hello");
        counted.until("it is counted", |it| it.bytes_out == 15 + 10 * (round - 1) + 5);
        let status = counted.status();
        let worker = status.workers.iter().find(|worker| worker.client).expect("one is busy");
        kill(Pid::from_raw(worker.pid.cast_signed()), Signal::SIGKILL).expect("kill");
        client.end();
        counted.until("it is lost", |it| it.lost == round && it.now() == 0);
        counted.server.connect().converse(b"hello");
    }
    let totals = counted.until("the others were served", |it| it.served == 8 && it.now() == 0);
    let all = [totals.accepted, totals.begun, totals.lost, totals.bytes_in, totals.bytes_out];
    assert_eq!(all, [13, 13, 5, 65, 65]);
}

#[test]
fn a_client_that_is_passed_on_is_counted_once() {
    let mut counted = Counted::start("upper", Model::PoolStatic, "tcp:127.0.0.1:0", "--workers 2");
    for round in 1..=5 {
        within(PATIENCE, "none is busy", || {
            counted.status().workers.iter().all(|worker| !worker.client)
        });
        // It has sent nothing, so its worker has not touched it.
        let mut client = counted.server.connect();
        let mut pid = 0;
        within(PATIENCE, "one is busy", || {
            let status = counted.status();
            pid = status.workers.iter().find(|it| it.client).map_or(0, |it| it.pid.cast_signed());
            pid > 0
        });
        kill(Pid::from_raw(pid), Signal::SIGKILL).expect("kill");
        counted.until("it is passed on", |it| it.redispatched == round);
        client.upper(b"hello");
        drop(client);
        counted.until("it was served", |it| it.served == round && it.now() == 0);
    }
    let totals = counted.status().totals;
    assert_eq!((totals.accepted, totals.begun, totals.lost, totals.ended()), (5, 5, 0, 5));
}

#[test]
fn a_pool_counts_while_it_grows_and_shrinks() {
    let args = "--min-spare 1 --max-spare 2 --max-workers 12";
    let mut counted = Counted::start("upper", Model::Prefork, "tcp:127.0.0.1:0", args);
    for round in 1..=2 {
        let mut clients: Vec<_> = (0..10).map(|_| counted.server.connect()).collect();
        for client in &mut clients {
            client.upper(b"hello");
        }
        counted.until("all are served", |it| it.now() == 10);
        drop(clients);
        let mut workers = 0;
        within(PATIENCE, "few workers are left", || {
            workers = counted.status().workers.len();
            workers <= 2
        });
        let totals = counted.until("all have ended", |it| it.now() == 0);
        assert_eq!((totals.accepted, totals.served), (10 * round, 10 * round));
        assert_eq!((totals.bytes_in, totals.duration.count()), (50 * round, 10 * round));
    }
}

fn a_pool_counts_through_a_reload(model: Model) {
    let mut counted = Counted::upper(model);
    for round in 1..=3 {
        counted.server.connect().converse(b"hello");
        counted.server.signal(Signal::SIGHUP);
        counted.until("it is done", |it| it.reloads == round);
        counted.server.connect().converse(b"hello");
        let totals = counted.until("both were served", |it| it.served == 2 * round);
        assert_eq!((totals.accepted, totals.bytes_out, totals.now()), (2 * round, 10 * round, 0));
    }
}

#[test]
fn a_listener_that_changes_goes_on_counting() {
    let folder = tempfile::tempdir().expect("a folder");
    let control = folder.path().join("control");
    let (supervised, members) = supervise!(&config(&control, Model::Epoll)).serving(1);
    let (mut observer, at) = (Observer::new(&control), &members[0].address);
    let changes = [Model::Thread, Model::Prefork, Model::Fork, Model::PoolStatic, Model::Epoll];
    for (model, round) in changes.into_iter().zip(1..) {
        Client::connect(at).converse(b"hello");
        until(&mut observer, "it was served", |it| it.served == round && it.now() == 0);
        supervised.reload(&config(&control, model));
        within(PATIENCE, "the other model answers", || {
            let answer = observer.ask(1_000_000);
            answer.is_ok_and(|(status, _)| status.model == model.name())
        });
    }
    let totals = ask(&mut observer).totals;
    assert_eq!((totals.accepted, totals.served, totals.bytes_in), (5, 5, 25));
}

fn datagrams_are_counted(model: Model) {
    if Service::Upper.misfit(Transport::Datagram, model).is_some() {
        return;
    }
    let mut counted = Counted::start("upper", model, "udp:127.0.0.1:0", "");
    let client = UdpSocket::bind("127.0.0.1:0").expect("bind");
    client.connect(counted.server.address().trim_start_matches("udp:")).expect("connect");
    client.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut buf = [0; 2000];
    for len in [0, 1, 500, 1400] {
        client.send(&vec![b'a'; len]).expect("send");
        assert_eq!(client.recv(&mut buf).expect("receive"), len);
    }
    let totals = counted.until("all were answered", |it| it.datagrams_out == 4);
    let expected = Totals {
        datagrams_in: 4,
        datagrams_out: 4,
        bytes_in: 1901,
        bytes_out: 1901,
        ..Totals::default()
    };
    assert_eq!(without_workers(&totals), expected);
}

fn folder_with(bytes: &[u8]) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("file"), bytes).expect("write");
    let root = format!("--root {}", folder.path().display());
    (folder, root)
}

fn transfers_are_counted(model: Model) {
    let file = Random::new(16).bytes(2000);
    let (_folder, root) = folder_with(&file);
    let mut counted = Counted::start("tftp", model, "udp:127.0.0.1:0", &root);
    let get = |name: &[u8]| {
        let machine = Box::new(TftpGet::new(name, Offer::NONE, &Timing::CLIENT));
        transfer(counted.server.address(), machine, Memory::default()).how
    };
    assert_eq!(get(b"file"), Ok(()));
    assert!(matches!(get(b"none"), Err(Fault::Peer(_) | Fault::Denied)));
    // It asks, and takes no block: the first one is sent again.
    let silent = Asker::of(counted.server.address());
    silent.ask(&request(1, "file", "octet", ""));
    let first = silent.hear();
    assert_eq!(silent.hear(), first);
    silent.say(b"\0\x05\0\0enough\0", first.1);
    let totals = counted.until("all have ended", |it| it.begun == 3 && it.now() == 0);
    assert_eq!((totals.accepted, totals.served, totals.ended()), (3, 1, 3));
    assert_eq!((totals.files_sent, totals.files_refused, totals.files_failed), (1, 1, 1));
    assert!(totals.retransmitted >= 1, "{totals:?}");
    // A request, four blocks with their answers; a request and an error; a request, a block twice or more, and an error.
    // On a busy machine either end may repeat what it said.
    assert!(totals.datagrams_out >= 7 && totals.datagrams_in >= 8, "{totals:?}");
    assert!(totals.bytes_out >= 4 * 4 + 2000 + 2 * 516, "{totals:?}");
}

fn an_upload_is_counted_when_its_file_is_whole(model: Model) {
    let (_folder, root) = folder_with(b"");
    let mut counted =
        Counted::start("tftp", model, "udp:127.0.0.1:0", &format!("{root} --allow-write"));
    let stored = Stored::at(counted.server.address(), "new");
    stored.asking_again(|| {
        let totals = counted.until("it is counted", |it| it.files_received == 1);
        assert_eq!((totals.begun, totals.served, totals.ended(), totals.now()), (1, 1, 1, 0));
        stored.is_answered_again();
    });
}

fn every_service_is_counted(model: Model) {
    let (folder, root) = folder_with(&[1; 600]);
    for (service, args) in services(folder.path()) {
        let mut counted = Counted::start(service, model, "tcp:127.0.0.1:0", &args);
        let mut client = counted.server.connect();
        client.finish();
        client.end();
        let totals = counted.until("it has ended", |it| it.ended() == 1);
        assert_eq!((totals.accepted, totals.begun), (1, 1), "{service}");
        assert_eq!((&*counted.status().service, &*counted.status().model), (service, model.name()));
    }
    for service in [Service::Upper, Service::Echo, Service::Time, Service::Score] {
        if service.misfit(Transport::Datagram, model).is_none() {
            let mut counted = Counted::start(service.name(), model, "udp:127.0.0.1:0", "");
            let client = UdpSocket::bind("127.0.0.1:0").expect("bind");
            let at = counted.server.address().trim_start_matches("udp:");
            client.send_to(b"what is no score", at).expect("send");
            counted.until("it is counted", |it| it.datagrams_in == 1);
        }
    }
    for service in ["tftp", "xfer"] {
        let mut counted = Counted::start(service, model, "udp:127.0.0.1:0", &root);
        let at = counted.server.address();
        let how = if service == "tftp" {
            transfer::get(at, "file", Offer::NONE).how
        } else {
            let machine = Box::new(XferClient::new(b"file", &Timing::CLIENT));
            transfer(at, machine, Memory::default()).how
        };
        assert_eq!(how, Ok(()), "{service}");
        counted.until("it is counted", |it| it.files_sent == 1 && it.served == 1);
    }
}

#[test]
fn files_are_counted_on_streams() {
    let file = Random::new(17).bytes(100_000);
    let (folder, root) = folder_with(&file);
    let mut counted = Counted::start("http", Model::Epoll, "tcp:127.0.0.1:0", &root);
    let ask = |name: &str| {
        let mut client = counted.server.connect();
        client.converse(
            format!("GET /{name} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").as_bytes(),
        )
    };
    let (sent, refused) = (ask("file"), ask("none"));
    assert!(sent.ends_with(&file) && refused.starts_with(b"HTTP/1.1 404"));
    // A client that leaves in the middle.
    let large = folder.path().join("large");
    fs::File::create(&large).and_then(|it| it.set_len(64 << 20)).expect("a large file");
    let mut client = counted.server.connect();
    client.send(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
    client.try_read(&mut [0; 1000]).expect("read");
    client.reset();
    let totals = counted.until("all have ended", |it| it.begun == 3 && it.now() == 0);
    assert_eq!((totals.files_sent, totals.files_refused, totals.files_failed), (1, 1, 1));
    assert_eq!(totals.served + totals.denied, 2);
    assert_eq!(totals.reset, 1);
    assert!(totals.bytes_out >= (sent.len() + refused.len()) as u64);
}

#[test]
fn more_children_than_lines_are_counted() {
    let mut counted = Counted::upper(Model::Fork);
    // Each takes a line, and ends without giving it back.
    for _ in 0..1300 {
        counted.server.connect().converse(b"a");
    }
    let totals = counted.until("all have ended", |it| it.served == 1300 && it.now() == 0);
    assert_eq!(
        (totals.accepted, totals.begun, totals.lost, totals.bytes_in),
        (1300, 1300, 0, 1300)
    );
    within(PATIENCE, "no child is left", || {
        proc::children(counted.server.members()[0].pid).is_empty()
    });
    assert_eq!(counted.status().workers, []);
}
