//! `tftp` and `xfer`, read and written, under every model.
//!
//! - Every combination works, or is refused with its reason and exit code 2.
//! - Each transfer has a port of its own, or all have the listener's; replies leave from the address that was asked.
//! - A worker that dies with a request it has not answered: another one answers it.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use windlass::client::Observer;
use windlass_core::fault::Peer;
use windlass_core::transfer::Timing;
use windlass_core::transfer::tftp::Offer;
use windlass_core::transfer::xfer::XferClient;
use windlass_tests::transfer::{
    Asker, Ended, Memory, ack, data, get, place, put, request, transfer,
};
use windlass_tests::{Model, PATIENCE, Server, every_model, models, proc, serve, windlass, within};

every_model!(files_are_read, files_are_written, a_single_port_serves_all_or_is_refused);

fn start(service: &'static str, model: Model, root: &Path, args: &str) -> Server {
    let root = format!("--root {} {args}", root.display());
    serve!(service, model).listen("udp:127.0.0.1:0").args(&root).start()
}

fn get_by_xfer(address: &str, name: &str) -> Ended {
    transfer(
        address,
        Box::new(XferClient::new(name.as_bytes(), &Timing::CLIENT)),
        Memory::default(),
    )
}

fn files_are_read(model: Model) {
    let (folder, file) = place(100_000);
    let server = start("tftp", model, folder.path(), "");
    for offer in [Offer::DEFAULT, Offer::NONE] {
        get(server.address(), "file", offer).came(&file);
        get(server.address(), "/file", offer).came(&file);
    }
    let refused = get(server.address(), "none", Offer::DEFAULT);
    assert_eq!(refused.how, Err(Peer::Refused.into()));
    assert_eq!(refused.said.expect("an ERROR").code, 1);
    server.logs("refused: there is no such file");
    assert_eq!(server.stop().code, Some(0));

    let server = start("xfer", model, folder.path(), "");
    get_by_xfer(server.address(), "file").came(&file);
    assert_eq!(get_by_xfer(server.address(), "none").how, Err(Peer::Refused.into()));
    assert_eq!(server.stop().code, Some(0));
}

fn files_are_written(model: Model) {
    let (folder, file) = place(70_000);
    let server = start("tftp", model, folder.path(), "--allow-write");
    assert_eq!(put(server.address(), "new", &file, Offer::DEFAULT).how, Ok(()));
    assert_eq!(fs::read(folder.path().join("new")).expect("a file"), file);
    let refused = put(server.address(), "new", &file, Offer::NONE);
    assert_eq!(refused.how, Err(Peer::Refused.into()));
    assert_eq!(refused.said.expect("an ERROR").code, 6);
    let outside = put(server.address(), "../new", b"x", Offer::NONE);
    assert_eq!(outside.said.expect("an ERROR").code, 2);
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 2, "nothing else is left");
    drop(server);

    let server = start("tftp", model, folder.path(), "");
    let refused = put(server.address(), "other", b"x", Offer::NONE);
    assert_eq!(refused.said.expect("an ERROR").code, 2);
    assert_eq!(server.stop().code, Some(0));
}

fn a_single_port_serves_all_or_is_refused(model: Model) {
    let (folder, file) = place(100_000);
    if matches!(
        model,
        Model::Iterative
            | Model::Fork
            | Model::Thread
            | Model::ThreadPool
            | Model::PoolStatic
            | Model::Prefork
    ) {
        let outcome = windlass!("serve", "tftp", "--single-port", "--model", model.name())
            .words("--root")
            .arg(folder.path())
            .run();
        return outcome.fails_with(2, &["--single-port", model.name(), "share one socket"]);
    }
    let server = start("tftp", model, folder.path(), "--single-port --allow-write");
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| get(server.address(), "file", Offer::DEFAULT).came(&file));
        }
    });
    assert_eq!(put(server.address(), "new", &file, Offer::DEFAULT).how, Ok(()));
    assert_eq!(fs::read(folder.path().join("new")).expect("a file"), file);
    let asker = Asker::of(server.address());
    asker.ask(&request(1, "file", "octet", ""));
    assert_eq!(asker.hear().1, asker.server());
}

models!(a_transfer_has_a_port_of_its_own_at_the_address_that_was_asked: fork Fork, epoll Epoll,
    pool_static PoolStatic, prefork Prefork);

