//! The TFTP server that takes files, as RFC 1350 has it.
#![no_std]
#![no_main]

use windlass_sizes::{image, machines};

image!({ machines::tftp_server_writes() });
