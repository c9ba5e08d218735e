//! Limits of one client: networks that are served or not, places, rates.
//!
//! - `--allow` and `--deny`, under every model and for datagrams.
//! - `--max-per-client`: one count for all processes; a place is free after a reset and after its process was
//!   killed; one client at its limit hears so, and others are served.
//! - `--rate` and `--client-rate`: never faster than that.

use std::fs;
use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use windlass_core::fault::Peer;
use windlass_core::session::files::Options;
use windlass_core::transfer::Timing;
use windlass_core::transfer::tftp::{Offer, TftpGet};
use windlass_core::transfer::xfer::XferClient;
use windlass_tests::datagrams::{client_at, hears_nothing};
use windlass_tests::transfer::{Asker, Ended, Memory, ack, data, put, request, transfer};
use windlass_tests::web::ask;
use windlass_tests::{
    Client, Download, End, Model, PATIENCE, Program, Random, Server, every_concurrent_model,
    every_model, models, proc, serve, supervise, takes, windlass, within,
};

every_model!(
    clients_of_other_networks_are_not_served,
    a_connection_is_no_faster_than_its_rate,
    a_transfer_is_no_faster_than_its_rate,
);
every_concurrent_model!(
    a_client_has_its_places_and_others_have_theirs,
    a_client_at_its_limit_hears_it_by_http,
    a_client_at_its_limit_hears_it_by_files,
    a_client_at_its_limit_hears_it_by_tftp_and_xfer,
    two_connections_share_the_rate_of_their_client_in_all_processes,
);
models!(transfers_at_one_port_have_the_same_limits: select Select, poll Poll, epoll Epoll,
    epoll_et EpollEt, reactor Reactor);
models!(the_place_of_a_killed_process_is_free: fork Fork, pool_static PoolStatic, prefork Prefork);

/// Another client: it has an address of its own.
const OTHER: [u8; 4] = [127, 0, 0, 2];

fn other(server: &Server) -> Client {
    Client::connect_from(OTHER, server.address())
}

fn place(len: usize) -> (tempfile::TempDir, Vec<u8>) {
    let folder = tempfile::tempdir().expect("a folder");
    let bytes = Random::new(16).bytes(len);
    fs::write(folder.path().join("file"), &bytes).expect("write");
    (folder, bytes)
}

fn with_root(service: &'static str, model: Model, root: &Path, args: &str) -> Server {
    let serve = serve!(service, model).args(&format!("--root {} {args}", root.display()));
    let is_of_datagrams = matches!(service, "tftp" | "xfer");
    if is_of_datagrams { serve.listen("udp:127.0.0.1:0") } else { serve }.start()
}

/// The client is closed without a byte.
#[track_caller]
fn is_closed(mut client: Client) {
    assert_eq!(client.rest(), b"");
}

fn clients_of_other_networks_are_not_served(model: Model) {
    let server = serve!("upper", model).args("--deny 127.0.0.1,10.0.0.0/8").start();
    is_closed(server.connect());
    other(&server).ends_with(b"");
    let mut inside = other(&server);
    inside.upper(b"served");
    inside.ends_with(b"");
    let server = serve!("upper", model).args("--allow 127.0.0.0/8 --deny 127.0.0.2/32").start();
    is_closed(other(&server));
    server.connect().upper(b"deny comes first");
    assert_eq!(server.stop().code, Some(0));
}

/// A place that was given back is free as soon as the server has noticed the end.
#[track_caller]
fn until_served(server: &Server) -> Client {
    let mut inside = None;
    within(PATIENCE, "a place is free", || {
        let mut client = server.connect();
        let is_served = client.try_upper(b"mine").is_ok();
        inside = is_served.then_some(client);
        is_served
    });
    inside.expect("it was served")
}

fn a_client_has_its_places_and_others_have_theirs(model: Model) {
    let server = serve!("upper", model).args("--max-per-client 3").start();
    let mut inside: Vec<_> = (0..3).map(|_| server.connect()).collect();
    for client in &mut inside {
        client.upper(b"inside");
    }
    for _ in 0..20 {
        is_closed(server.connect());
    }
    other(&server).upper(b"another client");
    // After an end, and after a reset.
    inside.remove(0).ends_with(b"");
    inside.push(until_served(&server));
    is_closed(server.connect());
    inside.remove(0).reset();
    inside.push(until_served(&server));
    is_closed(server.connect());
    for client in &mut inside {
        client.upper(b"still");
    }
    let words = "have as much as a client may have";
    within(PATIENCE, words, || server.stderr().contains(words));
}

