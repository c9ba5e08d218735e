//! A use of each machine. An image contains only what it calls.

use windlass_core::file::{Digest, DigestKind, Storage};
use windlass_core::frame::{Decoder, Encoder, FrameStep};
use windlass_core::responder::{Responder, Response, ScoreReceiver};
use windlass_core::session::files::{Options, Request};
use windlass_core::session::http::Site;
use windlass_core::session::{
    FilesClient, FilesServer, HttpServer, Session, TimeClient, TimeServer, Upper,
};
use windlass_core::stream::{LineStep, Read, ReadLine, ReadN, Step, Write, WriteN};
use windlass_core::time::{Instant, Ticks};
use windlass_core::transfer::tftp::{Config, Offer, TftpGet, TftpPut, TftpServer};
use windlass_core::transfer::xfer::{XferClient, XferServer};
use windlass_core::transfer::{Timing, parts};
use windlass_core::wire::{Score, Stamp};

use crate::{
    Flash, Port, compiler_routines, keep, lend, now, number, run, run_over_link, run_transfer,
    unknown_session, unknown_transfer,
};

/// The transport of a session.
pub trait Line {
    /// Runs a session to its end.
    fn run<S: Session>(session: &mut S, storage: &mut impl Storage);
}

/// The port itself.
#[derive(Debug)]
pub enum Plain {}

impl Line for Plain {
    fn run<S: Session>(session: &mut S, storage: &mut impl Storage) {
        run(session, storage);
    }
}

/// The link layer.
#[derive(Debug)]
pub enum OverLink {}

impl Line for OverLink {
    fn run<S: Session>(session: &mut S, storage: &mut impl Storage) {
        run_over_link(session, storage);
    }
}

/// All that a device uses.
pub fn device<L: Line>() {
    upper::<L>();
    time_client::<L>();
    time_server::<L>();
    frames();
    read_line();
    files_client::<L>();
}

/// A line session on the pump.
pub fn upper<L: Line>() {
    L::run(&mut Upper::new(), &mut ());
}

/// The client of the time service on the pump.
pub fn time_client<L: Line>() {
    let mut session = TimeClient::new();
    L::run(&mut session, &mut ());
    keep(session.stamp().map_or(0, |stamp| stamp.0.is_negative().into()));
}

/// The server of the time service on the pump.
pub fn time_server<L: Line>() {
    let mut session = TimeServer::new(Stamp(number().into()));
    L::run(&mut session, &mut ());
}

/// The frame codec: `Decoder` and `Encoder`.
pub fn frames() {
    let (buf, memory) = (lend::<64>(), lend::<64>());
    let mut port = Port::new();
    let mut frames = Decoder::new(memory);
    let n = port.read(buf);
    let mut input = buf.get(..n).unwrap_or_default();
    loop {
        match frames.feed(input) {
            FrameStep::More => break,
            FrameStep::Frame { payload, rest } => {
                if let Ok(mut frame) = Encoder::new(payload, 4096) {
                    let out = lend::<32>();
                    while !frame.is_done() {
                        let n = frame.render(out);
                        port.write(out.get(..n).unwrap_or_default());
                    }
                }
                input = rest;
            }
            FrameStep::TooLong { what, rest } => {
                keep(what.claimed as usize);
                input = rest;
            }
        }
    }
    keep(frames.finish().is_ok().into());
}

/// `ReadLine` alone.
pub fn read_line() {
    let (buf, memory) = (lend::<64>(), lend::<64>());
    let mut port = Port::new();
    let mut lines = ReadLine::new(memory);
    let n = port.read(buf);
    let mut input = buf.get(..n).unwrap_or_default();
    loop {
        match lines.feed(input) {
            LineStep::More => break,
            LineStep::Line { line, rest } => {
                port.write(line.text);
                input = rest;
            }
            LineStep::TooLong { max, rest } => {
                keep(max);
                input = rest;
            }
        }
    }
    if let Some(Ok(line)) = lines.finish() {
        port.write(line.text);
    }
}

