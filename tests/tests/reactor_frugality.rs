//! In the steady state a loop allocates nothing for descriptors, timers, echoed bytes and extended
//! deadlines.
//!
//! The peer is in the same thread, which counts what it asks of the allocator. What a loop keeps for
//! later it has after a few hundred rounds.

use std::cell::Cell;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use nix::sys::signal::raise;
use windlass::reactor::{EventLoop, StreamEvent, Watch};
use windlass::server::{Offer, Service};
use windlass::sys::Signal;
use windlass::sys::stream::Stream;
use windlass_tests::Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    // A thread that ends has no cell any more, and what it does then is not counted.
    let _ = ALLOCATIONS.try_with(|all| all.set(all.get() + 1));
}

#[global_allocator]
static COUNTING: Counting = Counting(count);

/// Calls made so far.
type Calls = u64;

/// Does `act` and what is due after it, again and again; allocations after the warm-up. Each act is
/// to cause `each` calls at least.
#[track_caller]
fn frugal(mut events: EventLoop<Calls>, each: Calls, mut act: impl FnMut(&mut EventLoop<Calls>)) {
    const WARM: u32 = 300;
    const MEASURED: u32 = 2000;
    let (mut calls, mut before) = (0, 0);
    for number in 0..WARM + MEASURED {
        if number == WARM {
            assert!(ALLOCATIONS.get() > 0, "the allocator does not count");
            before = ALLOCATIONS.get();
        }
        let due = calls + each;
        act(&mut events);
        while calls < due {
            events.run_once(&mut calls, None).expect("a round");
        }
    }
    let allocations = ALLOCATIONS.get() - before;
    assert_eq!(allocations, 0, "in {MEASURED} steps, {calls} calls");
}

fn sockets(events: &mut EventLoop<Calls>, watch: Watch) -> Vec<UnixStream> {
    let one = |_| {
        let (io, peer) = UnixStream::pair().expect("a pair");
        io.set_nonblocking(true).expect("fcntl");
        let call = |io: &mut UnixStream, calls: &mut Calls, cx: &mut _, _| {
            let cx: &mut windlass::reactor::Context<Calls> = cx;
            let mut bytes = [0; 64];
            while let Ok(1..) = io.read(&mut bytes) {}
            *calls += 1;
            cx.touch(cx.current());
        };
        events.add(io, watch, call).expect("watched");
        peer
    };
    (0..20).map(one).collect()
}

#[test]
fn descriptors_level_and_edge_with_timeouts_that_are_touched() {
    for watch in [Watch::READ, Watch::READ.edge(), Watch::BOTH.edge()] {
        let mut events = EventLoop::new().expect("a loop");
        let mut peers = sockets(&mut events, watch.timeout(Duration::from_secs(60)));
        frugal(events, 20, |_| peers.iter_mut().for_each(|it| it.write_all(b"x").expect("sent")));
    }
}

#[test]
fn descriptors_that_are_armed_each_time() {
    let mut events = EventLoop::new().expect("a loop");
    let (io, mut peer) = UnixStream::pair().expect("a pair");
    let call =
        |io: &mut UnixStream, calls: &mut Calls, cx: &mut windlass::reactor::Context<_>, _| {
            assert!(io.read(&mut [0; 8]).is_ok());
            *calls += 1;
            cx.disarm(cx.current());
        };
    let token = events.add(io, Watch::READ.once(), call).expect("watched");
    frugal(events, 1, |events| {
        peer.write_all(b"x").expect("sent");
        events.arm(token).expect("it is there");
    });
}

#[test]
fn timers_that_are_armed_put_off_and_cancelled() {
    let mut events = EventLoop::new().expect("a loop");
    let rings: Vec<_> = (0..20).map(|_| events.timer(|calls: &mut Calls, _| *calls += 1)).collect();
    let far: Vec<_> = (0..200).map(|_| events.timer(|_, _| {})).collect();
    let mut step = 0;
    frugal(events, 20, |events| {
        step += 1;
        for &timer in &rings {
            events.arm_after(timer, Duration::from_micros(1));
        }
        for &timer in &far {
            // Later, and earlier, and not at all.
            events.arm_after(timer, Duration::from_secs(3600 + step * 7919 % 1000));
            if step % 3 == 0 {
                events.disarm(timer);
            }
        }
    });
}

#[test]
fn periodic_timers() {
    let mut events = EventLoop::new().expect("a loop");
    for period in 1..=20 {
        events.every(Duration::from_micros(period), |calls: &mut Calls, _| *calls += 1);
    }
    // All of them are due in the first round, so the queue for it has room for all from then on. Later
    // that depends on how busy the machine is.
    let before = windlass::sys::clock::now();
    while windlass::sys::clock::now().since(before) <= 20 {}
    frugal(events, 20, |_| {});
}

