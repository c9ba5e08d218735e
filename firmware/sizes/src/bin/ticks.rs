//! A 32-bit timer, extended.
#![no_std]
#![no_main]

use windlass_core::time::Ticks;
use windlass_sizes::{Port, image, keep, number};

image!({
    let (mut rx, mut tx) = ([0; 64], [0; 64]);
    let mut port = Port::new();
    let n = port.read(&mut rx);
    port.write(rx.get(..n).unwrap_or_default());
    keep(port.read(&mut tx));
    port.write(&tx);
    let mut clock = const { Ticks::new(32_768) };
    for _ in 0..n {
        keep((clock.now(number()).as_micros() & 0xffff) as usize);
    }
});
