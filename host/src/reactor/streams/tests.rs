//! Buffered streams as their users see them: what is told, what is kept, what is asked from outside.
//!
//! The peers are in the same thread, so that each step of a conversation is one the test made.

use std::fs::File;
use std::io::{Read, Seek, Write, pipe};
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use super::*;
use crate::reactor::tests::{
    Desk, End, Peer, frozen, ms, named, note, noted, pass, pump, round, secs, stream_pair,
    streaming, text, until,
};
use crate::reactor::{EventLoop, Watch};
use crate::sys::Errno;

fn start() -> (EventLoop<Desk>, Desk, Token, Peer) {
    streaming(|io, desk, _, event| note(io, desk, event))
}

#[test]
fn data_and_its_end_that_come_together_are_both_told_once() {
    for say in [&b""[..], b"abc"] {
        let (mut events, mut desk, token, mut peer) = start();
        peer.say(say);
        peer.finish();
        pump(&mut events, &mut desk);
        let news = desk.news();
        assert_eq!(news.len(), 1 + usize::from(!say.is_empty()), "{news:?}");
        assert_eq!(news.last().unwrap(), "Eof");
        // It stays, to answer.
        events.stream(token).unwrap().write(b"answer");
        pump(&mut events, &mut desk);
        assert_eq!(peer.hear(), (b"answer".to_vec(), End::Open));
        events.stream(token).unwrap().shutdown_write();
        pump(&mut events, &mut desk);
        assert_eq!((desk.news(), peer.hear().1), (vec!["Drained".to_owned()], End::Eof));
    }
}

#[test]
fn after_our_end_the_peer_is_still_heard() {
    let (mut events, mut desk, token, mut peer) = start();
    let io = events.stream(token).unwrap();
    io.write(b"bye");
    io.shutdown_write();
    io.write(b" lost");
    pump(&mut events, &mut desk);
    assert_eq!(peer.hear(), (b"bye".to_vec(), End::Eof));
    peer.say(b"still here");
    pump(&mut events, &mut desk);
    peer.finish();
    pump(&mut events, &mut desk);
    assert_eq!(desk.log, ["Drained", "Input still here", "Eof"]);
    assert_eq!(events.streams(), 1, "until it is closed");
    assert!(events.remove(token) && events.streams() == 0);
}

#[test]
fn what_a_callback_leaves_is_there_the_next_time_and_told_with_more() {
    let (mut events, mut desk, token, mut peer) = streaming(|io, desk, _, event| {
        desk.note(format!("{event:?} {}", String::from_utf8_lossy(io.input())));
        io.consume(1);
    });
    for (say, told) in [("abc", "Input abc"), ("de", "Input bcde"), ("f", "Input cdef")] {
        peer.say(say.as_bytes());
        pump(&mut events, &mut desk);
        assert_eq!(desk.news(), [told]);
    }
    let io = events.stream(token).unwrap();
    assert_eq!(io.input(), b"def");
    // Reading again tells what was left.
    io.set_reading(false);
    io.set_reading(true);
    pump(&mut events, &mut desk);
    assert_eq!(desk.news(), ["Input def"]);
    peer.finish();
    pump(&mut events, &mut desk);
    assert_eq!(desk.news(), ["Eof ef"]);
}

#[test]
fn a_stream_that_does_not_read_leaves_input_to_the_kernel() {
    let (mut events, mut desk, token, mut peer) = start();
    events.stream(token).unwrap().set_reading(false);
    peer.say(b"abc");
    peer.finish();
    pump(&mut events, &mut desk);
    assert_eq!((desk.log.len(), events.stream(token).unwrap().input()), (0, &b""[..]));
    events.stream(token).unwrap().set_reading(true);
    pump(&mut events, &mut desk);
    assert_eq!(desk.log, ["Input abc", "Eof"]);
}

