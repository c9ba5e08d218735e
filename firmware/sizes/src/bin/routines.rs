//! The routines of the compiler that any program of some size has.
#![no_std]
#![no_main]

use windlass_sizes::{image, machines};

image!({ machines::routines() });
