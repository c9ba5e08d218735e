//! Nothing: what the others are compared with.
#![no_std]
#![no_main]

use windlass_sizes::{Port, image, keep, now};

image!({
    let (mut rx, mut tx) = ([0; 64], [0; 64]);
    let mut port = Port::new();
    let n = port.read(&mut rx);
    port.write(rx.get(..n).unwrap_or_default());
    keep(port.read(&mut tx));
    port.write(&tx);
    keep((now().as_micros() & 0xffff) as usize);
});
