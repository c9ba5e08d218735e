//! Buffered streams from connection to end: real peers in threads of their own, megabytes, resets,
//! FIFOs.
//!
//! A peer writes and reads in pieces of random size from a fixed seed, so that chunks fall anywhere.

use std::cell::Cell;
use std::fs::File;
use std::io::{Read, Write, pipe};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use nix::sys::socket::{Backlog, setsockopt, sockopt};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use windlass::reactor::{Buffered, Context, EventLoop, StreamEvent, Watch};
use windlass::sys::fifo;
use windlass_tests::{PATIENCE, Random};

const SIZE: usize = 4 << 20;

type Log = Vec<String>;

/// Echoes, and closes when the peer is done.
fn echo(io: &mut Buffered, log: &mut Log, _: &mut Context<Log>, event: StreamEvent) {
    match event {
        StreamEvent::Input => {
            let all = io.input().to_vec();
            io.write(&all);
            io.consume(all.len());
        }
        StreamEvent::Eof => io.close(),
        StreamEvent::Drained => {}
        other => log.push(format!("{other:?}")),
    }
}

fn send_in_pieces(to: &mut impl Write, bytes: &[u8], seed: u64) {
    let (mut random, mut rest) = (Random::new(seed), bytes);
    while !rest.is_empty() {
        let size = random.up_to(100_000).min(rest.len());
        to.write_all(&rest[..size]).expect("sent");
        rest = &rest[size..];
    }
}

fn read_in_pieces(from: &mut impl Read, seed: u64) -> Vec<u8> {
    let (mut random, mut all, mut piece) = (Random::new(seed), Vec::new(), vec![0; 100_000]);
    loop {
        let size = random.up_to(piece.len());
        match from.read(&mut piece[..size]).expect("received") {
            0 => return all,
            count => all.extend_from_slice(&piece[..count]),
        }
    }
}

fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bound");
    let peer = TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
    peer.set_read_timeout(Some(PATIENCE)).expect("setsockopt");
    peer.set_write_timeout(Some(PATIENCE)).expect("setsockopt");
    (listener.accept().expect("a client").0, peer)
}

#[test]
fn four_megabytes_come_back_as_they_went() {
    let (unix, unix_peer) = std::os::unix::net::UnixStream::pair().expect("a pair");
    let (tcp, tcp_peer) = tcp_pair();
    let pairs: [(OwnedFd, OwnedFd); 2] =
        [(unix.into(), unix_peer.into()), (tcp.into(), tcp_peer.into())];
    for (seed, (ours, peer)) in (1..).zip(pairs) {
        let mut events = EventLoop::new().expect("a loop");
        let sent = Random::new(seed).bytes(SIZE);
        events.buffered(ours, echo).expect("watched");
        let mut log = Log::new();
        let received = thread::scope(|scope| {
            // Any stream socket can be taken for a TCP one by code that only reads and writes.
            let mut writer = TcpStream::from(peer);
            let mut reader = writer.try_clone().expect("dup");
            let reading = scope.spawn(move || read_in_pieces(&mut reader, seed + 10));
            let sent = &sent;
            scope.spawn(move || {
                send_in_pieces(&mut writer, sent, seed + 20);
                writer.shutdown(Shutdown::Write).expect("half-closed");
            });
            events.run(&mut log).expect("a run");
            reading.join().expect("the reader")
        });
        assert!(received == sent, "{} of {}", received.len(), sent.len());
        assert_eq!(log.len(), 0);
    }
}

#[test]
fn four_megabytes_pass_through_pipes() {
    let (reader, mut feed) = pipe().expect("a pipe");
    let (mut sink, writer) = pipe().expect("a pipe");
    let mut events = EventLoop::new().expect("a loop");
    let out = events.buffered(OwnedFd::from(writer), |_, log: &mut Log, _, event| {
        if event != StreamEvent::Drained {
            log.push(format!("out {event:?}"));
        }
    });
    let out = out.expect("watched");
    events.stream(out).expect("it is there").set_reading(false);
    let call = move |io: &mut Buffered, log: &mut Log, cx: &mut Context<Log>, event| match event {
        StreamEvent::Input => {
            cx.stream(out).expect("it is there").write(io.input());
            io.consume(usize::MAX);
        }
        StreamEvent::Eof => {
            cx.stream(out).expect("it is there").close();
            io.close();
        }
        other => log.push(format!("in {other:?}")),
    };
    events.buffered(OwnedFd::from(reader), call).expect("watched");
    let sent = Random::new(5).bytes(SIZE);
    let mut log = Log::new();
    let received = thread::scope(|scope| {
        let reading = scope.spawn(move || read_in_pieces(&mut sink, 6));
        let sent = &sent;
        scope.spawn(move || send_in_pieces(&mut feed, sent, 7));
        events.run(&mut log).expect("a run");
        reading.join().expect("the reader")
    });
    assert!(received == sent, "{} of {}", received.len(), sent.len());
    assert_eq!(log.len(), 0);
}

