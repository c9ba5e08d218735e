//! A chat on the event loop: each line of a client goes to all others. SIGTERM or SIGINT ends it when all clients
//! have what was written to them.

use std::io;
use std::time::Duration;

use windlass::reactor::{Buffered, Context, EventLoop, Incoming, StreamEvent, Token};
use windlass::sys::{Signal, listener::Listener};

/// The longest line, in bytes.
const LINE_MAX: usize = 1024;

#[derive(Default)]
struct Chat {
    clients: Vec<Token>,
    /// The listener, the timer and the signals: while one of them is there, the loop runs.
    sources: Vec<Token>,
}

fn main() -> io::Result<()> {
    let mut events = EventLoop::new()?;
    let listener = Listener::bind(&"tcp:127.0.0.1:0".parse()?, 128)?;
    println!("listening {}", listener.address());
    let mut sources = vec![
        events.listen(listener, 10_000, accept)?,
        events.every(Duration::from_secs(60), |chat: &mut Chat, _| {
            println!("{} clients", chat.clients.len());
        }),
    ];
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        sources.push(events.signal(signal, |chat, cx, _| chat.stop(cx))?);
    }
    let mut chat = Chat { sources, ..Chat::default() };
    Ok(events.run(&mut chat)?)
}

fn accept(chat: &mut Chat, cx: &mut Context<Chat>, incoming: Incoming) {
    let Incoming::Client(stream) = incoming else { return };
    if let Ok(client) = cx.buffered(stream, hear)
        && let Some(stream) = cx.stream(client)
    {
        // The second one also limits how long a close waits for a client that takes nothing.
        stream.set_timeouts(Some(Duration::from_secs(3600)), Some(Duration::from_secs(5)));
        chat.clients.push(client);
    }
}

fn hear(client: &mut Buffered, chat: &mut Chat, cx: &mut Context<Chat>, event: StreamEvent) {
    match event {
        StreamEvent::Input => {
            while let Some(end) = client.input().iter().position(|&byte| byte == b'\n') {
                chat.tell_others(cx, &client.input()[..=end]);
                client.consume(end + 1);
            }
            if client.input().len() > LINE_MAX {
                client.close();
            }
        }
        StreamEvent::Eof | StreamEvent::TimedOut(_) => client.close(),
        StreamEvent::Connected | StreamEvent::Drained | StreamEvent::Failed(_) => {}
    }
}

impl Chat {
    /// Writes a line to all clients except the one that is being called.
    fn tell_others(&mut self, cx: &mut Context<Self>, line: &[u8]) {
        let sender = cx.current();
        self.clients.retain(|&client| {
            // The stream that is being called is not found, nor is one that is closed.
            let Some(stream) = cx.stream(client) else { return client == sender };
            if stream.is_full() {
                // It takes less than the others write: it must not fill the memory.
                stream.close();
                return false;
            }
            stream.write(line);
            true
        });
    }

    /// Takes no more clients, and closes those that are there when their output is written. Then no event can come
    /// any more, and `run` returns.
    fn stop(&mut self, cx: &mut Context<Self>) {
        for source in self.sources.drain(..) {
            cx.remove(source);
        }
        for client in self.clients.drain(..) {
            if let Some(stream) = cx.stream(client) {
                stream.write(b"* the server ends\n");
                stream.close();
            }
        }
    }
}
