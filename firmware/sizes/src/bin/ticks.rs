//! A 32-bit timer, extended.
#![no_std]
#![no_main]

use windlass_core::time::Ticks;
use windlass_sizes::{image, keep, number};

image!({
    let mut clock = const { Ticks::new(32_768) };
    for _ in 0..2 {
        keep((clock.now(number()).as_micros() & 0xffff) as usize);
    }
});
