//! A server on a listener and buffered streams, and its client in the same loop: the shape of
//! `evconnlistener` and `bufferevent` (seeds N1 4.4, rows 31 and 32).
//!
//! Pitfall: TCP has no messages. A server that answers once a callback gives three messages that came
//! with one read one answer, and one message that came in two reads two. So the input is looked
//! through for what ends a message, here LF, and what is not whole stays where it is.
//!
//! Second pitfall: a peer may never send that LF. No more is read than the high watermark says, so
//! memory is bounded; but then nothing can come any more, and such a client has to be sent away.

use std::error::Error;

use windlass::reactor::{Buffered, EventLoop, Incoming, StreamEvent};
use windlass::sys::listener::Listener;

/// The longest line.
const LINE_MAX: usize = 1024;

#[derive(Default)]
struct Server {
    /// Messages of all clients.
    messages: usize,
}

/// The length of the first line, with its LF, if it is whole.
fn line(stream: &Buffered) -> Option<usize> {
    stream.input().iter().position(|&byte| byte == b'\n').map(|end| end + 1)
}

/// What the server does with a client: every line in capitals, numbered.
fn answer(client: &mut Buffered, server: &mut Server, event: StreamEvent) {
    match event {
        StreamEvent::Input => {
            while let Some(len) = line(client) {
                server.messages += 1;
                client.write(format!("{}: ", server.messages).as_bytes());
                client.reply(len, <[u8]>::make_ascii_uppercase);
            }
            if client.input().len() > LINE_MAX {
                client.close();
            }
        }
        // The client has said all it will; what it is still to hear goes out first.
        StreamEvent::Eof => client.close(),
        // A failed stream is removed after this call. There are no timeouts here.
        _ => {}
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut events = EventLoop::new()?;
    let listener = Listener::bind(&"tcp:127.0.0.1:0".parse()?, 36)?;
    let address = listener.address().socket_addr().ok_or("a TCP address")?;
    let listener = events.listen(listener, 1000, |_, cx, incoming| {
        if let Incoming::Client(stream) = incoming {
            // It fails where the kernel has no room to watch it, and then the stream is closed.
            let _ = cx.buffered(stream, |client, server, _, event| answer(client, server, event));
        }
    })?;

    events.connect(address, None, move |stream, _, cx, event| match event {
        // Three messages in one piece, and the beginning of a fourth.
        StreamEvent::Connected => stream.write(b"one\ntwo\nthree\nfo"),
        StreamEvent::Input => {
            while let Some(len) = line(stream) {
                print!("{}", String::from_utf8_lossy(&stream.input()[..len]));
                if stream.input().starts_with(b"3") {
                    stream.write(b"ur\n");
                    stream.shutdown_write();
                }
                stream.consume(len);
            }
        }
        StreamEvent::Eof => {
            stream.close();
            cx.remove(listener);
        }
        StreamEvent::Failed(errno) => println!("client: {errno}"),
        StreamEvent::Drained | StreamEvent::TimedOut(_) => {}
    })?;
    let mut server = Server::default();
    events.run(&mut server)?;
    println!("messages: {}", server.messages);
    Ok(())
}
