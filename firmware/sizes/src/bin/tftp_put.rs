//! The TFTP client that writes.
#![no_std]
#![no_main]

use windlass_sizes::{image, machines};

image!({ machines::tftp_put() });
