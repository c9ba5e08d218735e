//! What clients of `tftp` send, good and bad, and what the server answers.
//!
//! - Boot loaders: names with `/`, padding, a size probe, requests that come again, broadcasts.
//! - RFC 1123: a duplicate ACK draws no second DATA. A lost first DATA is sent again whole.
//! - An address that has not answered gets three datagrams and one block; 10,000 of them harm no client.
//! - Uploads: nothing under the final name until the file is complete.

use std::fs;
use std::net::UdpSocket;
use std::path::Path;

use nix::sys::socket::{getsockopt, setsockopt, sockopt};
use windlass_core::transfer::tftp::Offer;
use windlass_tests::transfer::{Asker, ack, data, get, place, request};
use windlass_tests::{Model, PATIENCE, Random, Server, models, serve, within};

fn start(model: Model, root: &Path, args: &str) -> Server {
    let root = format!("--root {} {args}", root.display());
    serve!("tftp", model).listen("udp:127.0.0.1:0").args(&root).start()
}

#[test]
fn requests_as_boot_loaders_write_them() {
    let (folder, file) = place(600);
    let server = start(Model::Epoll, folder.path(), "-v");
    let padded = [&request(1, "/file", "OCTET", "")[..], &[0; 100]].concat();
    for plain in [&padded[..], &request(1, "//file", "oCtEt", ""), b"\0\x01file\0octet\0tsize"] {
        let asker = Asker::of(server.address());
        asker.ask(plain);
        let (answer, from) = asker.hear();
        assert_eq!(answer, data(1, &file[..512]), "{}", plain.escape_ascii());
        asker.say(&[0, 5, 0, 0, 0], from);
    }
    // The answer has what was asked for and is known, no more: not the timeout, which is measured.
    let asker = Asker::of(server.address());
    asker.ask(&request(1, "file", "octet", "TSIZE=0 timeout=6 BLKSIZE=1468 multicast=x blksize=7"));
    let (answer, from) = asker.hear();
    assert_eq!(answer, b"\0\x06tsize\x00600\0blksize\x001468\0");
    // A look at the size is no failure, and the next request is served.
    asker.say(b"\0\x05\0\x08no need\0", from);
    server.logs("the peer asked for the size");
    let same = request(1, "file", "octet", "TSIZE=0 timeout=6 BLKSIZE=1468 multicast=x blksize=7");
    for again in [same, request(1, "file", "octet", "blksize=1468")] {
        asker.ask(&again);
        assert!(asker.hear().0.ends_with(b"blksize\x001468\0"));
    }
    let failed = format!("not sent peer={}", asker.own());
    assert!(!server.stderr().contains(&failed), "{}", server.stderr());
    // An empty file has no size in the answer, which curl would refuse.
    fs::write(folder.path().join("empty"), b"").expect("write");
    let asker = Asker::of(server.address());
    asker.ask(&request(1, "empty", "octet", "tsize=0"));
    assert_eq!(asker.hear().0, data(1, b""));
}

#[test]
fn a_request_to_a_broadcast_address_is_answered_from_this_host() {
    let (folder, file) = place(10);
    let root = format!("--root {}", folder.path().display());
    let server = serve!("tftp", Model::Poll).listen("udp:0.0.0.0:0").args(&root).start();
    let (_, port) = server.address().rsplit_once(':').expect("a port");
    let socket = UdpSocket::bind("127.0.0.1:0").expect("bind");
    socket.set_broadcast(true).expect("set");
    socket.set_read_timeout(Some(PATIENCE)).expect("set");
    socket
        .send_to(&request(1, "file", "octet", ""), format!("127.255.255.255:{port}"))
        .expect("send");
    let mut buf = [0; 100];
    let (len, from) = socket.recv_from(&mut buf).expect("an answer");
    assert_eq!(buf[..len], data(1, &file));
    assert!(from.ip().is_loopback(), "{from}");
}

