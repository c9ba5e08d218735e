//! One client that downloads a file again and again.

use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::path::Path;

use windlass_core::fault::Fault;
use windlass_core::file::{Answer, FileUser, Op};
use windlass_core::session::Session;
use windlass_core::session::files::{FilesClient, Options, REQUEST_MAX, Request};
use windlass_core::stream::{Read, Write};
use windlass_core::time::Instant;
use windlass_core::want::Close;

use super::load::{Done, SILENCE_US};
use super::target::Speaks;
use crate::error::{Error, Result};
use crate::printable::printable;
use crate::sys::connect::start;
use crate::sys::ready::Interest;
use crate::sys::stream::Stream;
use crate::sys::{clock, poll};

/// The size of the file in bytes.
const SIZE: u64 = 256 << 20;

/// A file to be served, in a folder of its own.
pub(super) struct Folder(tempfile::TempDir);

impl Folder {
    pub(super) fn new() -> Result<Self> {
        let fail = Error::of("make the folder of", "a file to be served");
        let folder = tempfile::tempdir().map_err(fail)?;
        // The file has no hole, because reading a hole costs the kernel other work.
        let bytes: Vec<u8> = (0..SIZE).map(|at| (at % 251) as u8).collect();
        let path = folder.path().join(NAME);
        std::fs::write(&path, bytes).map_err(Error::of("write", printable(&path)))?;
        Ok(Self(folder))
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }
}

const NAME: &str = "file";

/// The client.
pub(super) struct Fetches {
    at: SocketAddr,
    question: Vec<u8>,
    speaks: Speaks,
    buf: Vec<u8>,
}

impl Fetches {
    /// Makes a client that requests frames of at most `frame` bytes.
    pub(super) fn new(at: SocketAddr, frame: usize, speaks: Speaks) -> Result<Self> {
        let question = match speaks {
            Speaks::Http => format!("GET /{NAME} HTTP/1.0\r\n\r\n").into_bytes(),
            Speaks::Ours => {
                let frame = u32::try_from(frame).ok().filter(|&frame| frame != 4096);
                let options = Options { frame, ..Options::default() };
                let mut wire = vec![0; Request::WIRE_MAX];
                let len = Request { name: NAME.as_bytes(), options }
                    .render(&mut wire)
                    .map_err(Error::of("ask for", NAME))?;
                wire.truncate(len);
                wire
            }
        };
        Ok(Self { at, question, speaks, buf: vec![0; 256 * 1024] })
    }

    /// Downloads for at least `us` microseconds. Returns how many MiB arrived, and the time.
    pub(super) fn run(&mut self, us: u64) -> Result<Done> {
        let begin = clock::now();
        let mut bytes = 0;
        loop {
            bytes += self.fetch()?;
            let us_so_far = clock::now().since(begin);
            if us_so_far >= us {
                return Ok(Done { count: bytes >> 20, us: us_so_far });
            }
        }
    }

    fn fetch(&mut self) -> Result<u64> {
        let stream = start(self.at).map_err(Error::of("connect to", self.at))?;
        self.wait(&stream, Interest::WRITE)?;
        match stream.send([&self.question, &[]]).map_err(Error::of("send to", self.at))? {
            // The request is shorter than any socket's buffer.
            Write::Moved(_) => {}
            Write::WouldBlock | Write::Nothing | Write::Interrupted => {
                return Err(Error::new("send to", self.at, "there is no room"));
            }
        }
        let mut came = 0;
        let mut client = FilesClient::new(&[], [0; REQUEST_MAX]);
        loop {
            match stream.recv(&mut self.buf).map_err(Error::of("receive from", self.at))? {
                Read::Moved(n) => {
                    let n = n.get();
                    came += match self.speaks {
                        Speaks::Http => n as u64,
                        Speaks::Ours => body_of(&mut client, &self.buf[..n])
                            .map_err(Error::of("receive from", self.at))?,
                    };
                }
                // Over HTTP the head of the answer arrived too.
                Read::Eof if came >= SIZE => return Ok(SIZE),
                Read::Eof => return Err(Error::new("receive from", self.at, "it is not whole")),
                Read::WouldBlock => self.wait(&stream, Interest::READ)?,
                Read::Interrupted => {}
            }
        }
    }

    fn wait(&self, stream: &Stream, interest: Interest) -> Result<()> {
        let until = clock::now().after(SILENCE_US);
        match poll::wait(stream.as_fd(), interest, None, Some(until)) {
            poll::Woken::TimedOut => Err(Error::new("load", self.at, "the server does not answer")),
            poll::Woken::Ready(_) | poll::Woken::Other | poll::Woken::Interrupted => Ok(()),
        }
    }
}

/// How many bytes of the file are in the received bytes, which are not kept.
fn body_of(
    client: &mut FilesClient<'_, [u8; REQUEST_MAX]>,
    mut input: &[u8],
) -> std::result::Result<u64, Fault> {
    let mut body = 0;
    loop {
        input = client.receive(input);
        let answer = match client.op() {
            Some(Op::Store(extent)) => {
                body += extent.len;
                let len = usize::try_from(extent.len).unwrap_or(usize::MAX).min(input.len());
                input = &input[len..];
                Answer::Kept(len)
            }
            Some(_) => Answer::Done,
            None => {
                return match client.want().close {
                    Close::Done(how) => how.map(|()| body),
                    Close::Open | Close::WriteHalf => Ok(body),
                };
            }
        };
        client.answer(Instant::ZERO, answer);
    }
}
