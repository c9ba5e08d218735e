//! Scattered bytes leave in one call: `writev(2)`, gather output (seeds N2 iovec, row 7).
//!
//! A header and a body need not be copied together, nor written with two calls (which, on TCP, may
//! make two packets and a wait between them).
//!
//! Pitfall: a gather write can be short like any other, and end in the middle of any of its parts.
//! What is left has to be gathered anew; sending the whole again, or going on with the next part,
//! corrupts the stream.

use std::error::Error;
use std::io::{self, ErrorKind, IoSlice, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;

use windlass::reactor::{EventLoop, StreamEvent, Watch};

/// Parts on their way.
struct Gather {
    parts: [Vec<u8>; 3],
    /// Bytes of them that went, counted over all parts.
    sent: usize,
    writes: u32,
}

impl Gather {
    fn len(&self) -> usize {
        self.parts.iter().map(Vec::len).sum()
    }

    /// Writes until all is out (`true`), or there is no room.
    fn write(&mut self, to: &mut impl Write) -> io::Result<bool> {
        while self.sent < self.len() {
            let mut slices = self.parts.each_ref().map(|part| IoSlice::new(part));
            let mut left = &mut slices[..];
            // Whole parts fall away, and the one where the last write stopped is cut.
            IoSlice::advance_slices(&mut left, self.sent);
            match to.write_vectored(left) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => {
                    self.writes += 1;
                    self.sent += count;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let line = [b"hello".to_vec(), b"world".to_vec(), b"\n".to_vec()];
    Gather { parts: line, sent: 0, writes: 0 }.write(&mut io::stdout().lock())?;

    // A frame: the length, the bytes, and a mark behind them; far more than the socket takes at once.
    let body = b"0123456789abcdef".repeat(1 << 20);
    let parts = [u32::try_from(body.len())?.to_be_bytes().to_vec(), body, b"end".to_vec()];
    let expected = parts.concat();
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let to = TcpStream::connect(listener.local_addr()?)?;
    let (from, _) = listener.accept()?;
    to.set_nonblocking(true)?;

    let mut events = EventLoop::new()?;
    let mut gather = Gather { parts, sent: 0, writes: 0 };
    // Watched for room while there is something to write, and no longer: room is there most of the
    // time, and would be reported in every round.
    events.add(to, Watch::WRITE, move |to, _, cx, _| match gather.write(to) {
        Ok(false) => {}
        Ok(true) => {
            let (sent, writes) = (gather.sent, gather.writes);
            println!("{sent} bytes in {writes} writes, {} of them short", writes - 1);
            cx.remove(cx.current());
        }
        Err(error) => {
            println!("write: {error}");
            cx.remove(cx.current());
        }
    })?;
    events.buffered(OwnedFd::from(from), |from, came: &mut Vec<u8>, _, event| {
        came.extend_from_slice(from.input());
        from.consume(usize::MAX);
        if event == StreamEvent::Eof {
            from.close();
        }
    })?;
    let mut came = Vec::new();
    events.run(&mut came)?;
    println!("as they were sent: {}", came == expected);
    Ok(())
}
