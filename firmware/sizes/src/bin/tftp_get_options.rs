//! The TFTP client that reads, with `blksize` and `tsize`.
#![no_std]
#![no_main]

use windlass_sizes::{image, machines};

image!({ machines::tftp_get_options() });
