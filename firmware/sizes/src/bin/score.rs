//! The score, sent and received.
#![no_std]
#![no_main]

use windlass_sizes::{image, machines};

image!({ machines::score() });
