//! Sessions on the event loop, beside whatever else the program does.

use std::io;
use std::time::Duration;

use windlass::reactor::{EventLoop, Incoming};
use windlass::sys::{Signal, listener::Listener};
use windlass_outside::Sum;

fn main() -> io::Result<()> {
    let mut events = EventLoop::new()?;
    events.signal(Signal::SIGTERM, |(), cx, _| cx.exit())?;
    events.every(Duration::from_secs(1), |(), cx| println!("{} clients", cx.connections()));
    events.set_idle_timeout(Some(Duration::from_secs(60)));
    let listener = Listener::bind(&"tcp:127.0.0.1:0".parse()?, 128)?;
    println!("listening {}", listener.address());
    events.listen(listener, 10_000, |(), cx, incoming| {
        if let Incoming::Client(stream) = incoming {
            // Without room in the kernel to watch it, the stream is closed.
            let _ = cx.serve(stream, Box::new(Sum::new()));
        }
    })?;
    Ok(events.run(&mut ())?)
}
