//! `Encoder` as two slices, for a gathering write.
#![no_std]
#![no_main]

use windlass_sizes::{image, machines};

image!({ machines::encoder() });
