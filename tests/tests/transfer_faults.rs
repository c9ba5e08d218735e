//! Faults of this host in the middle of transfers, and the limits of a server.
//!
//! - Workers are killed: each client has the whole file or a named fault, and later ones are served.
//! - The disk is full: the client hears so, and no file is left.
//! - A server that stops lets transfers end in its grace, and then tells their clients.
//! - A reload and an upgrade let the transfers that run go on to their ends, at a single port too.
//! - `--max-connections`, `--idle-timeout`, `--requests-per-worker`, `--control` mean what they mean for streams.

use std::fs;
use std::io::ErrorKind;
use std::net::UdpSocket;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use windlass::client::Observer;
use windlass::status::Status;
use windlass_core::fault::{Fault, Peer};
use windlass_core::transfer::Timing;
use windlass_core::transfer::tftp::{Offer, TftpGet};
use windlass_tests::transfer::{
    Asker, Begun, Memory, ack, data, get, place, put, request, transfer,
};
use windlass_tests::{
    Model, PATIENCE, Random, Server, every_model, has, meanwhile, models, serve, skipped,
    supervise, within,
};

fn start(model: Model, root: &Path, args: &str) -> Server {
    let root = format!("--root {} {args}", root.display());
    serve!("tftp", model).listen("udp:127.0.0.1:0").args(&root).start()
}

models!(workers_that_are_killed_cost_their_own_clients_alone: fork Fork, pool_static PoolStatic, prefork Prefork);

/// The storm of kills.
const STORM: Duration = Duration::from_secs(3);
const KILL_EVERY: Duration = Duration::from_millis(60);

fn workers_that_are_killed_cost_their_own_clients_alone(model: Model) {
    let (folder, file) = place(200_000);
    let args = match model {
        Model::PoolStatic => "--workers 5",
        Model::Prefork => "--min-spare 5 --max-spare 10 --max-workers 20",
        _ => "",
    };
    let server = start(model, folder.path(), args);
    let (whole, faults) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let asks = || {
        // A window of one block: a transfer lasts long enough to be hit.
        let timing = Timing { give_up_us: 2_000_000, ..Timing::CLIENT };
        let offer = Offer { window: Some(1), ..Offer::DEFAULT };
        let machine = Box::new(TftpGet::new(b"file", offer, &timing));
        let ended = transfer(server.address(), machine, Memory::default());
        match ended.how {
            Ok(()) => {
                assert!(ended.memory.whole && ended.memory.file == file, "a truncated file");
                whole.fetch_add(1, Ordering::Relaxed);
            }
            Err(Fault::TimedOut { .. } | Fault::Peer(Peer::Reset | Peer::Aborted)) => {
                assert!(!ended.memory.whole);
                faults.fetch_add(1, Ordering::Relaxed);
            }
            Err(fault) => panic!("{fault:?}"),
        }
    };
    let kills = meanwhile(3, asks, || {
        server.kill_workers(KILL_EVERY, Instant::now() + STORM, &mut Random::new(7))
    });
    let (whole, faults) = (whole.into_inner(), faults.into_inner());
    assert!(
        kills > 0 && whole > 0 && faults <= kills,
        "{whole} whole, {faults} not, {kills} kills"
    );
    get(server.address(), "file", Offer::DEFAULT).came(&file);
    assert_eq!(server.stop().code, Some(0));
}

models!(a_full_disk_is_told_and_leaves_no_file: fork Fork, epoll Epoll, reactor Reactor, prefork Prefork);

fn a_full_disk_is_told_and_leaves_no_file(model: Model) {
    if !geteuid().is_root() {
        return skipped("mounts are for root");
    }
    if !has("unshare") || !has("mount") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().display().to_string();
    let small = "mount -t tmpfs -o size=64k none \"$0\" && exec \"$@\"";
    let server = serve!("tftp", model)
        .listen("udp:127.0.0.1:0")
        .args(&format!("--root {root} --allow-write"))
        .under(&["unshare", "-m", "sh", "-c", small, &root])
        .start();
    // What the server sees there.
    let inside = format!("/proc/{}/root{root}", server.pid());
    let file = Random::new(1).bytes(200_000);
    for offer in [Offer::DEFAULT, Offer::NONE] {
        let ended = put(server.address(), "new", &file, offer);
        assert!(ended.how.is_err());
        let said = ended.said.expect("an ERROR");
        assert_eq!(said.code, 3, "{}", said.text.escape_ascii());
        within(PATIENCE, "nothing is left", || {
            fs::read_dir(&inside).expect("a folder").next().is_none()
        });
    }
    let fits = &file[..20_000];
    assert_eq!(put(server.address(), "new", fits, Offer::DEFAULT).how, Ok(()));
    assert!(fs::read(format!("{inside}/new")).expect("a file") == fits);
}

every_model!(a_transfer_ends_in_the_grace, a_client_is_told_at_the_end_of_the_grace);