#[test]
fn three_copies_of_an_ack_draw_one_block() {
    let (folder, file) = place(1500);
    let server = start(Model::Reactor, folder.path(), "");
    let asker = Asker::of(server.address());
    asker.ask(&request(1, "file", "octet", ""));
    let (first, from) = asker.hear();
    for _ in 0..3 {
        asker.say(&ack(1), from);
    }
    assert_eq!(asker.hear_after(&first), data(2, &file[512..1024]));
    asker.say(&ack(2), from);
    // The next one is block 3, unless the timer was due: then block 2 again, once.
    let (next, _) = asker.hear();
    assert!([data(2, &file[512..1024]), data(3, &file[1024..])].contains(&next));
    asker.say(&ack(3), from);
    server.logs("sent peer");
}

#[test]
fn a_first_block_that_was_lost_is_sent_again_whole_and_no_address_gets_more_than_three() {
    let (folder, file) = place(100_000);
    let server = start(Model::Epoll, folder.path(), "--idle-timeout 4");
    for options in ["", "blksize=1428 windowsize=64"] {
        let asker = Asker::of(server.address());
        asker.ask(&request(1, "file", "octet", options));
        let first = asker.hear().0;
        assert_eq!(asker.hear().0, first);
        let gone = format!("peer={} name=file", asker.own());
        server.logs(&gone);
        let more = asker.heard();
        assert!(more.len() <= 1 && more.iter().all(|again| *again == first), "{}", more.len());
        if options.is_empty() {
            assert_eq!(first, data(1, &file[..512]));
        } else {
            assert!(first.starts_with(b"\0\x06"), "no window before its first ACK");
        }
    }
}

#[test]
fn bad_requests_get_an_error_that_says_nothing_of_the_host_and_others_get_nothing() {
    let (folder, file) = place(10);
    std::os::unix::fs::symlink("/etc/passwd", folder.path().join("link")).expect("a link");
    let server = start(Model::Epoll, folder.path(), "");
    for (bad, code) in [
        (request(1, "none", "octet", "blksize=1428"), 1),
        (request(1, "../etc/passwd", "octet", ""), 2),
        (request(1, "a/../../b", "octet", ""), 2),
        (request(1, "link", "octet", ""), 2),
        (request(1, ".", "octet", ""), 2),
        (request(1, "", "octet", ""), 2),
        (request(2, "new", "octet", ""), 2),
        (request(1, "file", "mail", ""), 4),
        (b"\0\x01file-without-a-nul".to_vec(), 4),
    ] {
        let asker = Asker::of(server.address());
        asker.ask(&bad);
        let (answer, _) = asker.hear();
        let shown = answer.escape_ascii();
        assert_eq!((&answer[..3], answer[3]), (&b"\0\x05\0"[..], code), "{shown}");
        let root = folder.path().display().to_string();
        assert!(!answer.escape_ascii().to_string().contains(&root), "{shown}");
    }
    // Packets of no transfer, and noise.
    let asker = Asker::of(server.address());
    let mut random = Random::new(15);
    for stray in
        [ack(1).to_vec(), data(1, b"x"), b"\0\x05\0\0gone\0".to_vec(), b"".to_vec(), vec![9; 600]]
    {
        asker.ask(&stray);
    }
    // As many as the socket has room for, if the server is slow.
    for len in (0..300).step_by(3) {
        let mut noise = random.bytes(len);
        // No request among them.
        noise.iter_mut().take(1).for_each(|byte| *byte |= 0x80);
        asker.ask(&noise);
    }
    for options in [
        "blksize=0",
        "blksize=7",
        "blksize=65465",
        "blksize=-1",
        "tsize=-1",
        "windowsize=0",
        "windowsize=65536",
        &"a=b ".repeat(200),
    ] {
        asker.ask(&request(1, "file", "octet", options));
        let (answer, from) = asker.hear();
        assert_eq!(answer, data(1, &file), "{options}: as if it were not there");
        asker.say(&ack(1), from);
        server.logs(&format!("sent peer={}", asker.own()));
    }
    assert_eq!(asker.heard(), Vec::<Vec<u8>>::new());
    get(server.address(), "file", Offer::DEFAULT).came(&file);
}

