//! `ReadLine` alone.
#![no_std]
#![no_main]

use windlass_sizes::{image, machines};

image!({ machines::read_line() });