fn a_transfer_ends_in_the_grace(model: Model) {
    let (folder, file) = place(2_000);
    let server = start(model, folder.path(), "--grace 300");
    let begun = Begun::at(server.address());
    server.signal(Signal::SIGTERM);
    server.logs("stopping");
    begun.goes_on(&file);
    assert_eq!(server.wait().code, Some(0));
}

fn a_client_is_told_at_the_end_of_the_grace(model: Model) {
    let (folder, _) = place(2_000);
    let server = start(model, folder.path(), "--grace 0.3");
    let begun = Begun::at(server.address());
    server.signal(Signal::SIGTERM);
    if !matches!(model, Model::Fork | Model::PoolStatic | Model::Prefork) {
        // The block may come again before.
        while begun.asker.hear().0[..4] != [0, 5, 0, 0] {}
    }
    assert_eq!(server.wait().code, Some(0));
    // Of a process that was killed the network says it, to each datagram.
    let socket = UdpSocket::bind("127.0.0.1:0").expect("bind");
    socket.connect(begun.from).expect("connect");
    socket.send(&ack(1)).expect("send");
    let refused = socket.recv(&mut [0; 9]).expect_err("nothing is there");
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
}

fn config(model: &str, root: &Path, more: &str) -> String {
    let root = root.display();
    format!(
        "[[listener]]\nservice = 'tftp'\nmodel = '{model}'\nlisten = 'udp:127.0.0.1:0'\nroot = '{root}'\n{more}\n"
    )
}

models!(transfers_go_on_through_reloads_and_upgrades: iterative Iterative, fork Fork, thread Thread,
    thread_pool ThreadPool, epoll Epoll, reactor Reactor, pool_static PoolStatic, prefork Prefork);

fn transfers_go_on_through_reloads_and_upgrades(model: Model) {
    let (folder, file) = place(2_000);
    let text = |more: &str| config(model.name(), folder.path(), more);
    let (mut supervised, members) = supervise!(&text("")).serving(1);
    let address = &members[0].address;
    let first = Begun::at(address);
    // Another process serves at the socket from now on.
    supervised.reload(&text("idle-timeout = 20"));
    let second = Begun::at(address);
    first.goes_on(&file);
    supervised.signal(Signal::SIGUSR2);
    within(PATIENCE, "there is a successor", || !supervised.successors().is_empty());
    second.goes_on(&file);
    // Of the old process or of the new one.
    Begun::at(address).goes_on(&file);
    assert_eq!(supervised.wait(), Some(0));
    get(address, "file", Offer::DEFAULT).came(&file);
    for pid in supervised.successors() {
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
    }
}

models!(transfers_at_a_single_port_are_whole_through_reloads_and_upgrades: select Select, poll Poll, epoll Epoll,
    epoll_et EpollEt, reactor Reactor);

/// Two processes have the socket for as long as the first of them has transfers.
fn transfers_at_a_single_port_are_whole_through_reloads_and_upgrades(model: Model) {
    let (folder, file) = place(60_000);
    let text = |more: &str| {
        let port = format!("single-port = true\nallow-write = true\n{more}");
        config(model.name(), folder.path(), &port)
    };
    let (supervised, members) = supervise!(&text("")).serving(1);
    let address = &members[0].address;
    let started = AtomicUsize::new(0);
    // A window of one block: each block needs a datagram of its client.
    let offer = Offer { window: Some(1), ..Offer::NONE };
    let transfers = || {
        let nth = started.fetch_add(1, Ordering::Relaxed);
        if nth.is_multiple_of(2) {
            return get(address, "file", offer).came(&file);
        }
        let name = format!("new{nth}");
        assert_eq!(put(address, &name, &file, offer).how, Ok(()));
        assert!(fs::read(folder.path().join(name)).expect("it is there") == file, "the same bytes");
    };
    let until_started = |count: usize| {
        within(PATIENCE, "transfers begin", || started.load(Ordering::Relaxed) >= count);
    };
    meanwhile(4, transfers, || {
        until_started(8);
        supervised.reload(&text("idle-timeout = 20"));
        until_started(16);
        supervised.signal(Signal::SIGUSR2);
        supervised.until_logged("the new binary has taken over", 1);
        until_started(24);
    });
    let lost = "share the port with the next process";
    assert_eq!(supervised.logged(lost), 0, "{}", supervised.stderr());
    // The end of the old process is not waited for: it repeats last answers for seconds.
}

