//! `ReadN` and `WriteN`.
#![no_std]
#![no_main]

use windlass_sizes::{image, machines};

image!({ machines::read_n() });
