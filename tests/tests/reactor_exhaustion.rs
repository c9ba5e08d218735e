//! A listener when descriptors run out: it reports that once, does not spin, and serves every
//! client later.
//!
//! Alone in its binary: it lowers the limit of this process. The clients are in its queue before.

use std::fs::File;
use std::io::{Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use windlass::addr::Address;
use windlass::reactor::{Context, EventLoop, Incoming, StreamEvent};
use windlass::sys::listener::Listener;
use windlass_tests::{PATIENCE, unique};

#[derive(Default)]
struct Door {
    clients: usize,
    exhausted: usize,
    late: bool,
}

fn let_in(door: &mut Door, cx: &mut Context<Door>, incoming: Incoming) {
    let Incoming::Client(stream) = incoming else {
        door.exhausted += 1;
        return;
    };
    door.clients += 1;
    let call = |io: &mut windlass::reactor::Buffered, _: &mut Door, _: &mut _, event| match event {
        StreamEvent::Input => {
            let all = io.input().to_vec();
            io.write(&all);
            io.consume(all.len());
        }
        StreamEvent::Eof => io.close(),
        _ => {}
    };
    cx.buffered(stream, call).expect("watched");
}

fn limit(soft: u64) {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("getrlimit");
    setrlimit(Resource::RLIMIT_NOFILE, soft.min(hard), hard).expect("setrlimit");
}

/// Leaves room for `count` descriptors above the highest that is open.
fn leave_room_for(count: u64) -> Vec<File> {
    let open = std::fs::read_dir("/proc/self/fd").expect("/proc");
    let numbers = open.flatten().filter_map(|it| it.file_name().to_str()?.parse::<u64>().ok());
    let highest = numbers.max().expect("there are some");
    let mut fill = Vec::new();
    limit(highest + 1);
    while let Ok(file) = File::open("/dev/null") {
        fill.push(file);
    }
    limit(highest + 1 + count);
    fill
}

/// Runs for so long; how many rounds it took.
fn run_for(events: &mut EventLoop<Door>, door: &mut Door, ms: u64) -> u64 {
    let before = events.stats().rounds;
    events.after(Duration::from_millis(ms), |_, cx| cx.exit());
    events.run(door).expect("a run");
    events.stats().rounds - before
}

/// Runs until so many clients were let in.
fn run_until(events: &mut EventLoop<Door>, door: &mut Door, clients: usize) {
    let guard = events.after(PATIENCE, |door: &mut Door, _| door.late = true);
    while door.clients < clients {
        events.run_once(door, None).expect("a round");
        assert!(!door.late, "{} of {clients}", door.clients);
    }
    events.remove(guard);
}

#[test]
fn it_is_told_once_rests_and_goes_on_when_something_is_closed() {
    let name = unique("exhaustion");
    let listener = Listener::bind(&Address::UnixAbstract(name.clone()), 256).expect("bound");
    let address = SocketAddr::from_abstract_name(name).expect("a name");
    let connect = || UnixStream::connect_addr(&address).expect("in the queue");
    let (mut events, mut door) = (EventLoop::new().expect("a loop"), Door::default());
    events.listen(listener, usize::MAX, let_in).expect("watched");
    let mut clients: Vec<_> = (0..60).map(|_| connect()).collect();
    let spare = File::open("/dev/null").expect("opened");
    let fill = leave_room_for(20);

    // For as long as nothing is closed: one word of it, ten tries a second.
    let rounds = run_for(&mut events, &mut door, 350);
    assert_eq!((door.clients, door.exhausted), (20, 1));
    assert!(rounds <= 20, "{rounds} rounds of waiting");

    // Ten go. Both ends were this process's, so twenty come, and it is the same episode.
    clients.drain(..10);
    run_until(&mut events, &mut door, 40);
    run_for(&mut events, &mut door, 20);
    assert_eq!((door.clients, door.exhausted), (40, 1));

    // What the loop does not see closed is found within 100 ms.
    drop(spare);
    run_until(&mut events, &mut door, 41);
    assert_eq!(door.exhausted, 1);

    // There is room again: every client is accepted, and every client is served.
    limit(u64::MAX);
    run_until(&mut events, &mut door, 60);
    run_for(&mut events, &mut door, 20);
    assert_eq!(door.exhausted, 1);
    for client in &mut clients {
        client.write_all(b"hello").expect("sent");
    }
    run_for(&mut events, &mut door, 20);
    for client in &mut clients {
        client.set_read_timeout(Some(PATIENCE)).expect("setsockopt");
        let mut bytes = [0; 5];
        client.read_exact(&mut bytes).expect("an echo");
        assert_eq!(&bytes, b"hello");
    }

    // The next time is told again.
    let more: Vec<_> = (0..5).map(|_| connect()).collect();
    drop(fill);
    let fill = leave_room_for(2);
    let rounds = run_for(&mut events, &mut door, 150);
    assert_eq!((door.clients, door.exhausted), (62, 2));
    assert!(rounds <= 20, "{rounds} rounds of waiting");
    drop((fill, more));
    limit(u64::MAX);
}