/// The files client, complete: the request, the pump, a checksum.
pub fn files_client<L: Line>() {
    let request = lend::<128>();
    let options =
        Options { digest: Some(DigestKind::Crc32), offset: Some(number().into()), ..Options::NONE };
    if let Ok(len) = (Request { name: b"image", options }).render(request) {
        let request = request.get(..len).unwrap_or_default();
        let mut session = FilesClient::new(request, &mut lend::<64>()[..]);
        L::run(&mut session, &mut Flash::new());
        keep(session.reason().map_or(0, <[u8]>::len));
    }
}

/// The files server on the pump.
pub fn files_server<L: Line>() {
    let mut session = FilesServer::new(&mut lend::<64>()[..]);
    L::run(&mut session, &mut Flash::new());
}

/// A site with a clock, the types of a device's pages, and `Cache-Control`.
struct Pages;

impl Site for Pages {
    fn unix_time(&self, now: Instant) -> Option<u32> {
        u32::try_from(now.as_micros()).ok()
    }

    fn types(&self) -> &[(&'static str, &'static str)] {
        &[("html", "text/html"), ("js", "text/javascript"), ("css", "text/css")]
    }

    fn cache_control(&self) -> Option<&str> {
        Some("no-cache")
    }
}

/// Files that are what they are.
struct Images;

impl Site for Images {
    fn versions(&self) -> bool {
        false
    }

    fn folders(&self) -> bool {
        false
    }

    fn phrases(&self) -> bool {
        false
    }
}

/// The server of HTTP for GET, HEAD and ranges alone.
pub fn http_images() {
    compiler_routines();
    run(&mut HttpServer::new(&mut lend::<512>()[..], Images), &mut Flash::new());
}

/// The server of HTTP, with conditions, ranges and dates.
pub fn http_server() {
    compiler_routines();
    run(&mut HttpServer::new(&mut lend::<512>()[..], Pages), &mut Flash::new());
}

/// What an image with a session for files has beside it.
pub fn session_loop() {
    compiler_routines();
    run(unknown_session(), &mut Flash::new());
}

/// `ReadN` and `WriteN`.
pub fn read_n() {
    let memory = lend::<64>();
    let mut port = Port::new();
    let mut read = ReadN::new(memory);
    while read.step() != Step::Done {
        let n = port.read(read.unfilled());
        keep(matches!(read.handle_read(Read::count(n)), Step::Done).into());
        keep(read.feed(b"ab").1.len());
    }
    let mut write = WriteN::new(read.filled());
    while write.step() != Step::Done {
        let n = port.write(write.unwritten());
        keep(matches!(write.handle_write(Write::count(n)), Step::Done).into());
    }
}

/// `Encoder` as two slices, for a gathering write.
pub fn encoder() {
    let buf = lend::<64>();
    let mut port = Port::new();
    let n = port.read(buf);
    if let Ok(mut frame) = Encoder::new(buf.get(..n).unwrap_or_default(), 4096) {
        while !frame.is_done() {
            let [header, payload] = frame.pending();
            let n = port.write(header) + port.write(payload);
            frame.advance(n);
        }
    }
}

/// Only the port: the other images are compared with this one. Returns the number of received bytes.
pub fn empty() -> usize {
    let (rx, tx) = (lend::<64>(), lend::<64>());
    let mut port = Port::new();
    let n = port.read(rx);
    port.write(rx.get(..n).unwrap_or_default());
    keep(port.read(tx));
    port.write(tx);
    keep((now().as_micros() & 0xffff) as usize);
    n
}

/// A 32-bit timer, extended.
pub fn ticks() {
    let mut clock = const { Ticks::new(32_768) };
    for _ in 0..empty() {
        keep((clock.now(number()).as_micros() & 0xffff) as usize);
    }
}

/// The routines of the compiler that any program of some size has.
pub fn routines() {
    compiler_routines();
}

/// The score: a report that is sent, and one that is received.
pub fn score() {
    compiler_routines();
    let buf = lend::<{ Score::LEN_MAX }>();
    let mut port = Port::new();
    if let Ok(datagram) = Score::render(number(), number(), b"device", buf) {
        port.write(datagram);
    }
    let len = port.read(buf);
    let mut receiver = ScoreReceiver::new(|_, (): &(), score: &Score<'_>| {
        keep((score.math() ^ score.chinese()) as usize);
        keep(score.name().len());
    });
    keep((receiver.datagram(now(), &(), buf, len) == Response::NoReply).into());
}