#[test]
fn a_peer_that_sends_all_half_closes_and_only_then_reads_gets_it_all() {
    let (ours, mut peer) = tcp_pair();
    let mut events = EventLoop::new().expect("a loop");
    // It takes all in and answers at the end.
    let mut kept = Vec::new();
    let call = move |io: &mut Buffered, log: &mut Log, _: &mut Context<Log>, event| match event {
        StreamEvent::Input => {
            kept.extend_from_slice(io.input());
            io.consume(usize::MAX);
        }
        StreamEvent::Eof => {
            log.push("Eof".to_owned());
            io.write(&kept);
            io.shutdown_write();
        }
        StreamEvent::Drained => {
            assert_eq!(io.unsent(), 0);
            log.push("Drained".to_owned());
            io.close();
        }
        other => log.push(format!("{other:?}")),
    };
    events.buffered(OwnedFd::from(ours), call).expect("watched");
    let sent = Random::new(8).bytes(SIZE);
    let mut log = Log::new();
    let received = thread::scope(|scope| {
        let sent = &sent;
        let talking = scope.spawn(move || {
            send_in_pieces(&mut peer, sent, 9);
            peer.shutdown(Shutdown::Write).expect("half-closed");
            read_in_pieces(&mut peer, 10)
        });
        events.run(&mut log).expect("a run");
        talking.join().expect("the peer")
    });
    assert!(received == sent, "{} of {}", received.len(), sent.len());
    assert_eq!(log, ["Eof", "Drained"]);
}

#[test]
fn a_reset_in_the_middle_is_told_after_what_came_before_it() {
    let (ours, mut peer) = tcp_pair();
    let mut events = EventLoop::new().expect("a loop");
    let call = |io: &mut Buffered, log: &mut Log, _: &mut Context<Log>, event| {
        log.push(format!("{event:?} {}", String::from_utf8_lossy(io.input())));
        io.consume(usize::MAX);
    };
    events.buffered(OwnedFd::from(ours), call).expect("watched");
    peer.write_all(b"last words").expect("sent");
    let mut log = Log::new();
    events.run_once(&mut log, Some(PATIENCE)).expect("a round");
    assert_eq!(log, ["Input last words"]);
    peer.write_all(b"and more").expect("sent");
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    setsockopt(&peer, sockopt::Linger, &linger).expect("setsockopt");
    drop(peer);
    events.run(&mut log).expect("a run");
    assert_eq!(log[1..], ["Input and more", "Failed(ECONNRESET) "]);
    assert_eq!(events.streams(), 0);
}

#[test]
fn a_connection_that_is_never_answered_is_given_up() {
    // A listener with a full queue drops the next client.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bound");
    nix::sys::socket::listen(&listener.as_fd(), Backlog::new(0).expect("small")).expect("listen");
    let address = listener.local_addr().expect("bound");
    let mut events = EventLoop::new().expect("a loop");
    let mut log = Log::new();
    for _ in 0..8 {
        let call = |io: &mut Buffered, log: &mut Log, _: &mut Context<Log>, event| {
            log.push(format!("{event:?}"));
            if event == StreamEvent::Connected {
                // It is in the queue and stays there.
                io.set_reading(false);
            }
        };
        let token = events.connect(address, Some(Duration::from_millis(80)), call);
        events.stream(token.expect("begun")).expect("it is there").write(b"hello?");
    }
    events.after(PATIENCE, |_, cx| cx.exit());
    while log.iter().filter(|it| *it == "Connected" || *it == "Failed(ETIMEDOUT)").count() < 8 {
        events.run_once(&mut log, None).expect("a round");
    }
    let refused = log.iter().filter(|it| *it == "Failed(ETIMEDOUT)").count();
    assert!(refused >= 6, "{log:?}");
    assert_eq!(events.streams(), 8 - refused);
}

#[test]
fn a_producer_of_ten_megabytes_starves_no_other_and_loses_nothing() {
    const MEGABYTES: usize = 10;
    let (ours, mut peer) = tcp_pair();
    let mut events = EventLoop::new().expect("a loop");
    let (content, mut sent) = (Random::new(11).bytes(MEGABYTES << 20), 0);
    let expected = content.clone();
    let most = Rc::new(Cell::new(0));
    let seen = Rc::clone(&most);
    let call = move |io: &mut Buffered, log: &mut Log, _: &mut Context<Log>, event| match event {
        StreamEvent::Drained => {
            while !io.is_full() && sent < content.len() {
                let now = (content.len() - sent).min(50_000);
                io.write(&content[sent..sent + now]);
                sent += now;
            }
            seen.set(seen.get().max(io.unsent()));
            if sent == content.len() {
                io.close();
            }
        }
        other => log.push(format!("{other:?}")),
    };
    let token = events.buffered(OwnedFd::from(ours), call).expect("watched");
    // A stream that owes nothing has nothing to tell: the first piece is written from outside.
    events.stream(token).expect("it is there").write(&expected[..1]);
    let ticks = Rc::new(Cell::new(0_u32));
    let ticking = Rc::clone(&ticks);
    let tick = events.every(Duration::from_micros(100), move |_, cx| {
        ticking.set(ticking.get() + 1);
        if cx.streams() == 0 {
            cx.remove(cx.current());
        }
    });
    let mut log = Log::new();
    let received = thread::scope(|scope| {
        let reading = scope.spawn(move || read_in_pieces(&mut peer, 12));
        events.run(&mut log).expect("a run");
        reading.join().expect("the reader")
    });
    assert!(received[..1] == expected[..1] && received[1..] == expected[..], "{}", received.len());
    assert!(most.get() <= (256 << 10) + 50_000, "{} bytes in memory", most.get());
    assert!(ticks.get() > 0 && !events.contains(tick) && log.is_empty(), "{log:?}");
}

