//! `ReadN` and `WriteN`.
#![no_std]
#![no_main]

use windlass_core::stream::{Read, ReadN, Step, Write, WriteN};
use windlass_sizes::{Port, image, keep};

image!({
    let mut memory = [0; 64];
    let mut port = Port::new();
    let mut read = ReadN::new(&mut memory);
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
});