#[test]
fn buffered_echoes_of_any_size() {
    let mut events = EventLoop::new().expect("a loop");
    let mut peers: Vec<_> = (0..20)
        .map(|_| {
            let (io, peer) = UnixStream::pair().expect("a pair");
            let token = events.buffered(OwnedFd::from(io), |io, calls: &mut Calls, _, event| {
                if event == StreamEvent::Input {
                    // In two pieces, with one byte that is left for the next time.
                    let all = copied(io.input());
                    io.write(&all.0[..all.1 - 1]);
                    io.write(&all.0[all.1 - 1..all.1]);
                    io.consume(all.1);
                    *calls += 1;
                }
            });
            let io = events.stream(token.expect("watched")).expect("it is there");
            io.set_timeouts(Some(Duration::from_secs(60)), Some(Duration::from_secs(60)));
            peer
        })
        .collect();
    let (message, mut reply) = (vec![7; 10_000], vec![0; 10_000]);
    let mut step = 0;
    frugal(events, 0, |events| {
        step += 1;
        let size = step * 6007 % message.len() + 1;
        for peer in &mut peers {
            peer.write_all(&message[..size]).expect("sent");
        }
        let mut calls = 0;
        while calls < 20 {
            events.run_once(&mut calls, None).expect("a round");
        }
        for peer in &mut peers {
            peer.read_exact(&mut reply[..size]).expect("an echo");
        }
    });
}

/// A copy on the stack.
fn copied(bytes: &[u8]) -> ([u8; 10_000], usize) {
    let mut copy = [0; 10_000];
    copy[..bytes.len()].copy_from_slice(bytes);
    (copy, bytes.len())
}

#[test]
fn a_stream_that_is_full_and_drains_again_and_again() {
    let mut events = EventLoop::new().expect("a loop");
    let (io, mut peer) = UnixStream::pair().expect("a pair");
    peer.set_nonblocking(true).expect("fcntl");
    let token = events.buffered(OwnedFd::from(io), |_, calls: &mut Calls, _, event| {
        assert_eq!(event, StreamEvent::Drained);
        *calls += 1;
    });
    let token = token.expect("watched");
    let (message, mut sink) = (vec![7; 400_000], vec![0; 64 * 1024]);
    let mut calls = 0;
    frugal(events, 0, |events| {
        let due = calls + 1;
        events.stream(token).expect("it is there").write(&message);
        while calls < due {
            events.run_once(&mut calls, Some(Duration::ZERO)).expect("a round");
            while let Ok(1..) = peer.read(&mut sink) {}
        }
    });
}

#[test]
fn deferred_calls_that_hold_nothing_and_activations() {
    let mut events = EventLoop::new().expect("a loop");
    let (io, _peer) = UnixStream::pair().expect("a pair");
    let call = |_: &mut UnixStream, calls: &mut Calls, _: &mut _, _| *calls += 1;
    let token = events.add(io, Watch::READ, call).expect("watched");
    frugal(events, 2, |events| {
        events.activate(token);
        events.defer(|calls, _| *calls += 1);
    });
}

#[test]
fn a_signal_in_each_round() {
    let mut events = EventLoop::new().expect("a loop");
    for _ in 0..2 {
        let call = |calls: &mut Calls, _: &mut _, _| *calls += 1;
        events.signal(Signal::SIGUSR1, call).expect("it can be caught");
    }
    // To this thread alone: the others do not block it.
    frugal(events, 2, |_| raise(Signal::SIGUSR1).expect("sent"));
}

#[test]
fn wakes_by_a_remote() {
    let mut events = EventLoop::new().expect("a loop");
    let remote = events.remote().expect("an eventfd");
    frugal(events, 0, |events| {
        remote.wake();
        // It would wait for ever.
        assert_eq!(events.run_once(&mut 0, None).expect("a round"), 0);
    });
}

#[test]
fn sessions_that_are_served() {
    let mut events = EventLoop::new().expect("a loop");
    events.set_idle_timeout(Some(Duration::from_secs(60)));
    let mut peers: Vec<_> = (0..20)
        .map(|number| {
            let (io, peer) = UnixStream::pair().expect("a pair");
            let service = if number % 2 == 0 { Service::Echo } else { Service::Upper };
            let stream = Stream::from(OwnedFd::from(io));
            events.serve(stream, Offer::from(service).session()).expect("watched");
            peer.set_nonblocking(true).expect("fcntl");
            peer
        })
        .collect();
    let (message, mut reply) = (vec![7; 10_000], vec![0; 10_000]);
    let mut step = 0;
    frugal(events, 0, |events| {
        step += 1;
        let size = step * 6007 % message.len() + 1;
        for peer in &mut peers {
            peer.write_all(&message[..size]).expect("sent");
        }
        for peer in &mut peers {
            let mut got = 0;
            while got < size {
                match peer.read(&mut reply[got..size]) {
                    Ok(0) => panic!("an end"),
                    Ok(count) => got += count,
                    Err(_) => _ = events.run_once(&mut 0, None).expect("a round"),
                }
            }
        }
    });
}
