//! A line server on the event loop: it answers each line in capitals, counts the lines of all clients, prints
//! the count every second, and ends on SIGTERM or SIGINT.

use std::io;
use std::time::Duration;

use windlass::reactor::{Buffered, Context, EventLoop, Incoming, StreamEvent};
use windlass::sys::{Signal, listener::Listener};

/// What all callbacks of the loop share.
#[derive(Default)]
struct Server {
    lines: u64,
}

fn main() -> io::Result<()> {
    let mut events = EventLoop::new()?;
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        events.signal(signal, |_, cx, _| cx.exit())?;
    }
    events.every(Duration::from_secs(1), |server: &mut Server, _| {
        println!("{} lines", server.lines);
    });
    let address = std::env::args().nth(1).unwrap_or("tcp:127.0.0.1:0".to_owned());
    let listener = Listener::bind(&address.parse()?, 128)?;
    println!("listening {}", listener.address());
    events.listen(listener, 10_000, |_, cx, incoming| accept(cx, incoming))?;
    let mut server = Server::default();
    events.run(&mut server)?;
    println!("{} lines in all", server.lines);
    Ok(())
}

/// At most this many bytes of a line are kept.
const LINE_MAX: usize = 1024;

fn accept(cx: &mut Context<Server>, incoming: Incoming) {
    let Incoming::Client(stream) = incoming else { return };
    let client = cx.buffered(stream, |client, server, _, event| answer(client, server, event));
    // Without room in the kernel to watch it, the stream is closed.
    if let Ok(client) = client
        && let Some(client) = cx.stream(client)
    {
        client.set_timeouts(Some(Duration::from_secs(60)), Some(Duration::from_secs(60)));
    }
}

fn answer(client: &mut Buffered, server: &mut Server, event: StreamEvent) {
    match event {
        StreamEvent::Input => {
            while let Some(end) = client.input().iter().position(|&byte| byte == b'\n') {
                server.lines += 1;
                client.reply(end + 1, <[u8]>::make_ascii_uppercase);
            }
            if client.input().len() > LINE_MAX {
                client.close();
            }
        }
        // What is not sent yet is sent before the connection closes.
        StreamEvent::Eof | StreamEvent::TimedOut(_) => client.close(),
        StreamEvent::Connected | StreamEvent::Drained | StreamEvent::Failed(_) => {}
    }
}
