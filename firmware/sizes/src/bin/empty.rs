//! Nothing: what the others are compared with.
#![no_std]
#![no_main]

use windlass_sizes::{image, keep, machines};

image!({ keep(machines::empty()) });
