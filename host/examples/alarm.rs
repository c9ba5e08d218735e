//! What `alarm(2)` and SIGALRM were for: a deadline on a slow read, and work at regular times (seeds
//! N3 ch. 10).
//!
//! Pitfalls: there is one alarm in a process. Its handler interrupts whatever runs, which has to cope
//! with `EINTR`, and an alarm that comes a moment before the `read` it was to interrupt interrupts
//! nothing: the read waits for ever. A timeout that each byte starts anew is no deadline: a client
//! that sends one byte a second never meets it. And a timer that is set again after each call drifts
//! by the length of the calls.

use std::error::Error;
use std::time::Duration;

use windlass::reactor::{Event, EventLoop, Watch};
use windlass::sys::clock;
use windlass::sys::stream::Stream;

const MS: Duration = Duration::from_millis(1);

fn main() -> Result<(), Box<dyn Error>> {
    deadline()?;
    ticks()
}

/// A peer that drips, and a reader that has patience with each byte, but not for ever.
fn deadline() -> Result<(), Box<dyn Error>> {
    let (peer, stream) = Stream::pair()?;
    let mut events = EventLoop::new()?;
    let drip = events.every(10 * MS, move |_, _| {
        // The socket has room for far more than this.
        let _ = peer.send([b".", &[]]);
    });
    let patience = Watch::READ.timeout(10_000 * MS);
    let reader = events.add(stream, patience, |stream, bytes: &mut usize, _, event| {
        let mut piece = [0; 64];
        match event {
            Event::TimedOut => println!("it was silent for too long"),
            Event::Ready(_) => match stream.recv(&mut piece) {
                Ok(windlass_core::stream::Read::Moved(count)) => *bytes += count.get(),
                other => println!("{other:?}"),
            },
        }
    })?;
    // The deadline of the whole request: another timer, one of as many as one likes.
    events.after(100 * MS, move |bytes, cx| {
        println!("the deadline cut it off, {bytes} bytes had come");
        cx.remove(reader);
        // Nothing is left that could happen, so the loop ends.
        cx.remove(drip);
    });
    events.run(&mut 0)?;
    Ok(())
}

/// Ten times each 10 ms, with work that takes 3: as multiples of the period, and the naive way.
fn ticks() -> Result<(), Box<dyn Error>> {
    let mut events = EventLoop::new()?;
    let start = clock::now();
    let token = events.every(10 * MS, |ticks: &mut u32, cx| {
        work();
        *ticks += 1;
        if *ticks == 10 {
            cx.exit();
        }
    });
    let first = events.deadline(token).unwrap_or(start);
    events.run(&mut 0)?;
    let next = events.deadline(token).unwrap_or(start);
    println!("every: the next tick is {} us off its time", next.since(first) % 10_000);
    println!("every: ten ticks took {} ms", clock::now().since(start) / 1000);
    events.remove(token);

    let start = clock::now();
    let naive = events.timer(|ticks: &mut u32, cx| {
        work();
        *ticks += 1;
        if *ticks < 10 {
            // 10 ms from the end of the work, not from when it was due.
            let at = clock::now().after(10_000);
            cx.arm_at(cx.current(), at);
        }
    });
    events.arm_after(naive, 10 * MS);
    events.run(&mut 0)?;
    println!("set again after each call: they took {} ms", clock::now().since(start) / 1000);
    Ok(())
}

/// Keeps the processor, and so the loop, for 3 ms.
fn work() {
    let end = clock::now().after(3_000);
    while clock::now() < end {}
}
