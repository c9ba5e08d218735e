//! The frame codec: `Decoder` and `Encoder`.
#![no_std]
#![no_main]

use windlass_sizes::{image, machines};

image!({ machines::frames() });