/// Below port 1024 a socket for each transfer takes a right that a server with sockets of a service manager may lack.
#[test]
fn a_single_port_that_the_server_may_not_bind_is_shared_and_a_warning_says_so() {
    if !geteuid().is_root() {
        return skipped("ports below 1024 are for root");
    }
    let first = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    if first.is_ok_and(|first| first.trim() != "1024") {
        return skipped("other ports than those below 1024 are for root");
    }
    if !has("setpriv") {
        return;
    }
    let mut ports = (512..1024).rev();
    let port = ports.find_map(|port| UdpSocket::bind(("127.0.0.1", port)).ok());
    let port = port.expect("a port that is free");
    let address = format!("udp:{}", port.local_addr().expect("an address"));
    let (folder, file) = place(2_000);
    let text = |more: &str| {
        let text = config("epoll", folder.path(), &format!("single-port = true\n{more}"));
        text.replace("udp:127.0.0.1:0", &address)
    };
    let without = ["--bounding-set", "-net_bind_service", "--inh-caps", "-net_bind_service"];
    let under = [&["setpriv"][..], &without].concat();
    let (supervised, _) = supervise!(&text("")).activate(port).under(&under).serving(1);
    let begun = Begun::at(&address);
    supervised.reload(&text("idle-timeout = 20"));
    supervised.until_logged("share the port with the next process, and datagrams are lost", 1);
    supervised.until_logged("open a socket for each: Permission denied", 1);
    // Either process may take what the client says. Once the first one has no transfer, it takes nothing.
    within(PATIENCE, "the first process hears of it", || {
        begun.asker.say(&[0, 5, 0, 0, 0], begun.from);
        supervised.logged("not sent") > 0
    });
    get(&address, "file", Offer::DEFAULT).came(&file);
}

models!(a_client_beyond_the_limit_waits_until_one_has_ended: fork Fork, thread Thread, thread_pool ThreadPool,
    select Select, poll Poll, epoll Epoll, epoll_et EpollEt, reactor Reactor, pool_static PoolStatic,
    prefork Prefork);

fn a_client_beyond_the_limit_waits_until_one_has_ended(model: Model) {
    let (folder, file) = place(600);
    let server = start(model, folder.path(), "--max-connections 1");
    let first = Begun::at(server.address());
    let second = Asker::of(server.address());
    second.ask(&request(1, "file", "octet", ""));
    let own = first.asker.own();
    first.goes_on(&file);
    let (answer, from) = second.hear();
    assert_eq!(answer, data(1, &file[..512]));
    server.logs(&format!("sent peer={own}"));
    Begun { asker: second, from }.goes_on(&file);
}

models!(silence_longer_than_the_idle_timeout_ends_a_transfer: iterative Iterative, thread_pool ThreadPool, epoll Epoll,
    prefork Prefork);

fn silence_longer_than_the_idle_timeout_ends_a_transfer(model: Model) {
    let (folder, file) = place(2_000);
    let server = start(model, folder.path(), "--idle-timeout 0.5");
    let begun = Begun::at(server.address());
    begun.asker.say(&ack(1), begun.from);
    server.logs("no byte moved for 0.5");
    get(server.address(), "file", Offer::DEFAULT).came(&file);
}

models!(a_worker_is_replaced_after_its_transfers: pool_static PoolStatic, prefork Prefork);

fn a_worker_is_replaced_after_its_transfers(model: Model) {
    let (folder, file) = place(600);
    let one = match model {
        Model::PoolStatic => "--workers 1",
        _ => "--min-spare 1 --max-spare 1 --max-workers 1",
    };
    let control = folder.path().join("control");
    let args = format!("{one} --requests-per-worker 2 --control {}", control.display());
    let server = start(model, folder.path(), &args);
    let mut observer = Observer::new(&control);
    let mut until = |what: &str, so: &dyn Fn(&Status) -> bool| {
        let patience = u64::try_from(PATIENCE.as_micros()).expect("it fits");
        within(PATIENCE, what, || so(&observer.ask(patience).expect("a status").0));
    };
    let worker = server.workers();
    let begun = Begun::at(server.address());
    until("it is busy", &|status| status.scoreboard == "X");
    begun.goes_on(&file);
    until("it is idle", &|status| status.scoreboard == ".");
    assert_eq!(server.workers(), worker);
    get(server.address(), "file", Offer::DEFAULT).came(&file);
    within(PATIENCE, "it is another one", || {
        let now = server.workers();
        now.len() == 1 && now != worker
    });
    get(server.address(), "file", Offer::DEFAULT).came(&file);
    until("three are counted", &|status| status.counters.connections == 3);
}

#[test]
fn a_file_that_shrinks_ends_its_transfer_and_no_other() {
    let (folder, file) = place(600);
    let path = folder.path().join("shrinks");
    fs::write(&path, vec![7; 100_000]).expect("write");
    let server = start(Model::Epoll, folder.path(), "");
    let asker = Asker::of(server.address());
    asker.ask(&request(1, "shrinks", "octet", ""));
    let (mut last, from) = asker.hear();
    fs::write(&path, b"short").expect("write");
    // What was read before may come; then it ends, and not with a short block as a whole file does.
    for block in 1.. {
        asker.say(&ack(block), from);
        let before = std::mem::take(&mut last);
        while last.is_empty() || last == before {
            last = asker.hear().0;
        }
        if last[..2] == [0, 5] {
            break;
        }
        assert_eq!(last, data(block + 1, &[7; 512]));
    }
    assert_eq!(last[..4], [0, 5, 0, 0], "{}", last.escape_ascii());
    get(server.address(), "file", Offer::DEFAULT).came(&file);
}
