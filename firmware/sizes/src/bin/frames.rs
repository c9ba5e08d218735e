//! The frame codec: `Decoder` and `Encoder`.
#![no_std]
#![no_main]

use windlass_core::frame::{Decoder, Encoder, FrameStep};
use windlass_sizes::{Port, image, keep};

image!({
    let (mut buf, mut memory) = ([0; 64], [0; 64]);
    let mut port = Port::new();
    let mut frames = Decoder::new(&mut memory);
    let n = port.read(&mut buf);
    let mut input = buf.get(..n).unwrap_or_default();
    loop {
        match frames.feed(input) {
            FrameStep::More => break,
            FrameStep::Frame { payload, rest } => {
                if let Ok(mut frame) = Encoder::new(payload, 4096) {
                    let mut out = [0; 32];
                    while !frame.is_done() {
                        let n = frame.render(&mut out);
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
});
