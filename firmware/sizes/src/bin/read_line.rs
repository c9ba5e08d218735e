//! `ReadLine` alone.
#![no_std]
#![no_main]

use windlass_core::stream::{LineStep, ReadLine};
use windlass_sizes::{Port, image, keep};

image!({
    let (mut buf, mut memory) = ([0; 64], [0; 64]);
    let mut port = Port::new();
    let mut lines = ReadLine::new(&mut memory);
    let n = port.read(&mut buf);
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
});
