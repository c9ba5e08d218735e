//! The last writer of a FIFO leaves, and returns (seeds N1 4.3, row 30).
//!
//! Pitfall: once the last writer has left, a FIFO is at its end, and readable, for ever: a loop
//! that asks whether it can be read spins (3,632 empty messages in half a second were seen). A
//! program that closes it there and opens it again loses what a quick writer left meanwhile, since
//! no process had it open. Here the kernel tells of changes only, the stream stays open, and
//! `Buffered::read_on` says that an end is not the end. (A program that does not need the end opens the
//! FIFO for writing too.)
//!
//! Second pitfall: a FIFO keeps no messages apart. Two of them may come with one read, and one with
//! two.

use std::error::Error;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use windlass::reactor::{EventLoop, StreamEvent};
use windlass::sys::fifo;

/// What the writers bring; each comes and leaves.
const WRITERS: [&str; 3] = ["hello\0", "hello again\0and again\0", "goodbye\0"];

#[derive(Default)]
struct Reader {
    messages: Vec<String>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("testfifo");
    fifo::make(&path)?;
    let mut events = EventLoop::new()?;
    events.buffered(fifo::open_reader(&path)?, |fifo, reader: &mut Reader, _, event| {
        while let Some(end) = fifo.input().iter().position(|&byte| byte == 0) {
            let message = String::from_utf8_lossy(&fifo.input()[..end]).into_owned();
            fifo.consume(end + 1);
            println!("read {message:?}");
            reader.messages.push(message);
        }
        if event == StreamEvent::Eof {
            // This program ends with the fourth message, where another goes on for ever.
            if reader.messages.len() < 4 {
                fifo.read_on();
            } else {
                fifo.close();
            }
        }
    })?;

    // A writer every 20 ms: between them the other end is not open.
    let mut writers = WRITERS.iter();
    events.every(Duration::from_millis(20), move |_, cx| match writers.next() {
        Some(text) => {
            if let Err(error) = write(&path, text) {
                println!("write: {error}");
            }
        }
        None => {
            cx.remove(cx.current());
        }
    });
    let mut reader = Reader::default();
    events.run(&mut reader)?;
    println!("messages: {:?}", reader.messages);
    println!("rounds of the loop: {}", events.stats().rounds);
    Ok(())
}

/// A writer: opens, writes, leaves. There is a reader, so the open does not wait.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    File::options().write(true).open(path)?.write_all(text.as_bytes())
}