fn the_place_of_a_killed_process_is_free(model: Model) {
    let server = serve!("upper", model).args("--max-per-client 1").start();
    for _ in 0..3 {
        let mut inside = until_served(&server);
        inside.upper(b"inside");
        is_closed(server.connect());
        let process = proc::children(server.pid()).into_iter().filter(|&pid| proc::runs(pid));
        for pid in process {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        inside.end();
    }
}

#[test]
fn processes_of_two_configurations_count_together() {
    let text = |idle: u32| {
        format!(
            "[[listener]]\nservice = \"upper\"\nlisten = \"tcp:127.0.0.1:0\"\nmodel = \"epoll\"\n\
             max-per-client = 2\nidle-timeout = {idle}\n"
        )
    };
    let (server, members) = supervise!(&text(60)).serving(1);
    let connect = || Client::connect(&members[0].address);
    let mut first = connect();
    first.upper(b"of the first process");
    server.reload(&text(70));
    server.until_logged("it is served by a new process", 1);
    let mut second = connect();
    second.upper(b"of the second");
    is_closed(connect());
    first.upper(b"still there");
    first.ends_with(b"");
    within(PATIENCE, "a place is free", || connect().try_upper(b"again").is_ok());
}

fn a_client_at_its_limit_hears_it_by_http(model: Model) {
    let (folder, bytes) = place(1000);
    let server = with_root("http", model, folder.path(), "--max-per-client 1");
    let mut inside = server.connect();
    assert_eq!(ask(&mut inside, "GET", "/file", &[]).body, bytes);
    let mut refused = server.connect();
    let answer = ask(&mut refused, "GET", "/file", &[]);
    assert_eq!(answer.status, 503);
    assert_eq!(answer.field("Retry-After"), Some("1"));
    assert_eq!(answer.field("Connection"), Some("close"));
    is_closed(refused);
    // One that sends no request keeps no place.
    is_closed(server.connect());
    let mut another = other(&server);
    assert_eq!(ask(&mut another, "GET", "/file", &[]).body, bytes);
    assert_eq!(ask(&mut inside, "GET", "/file", &[]).body, bytes);
}

fn a_client_at_its_limit_hears_it_by_files(model: Model) {
    // More than sockets hold: its client has its place until it has read all.
    let (folder, bytes) = place(16 << 20);
    fs::write(folder.path().join("small"), b"small").expect("write");
    let server = with_root("files", model, folder.path(), "--max-per-client 1");
    let mut inside = server.connect();
    inside.send(&windlass_tests::request(b"file", Options::NONE));
    let mut begin = vec![0; 4];
    inside.try_read(&mut begin).expect("an answer");
    let by = |mut client: Client| {
        client.send(&windlass_tests::request(b"small", Options::NONE));
        Download::of(&client.rest())
    };
    let refused = by(server.connect()).refused.expect("a refusal");
    assert!(refused.contains("try again later"), "{refused}");
    assert_eq!(by(other(&server)).file, b"small");
    begin.extend(inside.rest());
    assert!(Download::of(&begin).file == bytes, "the whole file");
}

fn get(server: &Server) -> Ended {
    let machine = Box::new(TftpGet::new(b"file", Offer::DEFAULT, &Timing::CLIENT));
    transfer(server.address(), machine, Memory::default())
}

fn get_by_xfer(server: &Server) -> Ended {
    let machine = Box::new(XferClient::new(b"file", &Timing::CLIENT));
    transfer(server.address(), machine, Memory::default())
}

/// Words of an ERROR that says so.
#[track_caller]
fn is_refused(ended: &Ended) {
    assert_eq!(ended.how, Err(Peer::Refused.into()));
    let said = ended.said.as_ref().expect("an ERROR");
    let text = String::from_utf8_lossy(&said.text);
    assert!(text.contains("try again later"), "{said:?}");
}

#[track_caller]
fn came(ended: &Ended, file: &[u8]) {
    assert_eq!(ended.how, Ok(()), "{:?}", ended.said);
    assert!(ended.memory.whole && ended.memory.file == file, "the same bytes");
}

/// A transfer that goes on until the client says more.
fn a_slow_transfer(server: &Server) -> (Asker, Vec<u8>, std::net::SocketAddr) {
    let slow = Asker::of(server.address());
    slow.ask(&request(1, "file", "octet", ""));
    let (first, from) = slow.hear();
    (slow, first, from)
}

fn a_client_at_its_limit_hears_it_by_tftp_and_xfer(model: Model) {
    let (folder, bytes) = place(300);
    let server = with_root("tftp", model, folder.path(), "--max-per-client 1");
    let (slow, first, from) = a_slow_transfer(&server);
    is_refused(&get(&server));
    slow.say(&ack(1), from);
    assert_eq!(first, data(1, &bytes));
    within(PATIENCE, "the place is free", || get(&server).how.is_ok());
    drop(server);
    let server = with_root("xfer", model, folder.path(), "--deny 127.0.0.2 --max-per-client 2");
    came(&get_by_xfer(&server), &bytes);
    // One that is denied hears nothing, and others are served meanwhile.
    let denied = client_at(OTHER);
    let at = server.address().trim_start_matches("udp:");
    denied.send_to(b"\0\0\0\x01file\0", at).expect("send");
    came(&get_by_xfer(&server), &bytes);
    hears_nothing(&denied);
}

fn transfers_at_one_port_have_the_same_limits(model: Model) {
    let (folder, bytes) = place(300);
    let args = "--single-port --max-per-client 1 --deny 127.0.0.2";
    let server = with_root("tftp", model, folder.path(), args);
    let (slow, first, from) = a_slow_transfer(&server);
    is_refused(&get(&server));
    assert_eq!(first, data(1, &bytes));
    slow.say(&ack(1), from);
    within(PATIENCE, "the place is free", || get(&server).how.is_ok());
    let denied = client_at(OTHER);
    let at = server.address().trim_start_matches("udp:");
    denied.send_to(&request(1, "file", "octet", ""), at).expect("send");
    within(PATIENCE, "another client is served", || get(&server).how.is_ok());
    hears_nothing(&denied);
    drop(server);
    let bytes = Random::new(17).bytes(20_000);
    fs::write(folder.path().join("file"), &bytes).expect("write");
    let server = with_root("tftp", model, folder.path(), "--single-port --rate 40000");
    takes(300, || came(&get(&server), &bytes));
}

fn a_connection_is_no_faster_than_its_rate(model: Model) {
    let (folder, bytes) = place(30_000);
    let server = with_root("http", model, folder.path(), "--rate 40000");
    let mut client = server.connect();
    takes(500, || assert_eq!(ask(&mut client, "GET", "/file", &[]).body, bytes));
    drop(client);
    drop(server);
    let server = serve!("echo", model).args("--client-rate 40000").start();
    let mut client = server.connect();
    takes(500, || assert_eq!(client.converse(&bytes), bytes));
    assert_eq!(client.end(), End::Eof);
}

fn a_transfer_is_no_faster_than_its_rate(model: Model) {
    let (folder, bytes) = place(30_000);
    let server = with_root("tftp", model, folder.path(), "--allow-write --rate 40000");
    takes(500, || came(&get(&server), &bytes));
    takes(500, || {
        assert_eq!(put(server.address(), "new", &bytes, Offer::DEFAULT).how, Ok(()));
    });
    assert!(fs::read(folder.path().join("new")).expect("it is there") == bytes);
    drop(server);
    let server = with_root("xfer", model, folder.path(), "--client-rate 40000");
    takes(1200, || {
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| came(&get_by_xfer(&server), &bytes));
            }
        });
    });
}