#[test]
fn reading_can_be_stopped_by_the_call_and_begun_by_another() {
    let (mut events, mut desk, token, mut peer) = streaming(|io, desk, _, event| {
        desk.note(format!("{event:?} {}", String::from_utf8_lossy(io.input())));
        io.consume(2);
        io.set_reading(false);
    });
    let (_other, mut tap) = named(&mut events, "tap", Watch::READ);
    peer.say(b"abcde");
    pump(&mut events, &mut desk);
    peer.say(b"fg");
    for told in ["Input abcde", "Input cde", "Input e", "Input fg"] {
        pump(&mut events, &mut desk);
        assert_eq!(desk.news(), [told]);
        events.defer(move |_, cx| cx.stream(token).unwrap().set_reading(true));
    }
    tap.say(b"x");
    pump(&mut events, &mut desk);
    assert_eq!(desk.news(), ["tap"], "nothing is left to tell of");
}

#[test]
fn input_is_told_from_the_low_watermark_on_and_read_up_to_the_high_one() {
    let (mut events, mut desk, token, mut peer) =
        streaming(|io, desk, _, _| desk.note(text(io.input().len())));
    events.stream(token).unwrap().set_read_watermarks(5, 10);
    for (say, told) in [("abcd", None), ("e", Some("5")), ("fghij", Some("10")), ("klm", None)] {
        peer.say(say.as_bytes());
        pump(&mut events, &mut desk);
        assert_eq!(desk.news().first().map(String::as_str), told, "{say}");
    }
    let io = events.stream(token).unwrap();
    assert_eq!(io.input(), b"abcdefghij", "the rest waits in the kernel");
    io.consume(9);
    pump(&mut events, &mut desk);
    assert_eq!((desk.news().len(), events.stream(token).unwrap().input()), (0, &b"jklm"[..]));
    // Below the low watermark the end is told, and what came before it is there.
    peer.finish();
    pump(&mut events, &mut desk);
    assert_eq!(
        (desk.news(), events.stream(token).unwrap().input()),
        (vec!["4".into()], &b"jklm"[..])
    );
}

#[test]
fn drained_is_told_at_the_low_watermark_and_full_from_the_high_one() {
    let (mut events, mut desk, token, mut peer) = start();
    let big = vec![7; 1 << 20];
    let io = events.stream(token).unwrap();
    io.set_write_watermarks(100, 1000);
    io.write(&big[..999]);
    assert!(!io.is_full());
    io.write(&big[..1]);
    assert!(io.is_full());
    io.write(&big);
    pump(&mut events, &mut desk);
    assert_eq!(desk.news().len(), 0, "the socket is full");
    // A peer that is not heard cannot be told of.
    peer.say(b"hello?");
    pump(&mut events, &mut desk);
    assert_eq!(desk.news().len(), 0);
    let mut got = 0;
    while desk.log.is_empty() {
        got += peer.heard().len();
        pump(&mut events, &mut desk);
    }
    assert_eq!(desk.news(), ["Drained", "Input hello?"]);
    assert!(events.stream(token).unwrap().unsent() <= 100);
    got += peer.heard().len();
    pump(&mut events, &mut desk);
    assert_eq!(got + peer.heard().len(), big.len() + 1000);
}

#[test]
fn a_stream_may_remove_itself_whatever_it_is_told() {
    for when in ["Input", "Drained", "Eof", "TimedOut(Read)", "TimedOut(Write)", "Failed(EPIPE)"] {
        let (mut events, mut desk, token, mut peer) = streaming(move |io, desk, cx, event| {
            io.consume(usize::MAX);
            if text(event) == when {
                desk.note("removed");
                assert!(cx.remove(cx.current()));
                io.write(b"into nowhere");
                io.close();
            } else if event == StreamEvent::Input {
                io.write(&vec![0; 1 << 19]);
            }
        });
        events.stream(token).unwrap().set_timeouts(Some(secs(2)), Some(secs(1)));
        pump(&mut events, &mut desk);
        match when {
            "Eof" => peer.finish(),
            "TimedOut(Read)" => {}
            _ => peer.say(b"x"),
        }
        pump(&mut events, &mut desk);
        match when {
            "Drained" => {
                while peer.heard().len() + events.streams() > 1 || desk.log.is_empty() {
                    pump(&mut events, &mut desk);
                }
            }
            "Failed(EPIPE)" => drop(peer),
            _ => pass(secs(2)),
        }
        events.run(&mut desk).unwrap();
        assert_eq!((desk.log, events.streams()), (vec!["removed".to_owned()], 0), "{when}");
    }
}

