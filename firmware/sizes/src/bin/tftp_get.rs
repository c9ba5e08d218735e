//! The TFTP client that reads.
#![no_std]
#![no_main]

use windlass_sizes::{image, machines};

image!({ machines::tftp_get() });
