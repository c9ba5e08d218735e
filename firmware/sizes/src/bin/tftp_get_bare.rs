//! The TFTP client that reads, as RFC 1350 has it.
#![no_std]
#![no_main]

use windlass_sizes::{image, machines};

image!({ machines::tftp_get_bare() });
