//! Prints how far a periodic timer of 10 ms has drifted after 100 ticks of 3 ms of work, on
//! Windlass' event loop, as `drift_libevent` does.

use std::error::Error;
use std::time::{Duration, Instant};

use windlass::reactor::EventLoop;

fn main() -> Result<(), Box<dyn Error>> {
    let mut events = EventLoop::new()?;
    let start = Instant::now();
    events.every(Duration::from_millis(10), |(ticks, last): &mut (u32, Instant), cx| {
        *last = Instant::now();
        *ticks += 1;
        if *ticks == 100 {
            cx.exit();
        }
        while last.elapsed() < Duration::from_millis(3) {}
    });
    let mut state = (0, start);
    events.run(&mut state)?;
    println!("{}", state.1.duration_since(start).as_micros().cast_signed() - 1_000_000);
    Ok(())
}
