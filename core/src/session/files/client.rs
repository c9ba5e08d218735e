//! The client's end as a session, for a shell that runs sessions and nothing else.

use super::{Digest, Fed, Head, REQUEST_MAX, Receiver};
use crate::fault::{Fault, Peer};
use crate::session::{Out, Session, Took};
use crate::time::Instant;
use crate::want::{Close, Want};

/// Where a file goes as it comes. What fails ends the session with that fault.
pub trait Sink {
    /// There is such a file. A server that does not know of offsets sends all of it.
    ///
    /// # Errors
    /// It is not wanted like this: it is too large, say.
    fn begin(&mut self, head: Head<'_>) -> Result<(), Fault>;

    /// The next bytes of it.
    ///
    /// # Errors
    /// They could not be kept.
    fn body(&mut self, bytes: &[u8]) -> Result<(), Fault>;

    /// It is whole, and this is the server's digest of it, if that was asked for and is known.
    ///
    /// # Errors
    /// The digest is another one.
    fn end(&mut self, digest: Option<Digest>) -> Result<(), Fault>;

    /// There is none: the server's reason.
    fn refused(&mut self, why: &[u8]);
}

/// Asks for a file, and hands it to a [`Sink`].
#[derive(Debug, Clone)]
pub struct FilesClient<'r, K, const N: usize = REQUEST_MAX> {
    /// What is left of the request.
    request: &'r [u8],
    receiver: Receiver<N>,
    sink: K,
    close: Close,
}

impl<'r, K: Sink, const N: usize> FilesClient<'r, K, N> {
    /// Will send `request`, as a [`Request`](super::Request) rendered it; nothing, to a server that
    /// pushes.
    pub const fn new(request: &'r [u8], sink: K) -> Self {
        Self { request, receiver: Receiver::new(), sink, close: Close::Open }
    }

    /// What the file went to.
    pub fn into_sink(self) -> K {
        self.sink
    }

    /// Takes input. How much of it is left.
    fn take(&mut self, mut input: &[u8]) -> Result<usize, Fault> {
        while !self.close.is_done() {
            match self.receiver.feed(input)? {
                Fed::More => return Ok(0),
                Fed::Head { head, rest } => {
                    self.sink.begin(head)?;
                    input = rest;
                }
                Fed::Refused(why) => {
                    self.sink.refused(why);
                    return Err(Peer::Refused.into());
                }
                Fed::Body { bytes, rest } => {
                    self.sink.body(bytes)?;
                    input = rest;
                }
                Fed::End { digest, rest } => {
                    self.sink.end(digest)?;
                    self.close = Close::Done(Ok(()));
                    input = rest;
                }
            }
        }
        Ok(input.len())
    }
}

impl<K: Sink, const N: usize> Session for FilesClient<'_, K, N> {
    fn input(&mut self, _: Instant, bytes: &mut [u8], _: &mut Out<'_>) -> Took {
        match self.take(bytes) {
            Ok(left) => Took::bytes(bytes.len() - left),
            Err(fault) => {
                self.abort(fault);
                Took::bytes(bytes.len())
            }
        }
    }

    fn eof(&mut self, _: Instant) {
        self.abort(Peer::Truncated.into());
    }

    fn space(&mut self, _: Instant, out: &mut Out<'_>) {
        if !self.close.is_done() {
            let n = out.put(self.request);
            self.request = &self.request[n..];
        }
    }

    fn tick(&mut self, _: Instant) {}

    fn want(&self) -> Want {
        match self.close {
            Close::Open | Close::WriteHalf => {
                Want { write: !self.request.is_empty(), ..Want::READ }
            }
            Close::Done(how) => Want::done(how),
        }
    }

    fn abort(&mut self, why: Fault) {
        if !self.close.is_done() {
            self.close = Close::Done(Err(why));
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::laws::Lab;
    use std::vec::Vec;

    #[derive(Default)]
    struct Kept {
        file: Vec<u8>,
        digest: Option<Digest>,
        why: Vec<u8>,
        room: usize,
    }

    impl Sink for Kept {
        fn begin(&mut self, head: Head<'_>) -> Result<(), Fault> {
            if head.name == b"n" { Ok(()) } else { Err(Fault::Aborted) }
        }

        fn body(&mut self, bytes: &[u8]) -> Result<(), Fault> {
            self.file.extend_from_slice(bytes);
            if self.file.len() <= self.room { Ok(()) } else { Err(Fault::Aborted) }
        }

        fn end(&mut self, digest: Option<Digest>) -> Result<(), Fault> {
            self.digest = digest;
            Ok(())
        }

        fn refused(&mut self, why: &[u8]) {
            self.why = why.to_vec();
        }
    }

    const FILE: &[u8] = b"\0\0\0\x01n\0\0\0\x03abc\0\0\0\x01d\0\0\0\0";

    fn client(room: usize) -> FilesClient<'static, Kept, 64> {
        FilesClient::new(b"request", Kept { room, ..Kept::default() })
    }

    #[test]
    fn it_keeps_the_laws() {
        for stream in [FILE, b"\0\0\0\x01x", b"\0\0\0\0\0\0\0\x02no", b"\0\0\0\x41"] {
            Lab::<64>::new().check(|| client(9), stream).unwrap();
        }
        Lab::<64>::new().check(|| client(2), FILE).unwrap();
    }

    #[test]
    fn a_file_comes_to_its_sink() {
        let mut client = client(9);
        let mut stream = [FILE, b"more"].concat();
        let took = client.input(Instant::ZERO, &mut stream, &mut Out::new(&mut []));
        assert_eq!(took, Took::bytes(FILE.len()));
        assert_eq!(client.want(), Want::done(Ok(())));
        assert_eq!(client.into_sink().file, b"abcd");
    }

    #[test]
    fn a_refusal_comes_to_it_too() {
        let mut client = client(9);
        let mut stream = *b"\0\0\0\0\0\0\0\x02no";
        let _ = client.input(Instant::ZERO, &mut stream, &mut Out::new(&mut []));
        assert_eq!(client.want(), Want::done(Err(Peer::Refused.into())));
        assert_eq!(client.into_sink().why, b"no");
    }
}
