//! Nothing: what the others are compared with.
#![no_std]
#![no_main]

use windlass_sizes::{Port, image};

image!({
    let mut buf = [0; 64];
    let mut port = Port::new();
    let n = port.read(&mut buf);
    port.write(buf.get(..n).unwrap_or_default());
});
