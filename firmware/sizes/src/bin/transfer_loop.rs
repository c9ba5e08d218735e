//! What every image with a transfer has beside its machine.
#![no_std]
#![no_main]

use windlass_sizes::{image, machines};

image!({ machines::transfer_loop() });