#[test]
fn what_comes_behind_an_error_draws_nothing() {
    let (folder, file) = place(10);
    for port in ["", "--single-port"] {
        let server = start(Model::Epoll, folder.path(), port);
        let asker = Asker::of(server.address());
        asker.ask(&request(1, "none", "octet", "blksize=1428"));
        let (answer, from) = asker.hear();
        assert_eq!(answer[..4], [0, 5, 0, 1], "an ERROR, and no OACK before it");
        for stray in [&ack(0)[..], &ack(1), &data(1, b"x"), b"\0\x05\0\0enough\0"] {
            asker.say(stray, from);
        }
        get(server.address(), "file", Offer::DEFAULT).came(&file);
        assert_eq!(asker.heard(), Vec::<Vec<u8>>::new(), "{port}");
    }
}

/// As long as UDP has them, as a request, at the port of a transfer, and as a block of an upload.
#[test]
fn datagrams_that_are_too_long_hurt_nothing() {
    let (folder, file) = place(600);
    for port in ["", "--single-port"] {
        let server = start(Model::Epoll, folder.path(), &format!("--allow-write {port}"));
        let long = vec![7; 65_507];
        let begin_with = |head: &[u8]| [head, &long[head.len()..]].concat();
        let asker = Asker::of(server.address());
        asker.ask(&long);
        asker.ask(&begin_with(b"\0\x01file\0octet\0"));
        asker.ask(&request(1, "file", "octet", "blksize=512"));
        let (answer, from) = asker.hear();
        assert_eq!(answer, b"\0\x06blksize\x00512\0");
        for head in [&ack(0)[..], &data(1, b""), b"\0\x09"] {
            asker.say(&begin_with(head), from);
        }
        asker.say(&ack(0), from);
        while asker.hear().0 != data(1, &file[..512]) {}
        let asker = Asker::of(server.address());
        asker.ask(&request(2, "new", "octet", "blksize=512"));
        let (_, from) = asker.hear();
        asker.say(&begin_with(&data(1, b"")), from);
        while asker.hear().0[..4] != [0, 5, 0, 8] {}
        assert!(!folder.path().join("new").exists());
        get(server.address(), "file", Offer::DEFAULT).came(&file);
    }
}

#[test]
fn acks_of_blocks_that_never_left_and_a_peer_that_goes_away_at_any_step_hurt_no_other() {
    let (folder, file) = place(5000);
    let server = start(Model::Epoll, folder.path(), "");
    for step in 0..4 {
        let asker = Asker::of(server.address());
        asker.ask(&request(1, "file", "octet", "blksize=512 windowsize=2"));
        let (_, from) = asker.hear();
        for ahead in [9, 0x8000, 0xffff] {
            asker.say(&ack(ahead), from);
        }
        for block in 0..step {
            asker.say(&ack(block), from);
            let _ = asker.hear();
        }
        let own = asker.own();
        drop(asker);
        // The kernel answers the next datagram with an error: the place is free at once.
        server.logs(&format!("not sent peer={own}"));
    }
    get(server.address(), "file", Offer::DEFAULT).came(&file);
}

#[test]
fn ten_thousand_addresses_that_never_answer_cost_bounded_memory_and_no_other_client() {
    let (folder, file) = place(300_000);
    let server = start(Model::Epoll, folder.path(), "");
    get(server.address(), "file", Offer::DEFAULT).came(&file);
    let before = server.private_memory();
    let ask = request(1, "file", "octet", "blksize=65464 windowsize=65535 tsize=0");
    let to = server.address().trim_start_matches("udp:").to_owned();
    for nth in 0..10_000_u32 {
        let [.., high, low] = nth.to_be_bytes();
        // Gone when the answer comes.
        let socket = UdpSocket::bind((format!("127.77.{high}.{low}"), 0)).expect("bind");
        let _ = socket.send_to(&ask, &to);
    }
    get(server.address(), "file", Offer::DEFAULT).came(&file);
    let grown = server.private_memory().saturating_sub(before);
    assert!(grown < 20_000_000, "{grown} bytes more");
}