#[test]
fn a_fifo_is_waited_for_while_its_writer_is_away() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("fifo");
    mkfifo(&path, Mode::from_bits_truncate(0o600)).expect("mkfifo");
    let mut events = EventLoop::new().expect("a loop");
    let reader = fifo::open_reader(&path).expect("opened");
    let token = events.buffered(reader, |io, log: &mut Log, _, event| match event {
        StreamEvent::Input => {
            log.push(String::from_utf8_lossy(io.input()).into_owned());
            io.consume(usize::MAX);
        }
        StreamEvent::Eof => {
            log.push("Eof".to_owned());
            io.read_on();
        }
        other => log.push(format!("{other:?}")),
    });
    let token = token.expect("watched");
    // The loop looks at it before there is a writer: that is no end.
    events.stream(token).expect("it is there").set_timeouts(None, None);
    let mut log = Log::new();
    let quiet = |events: &mut EventLoop<Log>, log: &mut Log| {
        let before = events.stats().rounds;
        events.after(Duration::from_millis(20), |_, cx| cx.exit());
        events.run(log).expect("a run");
        let rounds = events.stats().rounds - before;
        assert!(rounds <= 10, "{rounds} rounds with no writer");
    };
    quiet(&mut events, &mut log);
    assert_eq!(log.len(), 0);
    for word in ["first", "second", "third"] {
        let mut writer = File::options().write(true).open(&path).expect("there is a reader");
        writer.write_all(word.as_bytes()).expect("sent");
        drop(writer);
        quiet(&mut events, &mut log);
        assert_eq!(std::mem::take(&mut log), [word, "Eof"]);
    }
}

#[test]
fn a_fifo_that_is_watched_by_edges_does_not_spin_either() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("fifo");
    mkfifo(&path, Mode::from_bits_truncate(0o600)).expect("mkfifo");
    let mut events = EventLoop::new().expect("a loop");
    let reader = fifo::open_reader(&path).expect("opened");
    let call = |io: &mut windlass::sys::stream::Stream, log: &mut Log, _: &mut _, _| {
        let mut bytes = [0; 64];
        while let Ok(read) = io.recv(&mut bytes) {
            log.push(format!("{read:?}"));
            if !log.last().is_some_and(|text| text.starts_with("Moved")) {
                break;
            }
        }
    };
    events.add(reader, Watch::READ.edge(), call).expect("watched");
    let mut log = Log::new();
    for _ in 0..3 {
        let mut writer = File::options().write(true).open(&path).expect("there is a reader");
        writer.write_all(b"abc").expect("sent");
        drop(writer);
        let before = events.stats().rounds;
        events.after(Duration::from_millis(20), |_, cx| cx.exit());
        events.run(&mut log).expect("a run");
        let rounds = events.stats().rounds - before;
        assert!(rounds <= 10, "{rounds} rounds with no writer");
        assert_eq!(std::mem::take(&mut log), ["Moved(3)", "Eof"]);
    }
}

#[test]
fn a_flood_from_a_thread_starves_no_source() {
    let (ours, mut peer) = tcp_pair();
    let (meek, mut meek_peer) = tcp_pair();
    let mut events = EventLoop::new().expect("a loop");
    let flood = events.buffered(OwnedFd::from(ours), |io, _: &mut Log, _, _| {
        io.consume(usize::MAX);
    });
    let flood = flood.expect("watched");
    events.buffered(OwnedFd::from(meek), echo).expect("watched");
    let remote = events.remote().expect("an eventfd");
    let (over, told) = mpsc::channel::<()>();
    let flooding = thread::spawn(move || {
        let piece = vec![1; 1 << 20];
        // Until the loop closes it.
        while peer.write_all(&piece).is_ok() {}
        drop(over);
    });
    let talking = thread::spawn(move || {
        for number in 0..200_u8 {
            meek_peer.write_all(&[number]).expect("sent");
            let mut reply = [0];
            meek_peer.read_exact(&mut reply).expect("its turn comes");
            assert_eq!(reply, [number]);
        }
        remote.call(move |_, cx| assert!(cx.remove(flood)));
    });
    let mut log = Log::new();
    events.run(&mut log).expect("a run");
    talking.join().expect("the meek one");
    flooding.join().expect("the loud one");
    assert!(told.recv().is_err() && log.is_empty());
}