fn two_connections_share_the_rate_of_their_client_in_all_processes(model: Model) {
    let (folder, bytes) = place(20_000);
    let server = with_root("http", model, folder.path(), "--client-rate 40000");
    takes(700, || {
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let mut client = server.connect();
                    assert_eq!(ask(&mut client, "GET", "/file", &[]).body, bytes);
                });
            }
        });
    });
}

#[test]
fn what_makes_no_sense_is_refused_with_its_reason() {
    for (args, why) in [
        ("upper --allow 10.0.0.1/8", "bits behind the length"),
        ("upper --deny here", "a network is ADDRESS or ADDRESS/LENGTH"),
        ("upper --max-per-client 0", "0 is not in 1..=1000"),
        ("upper --rate 100", "100 is not in 1024.."),
        ("score --max-per-client 3", "--max-per-client is about connections"),
        ("upper --listen unix:@x --allow ::1", "--allow is about internet addresses"),
        ("upper --listen unix:@x --proxy-from ::1", "that connects to a Unix socket is `unix`"),
        ("upper --listen tcp:[::1]:0 --proxy-from unix", "--proxy-from unix is for unix:PATH"),
        ("upper --listen unix-dgram:/x --proxy-from unix", "--proxy-from"),
        ("upper --proxy-from unixx", "a network is ADDRESS or ADDRESS/LENGTH"),
    ] {
        let outcome = args.split_whitespace().fold(windlass!("serve"), Program::arg).run();
        assert_eq!(outcome.code, Some(2), "{args}: {outcome:?}");
        assert!(outcome.stderr.contains(why), "{args}: {}", outcome.stderr);
    }
}

#[test]
fn the_help_says_what_comes_first() {
    let help = windlass!("serve", "--help").run();
    help.succeeds();
    let help = String::from_utf8(help.stdout).expect("text");
    let words: Vec<_> = help.split_whitespace().collect();
    let of_deny = words.join(" ");
    assert!(of_deny.contains("also if --allow has them: --deny comes first"), "{help}");
}