#[test]
fn sixteen_requests_with_the_largest_options_cost_less_than_a_mebibyte() {
    let (folder, file) = place(70_000_000);
    let server = start(Model::Epoll, folder.path(), "");
    get(server.address(), "file", Offer::DEFAULT).came(&file);
    let before = server.private_memory();
    let askers: Vec<_> = (0..16).map(|_| Asker::of(server.address())).collect();
    for asker in &askers {
        asker.ask(&request(1, "file", "octet", "blksize=65464 windowsize=65535"));
        let (_, from) = asker.hear();
        asker.say(&ack(0), from);
        let _ = asker.hear();
    }
    let grown = server.private_memory().saturating_sub(before);
    assert!(grown < 1 << 20, "{grown} bytes more");
}

models!(nothing_is_visible_until_it_is_whole: fork Fork, thread_pool ThreadPool, epoll Epoll, reactor Reactor,
    pool_static PoolStatic, prefork Prefork);

fn nothing_is_visible_until_it_is_whole(model: Model) {
    let (folder, _) = place(1);
    let server = start(model, folder.path(), "--allow-write");
    let asker = Asker::of(server.address());
    asker.ask(&request(2, "new", "octet", "tsize=515"));
    let (answer, from) = asker.hear();
    assert_eq!(answer, b"\0\x06tsize\x00515\0");
    asker.say(&data(1, &[7; 512]), from);
    assert_eq!(asker.hear_after(&answer), ack(1));
    assert!(!folder.path().join("new").exists());
    // A block again is acknowledged again or ignored; it is not stored twice.
    asker.say(&data(1, &[8; 512]), from);
    asker.say(&data(2, b"end"), from);
    while asker.hear().0 != ack(2) {}
    let kept = fs::read(folder.path().join("new")).expect("it is there");
    assert_eq!(kept, [&[7; 512][..], b"end"].concat());
    // One that is given up leaves nothing.
    let asker = Asker::of(server.address());
    asker.ask(&request(2, "half", "octet", "blksize=512"));
    let (answer, from) = asker.hear();
    asker.say(&data(1, &[7; 512]), from);
    assert_eq!(asker.hear_after(&answer), ack(1));
    asker.say(b"\0\x05\0\x03no room\0", from);
    server.logs("not received");
    let listed = || fs::read_dir(folder.path()).expect("a folder").count();
    within(PATIENCE, "the part is gone", || listed() == 2);
    // One with another size than was said.
    let asker = Asker::of(server.address());
    asker.ask(&request(2, "short", "octet", "tsize=600"));
    let (answer, from) = asker.hear();
    asker.say(&data(1, b"too short"), from);
    assert_eq!(asker.hear_after(&answer)[..4], [0, 5, 0, 0]);
    within(PATIENCE, "the part is gone", || listed() == 2);
}

#[test]
fn a_file_is_replaced_only_where_that_is_allowed() {
    let (folder, _) = place(1);
    let server = start(Model::Epoll, folder.path(), "--allow-write --overwrite");
    let asker = Asker::of(server.address());
    asker.ask(&request(2, "file", "octet", ""));
    let (_, from) = asker.hear();
    asker.say(&data(1, b"newer"), from);
    while asker.hear().0 != ack(1) {}
    assert_eq!(fs::read(folder.path().join("file")).expect("a file"), b"newer");
    // Text travels with CR LF, also where that is cut.
    let asker = Asker::of(server.address());
    asker.ask(&request(2, "text", "netascii", "blksize=8"));
    let (_, from) = asker.hear();
    asker.say(&data(1, b"a\r\nbcd\0\r"), from);
    while asker.hear().0 != ack(1) {}
    asker.say(&data(2, b"\nx\r\0"), from);
    while asker.hear().0 != ack(2) {}
    assert_eq!(fs::read(folder.path().join("text")).expect("a file"), b"a\nbcd\0\nx\r");
}

