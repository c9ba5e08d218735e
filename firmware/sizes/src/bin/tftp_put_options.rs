//! The TFTP client that writes, with `blksize` and `tsize`.
#![no_std]
#![no_main]

use windlass_sizes::{image, machines};

image!({ machines::tftp_put_options() });