#[test]
fn inside_its_own_call_a_stream_is_not_found_and_another_is() {
    let (mut events, mut desk) = (frozen(), Desk::default());
    let (a, mut peer_a) = stream_pair();
    let (b, mut peer_b) = stream_pair();
    let b = noted(&mut events, b);
    events
        .buffered(a, move |io, _: &mut Desk, cx, event| {
            assert!(cx.stream(cx.current()).is_none());
            if event == StreamEvent::Input {
                let all = io.input().to_vec();
                cx.stream(b).unwrap().write(&all);
                io.consume(all.len());
            }
        })
        .unwrap();
    peer_a.say(b"through");
    pump(&mut events, &mut desk);
    assert_eq!((peer_b.heard(), desk.news()), (b"through".to_vec(), vec!["Drained".to_owned()]));
}

#[test]
fn a_file_is_read_to_its_end_which_is_told_once() {
    let mut file = tempfile::tempfile().unwrap();
    let content: Vec<u8> = (0..300_000_u32).flat_map(u32::to_ne_bytes).collect();
    file.write_all(&content).unwrap();
    file.rewind().unwrap();
    let (mut events, mut read) = (frozen(), (Vec::new(), 0));
    events
        .buffered(OwnedFd::from(file), |io, (all, ends): &mut (Vec<u8>, u32), _, event| match event
        {
            StreamEvent::Input => {
                all.extend_from_slice(io.input());
                io.consume(usize::MAX);
            }
            event => {
                assert_eq!(event, StreamEvent::Eof);
                *ends += 1;
            }
        })
        .unwrap();
    // It ends by itself: a file at its end cannot be waited for.
    events.run(&mut read).unwrap();
    assert!(read.0 == content);
    assert_eq!((read.1, events.streams()), (1, 1));
    assert!(events.stats().rounds < 100, "{:?}", events.stats());
}

#[test]
fn nothing_comes_from_dev_null_and_everything_goes_there() {
    let null = File::options().read(true).write(true).open("/dev/null").unwrap();
    let (mut events, mut desk) = (frozen(), Desk::default());
    let token = noted(&mut events, OwnedFd::from(null));
    pump(&mut events, &mut desk);
    assert_eq!(desk.news(), ["Eof"]);
    events.stream(token).unwrap().write(&vec![1; 1 << 20]);
    events.run(&mut desk).unwrap();
    assert_eq!(desk.news(), ["Drained"]);
    events.stream(token).unwrap().close();
    events.run(&mut desk).unwrap();
    assert_eq!((desk.log.len(), events.streams()), (0, 0));
}

#[test]
fn a_pipe_without_a_reader_fails() {
    let (reader, writer) = pipe().unwrap();
    let (mut events, mut desk) = (frozen(), Desk::default());
    let token = noted(&mut events, OwnedFd::from(writer));
    // It cannot be read from.
    events.stream(token).unwrap().set_reading(false);
    events.stream(token).unwrap().write(b"abc");
    pump(&mut events, &mut desk);
    assert_eq!(desk.news(), ["Drained"]);
    drop(reader);
    pump(&mut events, &mut desk);
    assert_eq!(desk.news().len(), 0, "nothing is owed to it");
    events.stream(token).unwrap().write(b"def");
    events.run(&mut desk).unwrap();
    assert_eq!((desk.news(), events.streams()), (vec!["Failed(EPIPE)".to_owned()], 0));
}

#[test]
fn a_connection_is_told_of_and_what_was_written_before_goes_first() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let (mut events, mut desk) = (frozen(), Desk::default());
    let address = listener.local_addr().unwrap();
    let token = events.connect(address, Some(secs(10)), |io, desk: &mut Desk, _, event| {
        if event == StreamEvent::Connected {
            io.write(b"second ");
        }
        note(io, desk, event);
    });
    let token = token.unwrap();
    events.stream(token).unwrap().write(b"first ");
    until(&mut events, &mut desk, |_, desk| desk.count("Drained") > 0);
    assert_eq!(desk.news(), ["Connected", "Drained"]);
    let (mut client, _) = listener.accept().unwrap();
    let io = events.stream(token).unwrap();
    io.write(b"third");
    io.shutdown_write();
    until(&mut events, &mut desk, |_, desk| desk.count("Drained") > 0);
    let mut all = String::new();
    client.read_to_string(&mut all).unwrap();
    assert_eq!(all, "first second third");
    drop(client);
    until(&mut events, &mut desk, |_, desk| desk.count("Eof") > 0);
}