#[test]
fn a_text_is_sent_with_cr_lf_and_its_size_is_that_of_what_travels() {
    let (folder, _) = place(1);
    fs::write(folder.path().join("text"), b"abcdefg\nx\r").expect("write");
    let server = start(Model::Epoll, folder.path(), "");
    let asker = Asker::of(server.address());
    asker.ask(&request(1, "text", "netascii", "blksize=8 tsize=0"));
    let (answer, from) = asker.hear();
    assert_eq!(answer, b"\0\x06tsize\x0012\0blksize\x008\0");
    asker.say(&ack(0), from);
    while asker.hear().0 != data(1, b"abcdefg\r") {}
    asker.say(&ack(1), from);
    while asker.hear().0 != data(2, b"\nx\r\0") {}
}

#[test]
fn a_window_fits_into_half_of_a_receive_buffer() {
    let (folder, _) = place(1);
    let server = start(Model::Epoll, folder.path(), "--max-blksize 8192");
    for (options, granted) in [
        ("blksize=1428 windowsize=64", "blksize\x001428\0windowsize\x0064\0"),
        ("blksize=65464 windowsize=64", "blksize\x008192\0windowsize\x0013\0"),
        ("windowsize=65535", "windowsize\x0064\0"),
    ] {
        let asker = Asker::of(server.address());
        asker.ask(&request(1, "file", "octet", options));
        assert_eq!(asker.hear().0, [b"\0\x06", granted.as_bytes()].concat());
    }
}

/// What a client sends has to fit into half of the buffer that the socket really has.
#[test]
fn the_window_of_an_upload_fits_into_the_socket_of_the_server() {
    let (folder, _) = place(1);
    let socket = UdpSocket::bind("127.0.0.1:0").expect("bind");
    setsockopt(&socket, sockopt::RcvBuf, &10_000).expect("set");
    let room = getsockopt(&socket, sockopt::RcvBuf).expect("get");
    let args = format!("--root {} --allow-write --single-port", folder.path().display());
    let server = serve!("tftp", Model::Epoll).inherit(socket).args(&args).start();
    let asker = Asker::of(server.address());
    asker.ask(&request(2, "new", "octet", "blksize=1428 windowsize=64"));
    let granted = format!("blksize\x001428\0windowsize\0{}\0", room / 2 / 1428);
    assert_eq!(asker.hear().0, [b"\0\x06", granted.as_bytes()].concat());
}

#[test]
fn a_server_that_stops_tells_its_clients_and_one_that_waits_for_them_sends_to_the_end() {
    let (folder, file) = place(1000);
    let server = start(Model::Epoll, folder.path(), "");
    let asker = Asker::of(server.address());
    asker.ask(&request(1, "file", "octet", ""));
    let (_, from) = asker.hear();
    server.signal(nix::sys::signal::Signal::SIGTERM);
    server.logs("stopping");
    asker.say(&ack(1), from);
    while asker.hear().0 != data(2, &file[512..]) {}
    asker.say(&ack(2), from);
    assert_eq!(server.wait().code, Some(0));

    let server = start(Model::Epoll, folder.path(), "--grace 0");
    let asker = Asker::of(server.address());
    asker.ask(&request(1, "file", "octet", ""));
    let _ = asker.hear();
    server.signal(nix::sys::signal::Signal::SIGTERM);
    while asker.hear().0[..4] != [0, 5, 0, 0] {}
    assert_eq!(server.wait().code, Some(0));
}