fn a_transfer_has_a_port_of_its_own_at_the_address_that_was_asked(model: Model) {
    let (folder, _) = place(5);
    let root = format!("--root {}", folder.path().display());
    for (wildcard, asked) in [("udp:0.0.0.0:0", "127.0.0.9"), ("udp:[::]:0", "::1")] {
        let server = serve!("tftp", model).listen(wildcard).args(&root).start();
        let (_, port) = server.address().rsplit_once(':').expect("a port");
        let ip: IpAddr = asked.parse().expect("an address");
        let at = SocketAddr::new(ip, port.parse().expect("a number"));
        let asker = Asker::of(&at.to_string());
        asker.ask(&request(1, "file", "octet", ""));
        let (answer, from) = asker.hear();
        assert_eq!(answer[..4], [0, 3, 0, 1]);
        assert_eq!(from.ip(), ip);
        assert_ne!(from.port(), at.port());
        // Errors too.
        let asker = Asker::of(&at.to_string());
        asker.ask(&request(1, "none", "octet", ""));
        let (answer, from) = asker.hear();
        assert_eq!((&answer[..4], from.ip()), (&[0, 5, 0, 1][..], ip));
    }
}

#[test]
fn ports_are_of_the_range_that_is_given() {
    let (folder, file) = place(5_000);
    // A range that is free, as far as anything says.
    let free = std::net::UdpSocket::bind("127.0.0.1:0").expect("bind");
    let first = free.local_addr().expect("an address").port().min(65_000);
    drop(free);
    let range = format!("--port-range {first}-{}", first + 9);
    let server = start("tftp", Model::Epoll, folder.path(), &range);
    for _ in 0..12 {
        let asker = Asker::of(server.address());
        asker.ask(&request(1, "file", "octet", ""));
        let (answer, from) = asker.hear();
        assert_eq!(answer[..4], [0, 3, 0, 1]);
        assert!((first..first + 10).contains(&from.port()), "{from}");
        asker.say(&[0, 5, 0, 0, 0], from);
    }
    get(server.address(), "file", Offer::DEFAULT).came(&file);
}

#[test]
fn a_worker_that_dies_with_a_request_is_replaced_and_another_one_answers() {
    let (folder, file) = place(50_000);
    let control = folder.path().join("control");
    let args = format!("--workers 1 -v --control {}", control.display());
    let server = start("tftp", Model::PoolStatic, folder.path(), &args);
    let worker = server.workers()[0];
    kill(Pid::from_raw(worker), Signal::SIGSTOP).expect("stop it");
    within(PATIENCE, "it is stopped", || proc::is_stopped(worker));
    std::thread::scope(|scope| {
        let client = scope.spawn(|| get(server.address(), "file", Offer::DEFAULT));
        // It has been passed to the worker, which does not take it.
        let mut observer = Observer::new(&control);
        let patience = u64::try_from(PATIENCE.as_micros()).expect("it fits");
        within(PATIENCE, "the worker is busy", || {
            observer.ask(patience).expect("a status").0.scoreboard == "X"
        });
        kill(Pid::from_raw(worker), Signal::SIGKILL).expect("kill it");
        client.join().expect("a client").came(&file);
    });
    server.logs("is served again");
    // One that has answered is not begun anew.
    let asker = Asker::of(server.address());
    asker.ask(&request(1, "file", "octet", "blksize=1000"));
    let (answer, from) = asker.hear();
    asker.say(&ack(0), from);
    assert_eq!(asker.hear_after(&answer)[..4], [0, 3, 0, 1]);
    kill(Pid::from_raw(server.workers()[0]), Signal::SIGKILL).expect("kill it");
    server.logs("a connection was lost with its worker");
    get(server.address(), "file", Offer::DEFAULT).came(&file);
}

/// Block 65,535 is followed by block 0.
#[test]
fn sixty_four_mebibytes_travel_in_blocks_of_512() {
    let (folder, file) = place(64 << 20);
    let server = start("tftp", Model::Epoll, folder.path(), "");
    let offer = Offer { block: Some(512), window: Some(64), ..Offer::DEFAULT };
    get(server.address(), "file", offer).came(&file);
}

#[test]
fn a_file_of_five_gibibytes_is_read_where_it_is_asked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = fs::File::create(folder.path().join("file")).expect("create");
    let (size, end) = (5_u64 << 30, b"the end");
    file.set_len(size).expect("a sparse file");
    let at = size - end.len() as u64;
    std::os::unix::fs::FileExt::write_all_at(&file, end, at).expect("write");
    let server = start("tftp", Model::Epoll, folder.path(), "");
    let asker = Asker::of(server.address());
    asker.ask(&request(1, "file", "octet", &format!("tsize=0 blksize=1428 seek={at}")));
    let (answer, from) = asker.hear();
    let granted = format!("tsize\0{size}\0blksize\x001428\0seek\0{at}\0");
    assert_eq!(answer, [b"\0\x06", granted.as_bytes()].concat(), "{}", answer.escape_ascii());
    asker.say(&ack(0), from);
    while asker.hear().0 != data(1, end) {}
}
