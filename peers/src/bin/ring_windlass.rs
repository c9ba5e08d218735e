//! The ring of `ring_libevent` on Windlass' event loop: the same arguments, the same lines.
//!
//! Of PIPES pairs, each with a source that reads, ACTIVE get a byte to start with. A pair that reads a
//! byte writes one to the next pair, WRITES times in all. Printed for each of RUNS runs, after one
//! that warms up and is not: nanoseconds per event. Before each run every source is removed and
//! added again, outside the measured time, unless the fifth argument is `register-once`.

use std::error::Error;
use std::io::Write as _;
use std::time::{Duration, Instant};

use windlass::reactor::{EventLoop, Token, Watch};
use windlass::sys::process::raise_nofile;
use windlass::sys::stream::Stream;

/// The state that the callbacks share.
struct Ring {
    writers: Vec<Stream>,
    writes: usize,
    fired: usize,
    reads: usize,
}

impl Ring {
    fn fire(&mut self, index: usize) {
        let sent = self.writers[index].send([b"e", &[]]);
        assert!(sent.is_ok(), "send: {sent:?}");
        self.fired += 1;
    }
}

fn watch(events: &mut EventLoop<Ring>, reader: Stream, index: usize) -> Result<Token, Box<dyn Error>> {
    let token = events.add(reader, Watch::READ, move |reader, ring: &mut Ring, _, _| {
        let mut byte = [0];
        let read = reader.recv(&mut byte);
        assert!(read.is_ok(), "recv: {read:?}");
        ring.reads += 1;
        if ring.writes > 0 {
            ring.writes -= 1;
            let next = index + 1;
            ring.fire(if next < ring.writers.len() { next } else { 0 });
        }
    })?;
    Ok(token)
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let numbers: Vec<usize> = args.iter().filter_map(|arg| arg.parse().ok()).collect();
    let &[pipes, active, writes, runs] = &numbers[..] else {
        return Err("usage: ring_windlass PIPES ACTIVE WRITES RUNS [register-once]".into());
    };
    let again = args.len() == 4;
    raise_nofile();
    let mut events = EventLoop::new()?;
    let mut ring = Ring { writers: Vec::new(), writes: 0, fired: 0, reads: 0 };
    let mut tokens = Vec::new();
    for index in 0..pipes {
        let (reader, writer) = Stream::pair()?;
        ring.writers.push(writer);
        tokens.push(watch(&mut events, reader, index)?);
    }
    for round in 0..=runs {
        if again {
            for &token in &tokens {
                events.disarm(token);
                events.arm(token)?;
            }
        }
        events.run_once(&mut ring, Some(Duration::ZERO))?;
        (ring.fired, ring.reads, ring.writes) = (0, 0, writes);
        for index in 0..active {
            ring.fire(index * pipes / active);
        }
        let begin = Instant::now();
        while ring.reads < ring.fired {
            events.run_once(&mut ring, Some(Duration::ZERO))?;
        }
        if round > 0 {
            println!("{:.1}", begin.elapsed().as_nanos() as f64 / ring.reads as f64);
            std::io::stdout().flush()?;
        }
    }
    Ok(())
}
