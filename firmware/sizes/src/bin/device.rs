//! All that a device uses: lines, time, frames, a file.
#![no_std]
#![no_main]

use windlass_sizes::machines::Plain;
use windlass_sizes::{image, machines};

image!({ machines::device::<Plain>() });