/// What an image with a transfer has beside its machine.
pub fn transfer_loop() {
    run_transfer(unknown_transfer(), &mut Flash::new());
}

/// The `xfer` client, complete: the loop over a datagram port, a checksum.
pub fn xfer_client() {
    run_transfer(&mut XferClient::new(&b"image"[..], &Timing::CLIENT), &mut Flash::new());
}

/// The `xfer` client without parts.
pub fn xfer_client_bare() {
    let mut client = XferClient::<_, { parts::NONE }>::with_parts(&b"image"[..], &Timing::CLIENT);
    run_transfer(&mut client, &mut Flash::new());
}

/// The `xfer` server.
pub fn xfer_server() {
    run_transfer(&mut XferServer::<64>::new(Timing::SERVER), &mut Flash::new());
}

/// The `xfer` server without parts.
pub fn xfer_server_bare() {
    let mut server = XferServer::<64, { parts::NONE }>::with_parts(Timing::SERVER);
    run_transfer(&mut server, &mut Flash::new());
}

/// The TFTP client that reads a file, with options, windows and a checksum.
pub fn tftp_get() {
    let client = TftpGet::new(&b"image"[..], Offer::DEFAULT, &Timing::CLIENT);
    run_transfer(&mut client.seek(number().into()).digest(DigestKind::Crc32), &mut Flash::new());
}

/// The TFTP client that reads a file, as RFC 1350 has it.
pub fn tftp_get_bare() {
    let mut client =
        TftpGet::<_, { parts::NONE }>::with_parts(&b"image"[..], Offer::DEFAULT, &Timing::CLIENT);
    run_transfer(&mut client, &mut Flash::new());
}

/// The TFTP client that reads a file, with `blksize` and `tsize`.
pub fn tftp_get_options() {
    let mut client = TftpGet::<_, { parts::OPTIONS }>::with_parts(
        &b"image"[..],
        Offer::DEFAULT,
        &Timing::CLIENT,
    );
    run_transfer(&mut client, &mut Flash::new());
}

/// The TFTP client that writes a file.
pub fn tftp_put() {
    let client = TftpPut::new(&b"image"[..], number().into(), Offer::DEFAULT, &Timing::CLIENT);
    run_transfer(&mut client.digest(Digest::Crc32(number())), &mut Flash::new());
}

/// The TFTP client that writes a file, as RFC 1350 has it.
pub fn tftp_put_bare() {
    let mut client = TftpPut::<_, { parts::NONE }>::with_parts(
        &b"image"[..],
        number().into(),
        Offer::DEFAULT,
        &Timing::CLIENT,
    );
    run_transfer(&mut client, &mut Flash::new());
}

/// The TFTP client that writes a file, with `blksize` and `tsize`.
pub fn tftp_put_options() {
    let mut client = TftpPut::<_, { parts::OPTIONS }>::with_parts(
        &b"image"[..],
        number().into(),
        Offer::DEFAULT,
        &Timing::CLIENT,
    );
    run_transfer(&mut client, &mut Flash::new());
}

fn config() -> Config {
    Config { writes: number() > 0, ..Config::DEFAULT }
}

/// The TFTP server, for both directions.
pub fn tftp_server() {
    run_transfer(&mut TftpServer::<64>::new(config()), &mut Flash::new());
}

/// The TFTP server, as RFC 1350 has it.
pub fn tftp_server_bare() {
    let mut server = TftpServer::<64, { parts::READS | parts::WRITES }>::with_parts(config());
    run_transfer(&mut server, &mut Flash::new());
}

/// The TFTP server, which sends files, as RFC 1350 has it.
pub fn tftp_server_reads() {
    let mut server = TftpServer::<64, { parts::READS }>::with_parts(config());
    run_transfer(&mut server, &mut Flash::new());
}

/// The TFTP server, which takes files, as RFC 1350 has it.
pub fn tftp_server_writes() {
    let mut server = TftpServer::<64, { parts::WRITES }>::with_parts(config());
    run_transfer(&mut server, &mut Flash::new());
}
