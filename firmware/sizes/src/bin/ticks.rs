//! A 32-bit timer, extended.
#![no_std]
#![no_main]

use windlass_sizes::{image, machines};

image!({ machines::ticks() });
