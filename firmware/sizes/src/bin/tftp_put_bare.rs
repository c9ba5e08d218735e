//! The TFTP client that writes, as RFC 1350 has it.
#![no_std]
#![no_main]

use windlass_sizes::{image, machines};

image!({ machines::tftp_put_bare() });