#[test]
fn a_connection_that_is_refused_fails_and_is_gone() {
    let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let (mut events, mut desk) = (frozen(), Desk::default());
    let call = |io: &mut _, desk: &mut Desk, _: &mut _, event| note(io, desk, event);
    match events.connect(address, None, call) {
        // Some kernels know at once.
        Err(error) => assert!(error.to_string().contains("refused"), "{error}"),
        Ok(token) => {
            events.stream(token).unwrap().write(b"hello");
            events.run(&mut desk).unwrap();
            assert_eq!(desk.news(), [text(StreamEvent::Failed(Errno::ECONNREFUSED))]);
        }
    }
    assert_eq!(events.streams(), 0);
}

#[test]
fn a_stream_that_is_closed_before_it_connects_tells_nothing() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    for write in [&b""[..], b"hello"] {
        let (mut events, mut desk) = (frozen(), Desk::default());
        let address = listener.local_addr().unwrap();
        let call = |io: &mut _, desk: &mut Desk, _: &mut _, event| note(io, desk, event);
        let token = events.connect(address, Some(ms(1)), call).unwrap();
        let io = events.stream(token).unwrap();
        io.write(write);
        io.close();
        until(&mut events, &mut desk, |events, _| events.streams() == 0);
        let (mut all, mut client) = (Vec::new(), listener.accept().unwrap().0);
        let heard = client.read_to_end(&mut all);
        assert!(heard.is_err() || all == write, "{heard:?}");
        assert_eq!((desk.log.len(), round(&mut events, &mut desk)), (0, 0));
    }
}

#[test]
fn a_relay_reads_also_while_its_output_waits() {
    for two_way in [false, true] {
        let (mut events, mut desk) = (frozen(), Desk::default());
        let (ours, mut peer) = UnixStream::pair().unwrap();
        let call = |io: &mut _, desk: &mut Desk, _: &mut _, event| note(io, desk, event);
        let token = events.buffered(ours, call).unwrap();
        let io = events.stream(token).unwrap();
        io.set_two_way(two_way);
        io.write(&vec![7; 8 << 20]);
        round(&mut events, &mut desk);
        assert!(events.stream(token).unwrap().is_full());
        peer.write_all(b"question").unwrap();
        round(&mut events, &mut desk);
        assert_eq!(!desk.log.is_empty(), two_way, "{:?}", desk.log);
    }
}

#[test]
fn watermarks_may_be_as_high_as_numbers_are() {
    for (low, high) in [(usize::MAX, 0), (usize::MAX, usize::MAX), (0, usize::MAX), (0, 0)] {
        let (mut events, mut desk, token, mut peer) = start();
        let io = events.stream(token).unwrap();
        io.set_write_watermarks(low, high);
        io.write(b"hello");
        pump(&mut events, &mut desk);
        assert_eq!(
            (peer.heard(), events.contains(token)),
            (b"hello".to_vec(), true),
            "{low} {high}"
        );
    }
}

#[test]
fn output_that_is_kept_goes_out_when_it_may() {
    let (mut events, mut desk, token, mut peer) = start();
    let io = events.stream(token).unwrap();
    io.set_timeouts(None, Some(ms(10)));
    io.set_writing(false);
    io.write(b"kept");
    pass(ms(20));
    pump(&mut events, &mut desk);
    assert_eq!((peer.heard(), desk.news()), (Vec::new(), Vec::new()), "it does not time out");
    events.stream(token).unwrap().set_writing(true);
    pump(&mut events, &mut desk);
    assert_eq!(peer.heard(), b"kept");
    assert_eq!(desk.news(), ["Drained"]);
}
