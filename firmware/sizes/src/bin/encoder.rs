//! `Encoder` as two slices, for a gathering write.
#![no_std]
#![no_main]

use windlass_core::frame::Encoder;
use windlass_sizes::{Port, image};

image!({
    let mut buf = [0; 64];
    let mut port = Port::new();
    let n = port.read(&mut buf);
    if let Ok(mut frame) = Encoder::new(buf.get(..n).unwrap_or_default(), 4096) {
        while !frame.is_done() {
            let [header, payload] = frame.pending();
            let n = port.write(header) + port.write(payload);
            frame.advance(n);
        }
    }
});
