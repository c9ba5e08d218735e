//! The cost of cutting a stream, beside the usual libraries of a host.
//!
//! Each side gets the same mebibyte in pieces of 64 KiB and copies every piece once, as `read(2)`
//! would: this crate into one read buffer, `BufReader` into its own, `LengthDelimitedCodec` into
//! its `BytesMut`. The difference comes after the read: `read_until` copies each line once more,
//! the frames of the codec own a share of its buffer, and the frames of this crate are lent. Goals:
//! [`ReadLine`] is at least 1.5 times as fast as `read_until`, and [`Decoder`] is no slower than
//! the codec.
//!
//! ```text
//! cargo bench -p windlass-core --bench framing
//! cargo bench -p windlass-core --bench framing --features memchr/std
//! ```
//!
//! The first command measures the core alone, with a `memchr` that is built without `std` and so
//! uses only the target's baseline (SSE2 on x86-64). The second command lets `memchr` use AVX2 if
//! the CPU has it, as in the host. Lines of this length gain nothing from that.

use std::io::{self, BufRead, BufReader, Read};

use bytes::BytesMut;
use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use tokio_util::codec::{Decoder as _, LengthDelimitedCodec};
use windlass_core::frame::{Decoder, Encoder, FrameStep};
use windlass_core::stream::{LineStep, ReadLine};

/// Bytes of stream in one run.
const STREAM: usize = 1 << 20;

/// Bytes that one `read(2)` returns.
const PIECE: usize = 64 << 10;

/// Bytes of a line, its LF included.
const LINE: usize = 80;

/// Payloads of a sensor report and of a block of a file.
const PAYLOADS: [usize; 2] = [64, 1024];

/// The largest line or payload taken.
const MAX: usize = 4096;

fn main() {
    divan::main();
}

#[divan::bench]
fn lines_read_line(bencher: Bencher<'_, '_>) {
    let stream = lines();
    let mut read_buf = vec![0; PIECE];
    let mut line_buf = [0; MAX];
    bencher.counter(BytesCount::of_slice(&stream)).bench_local(|| {
        let mut socket = Socket(&stream);
        let mut lines = ReadLine::new(&mut line_buf);
        let mut seen = 0_usize;
        loop {
            let n = socket.read(&mut read_buf).expect("a slice does not fail");
            if n == 0 {
                break;
            }
            let mut input = &read_buf[..n];
            loop {
                match lines.feed(input) {
                    LineStep::More => break,
                    LineStep::Line { line, rest } => {
                        black_box(line.text);
                        seen += 1;
                        input = rest;
                    }
                    LineStep::TooLong { .. } => unreachable!("no line is that long"),
                }
            }
        }
        assert_eq!(seen, STREAM / LINE);
    });
}

#[divan::bench]
fn lines_std_read_until(bencher: Bencher<'_, '_>) {
    let stream = lines();
    let mut line = Vec::with_capacity(MAX);
    bencher.counter(BytesCount::of_slice(&stream)).bench_local(|| {
        let mut reader = BufReader::with_capacity(PIECE, Socket(&stream));
        let mut seen = 0_usize;
        loop {
            line.clear();
            if reader.read_until(b'\n', &mut line).expect("a slice does not fail") == 0 {
                break;
            }
            black_box(&line[..line.len() - 1]);
            seen += 1;
        }
        assert_eq!(seen, STREAM / LINE);
    });
}

#[divan::bench(args = PAYLOADS)]
fn frames_decoder(bencher: Bencher<'_, '_>, payload: usize) {
    let (stream, expected) = frames(payload);
    let mut read_buf = vec![0; PIECE];
    let mut frame_buf = [0; MAX];
    bencher.counter(BytesCount::of_slice(&stream)).bench_local(|| {
        let mut socket = Socket(&stream);
        let mut frames = Decoder::new(&mut frame_buf);
        let mut seen = 0_usize;
        loop {
            let n = socket.read(&mut read_buf).expect("a slice does not fail");
            if n == 0 {
                break;
            }
            let mut input = &read_buf[..n];
            loop {
                match frames.feed(input) {
                    FrameStep::More => break,
                    FrameStep::Frame { payload, rest } => {
                        black_box(payload);
                        seen += 1;
                        input = rest;
                    }
                    FrameStep::TooLong { .. } => unreachable!("no frame is that long"),
                }
            }
        }
        assert_eq!(seen, expected);
    });
}

#[divan::bench(args = PAYLOADS)]
fn frames_tokio_codec(bencher: Bencher<'_, '_>, payload: usize) {
    let (stream, expected) = frames(payload);
    let mut buf = BytesMut::with_capacity(2 * PIECE);
    bencher.counter(BytesCount::of_slice(&stream)).bench_local(|| {
        let mut codec = LengthDelimitedCodec::builder().max_frame_length(MAX).new_codec();
        buf.clear();
        let mut seen = 0_usize;
        for piece in stream.chunks(PIECE) {
            buf.extend_from_slice(piece);
            while let Some(frame) = codec.decode(&mut buf).expect("no frame is that long") {
                black_box(&frame[..]);
                seen += 1;
            }
        }
        assert_eq!(seen, expected);
    });
}

/// A stream that is read by copying, like a socket. Not a `BufRead`, which would lend its slice.
struct Socket<'s>(&'s [u8]);

impl Read for Socket<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf)
    }
}

/// A mebibyte of whole lines, or just under.
fn lines() -> Vec<u8> {
    let mut line: Vec<u8> = (b' '..b' ' + 79).collect();
    line.push(b'\n');
    assert_eq!(line.len(), LINE);
    line.repeat(STREAM / LINE)
}

/// A mebibyte of whole frames, or just under, and how many there are.
fn frames(payload: usize) -> (Vec<u8>, usize) {
    let payload = vec![0x5a; payload];
    let mut frame = vec![0; payload.len() + 4];
    let max = u32::try_from(MAX).expect("a small number");
    let n = Encoder::new(&payload, max).expect("a small payload").render(&mut frame);
    assert_eq!(n, frame.len());
    let count = STREAM / frame.len();
    (frame.repeat(count), count)
}
