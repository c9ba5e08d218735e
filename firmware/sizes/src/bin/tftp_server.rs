//! The TFTP server.
#![no_std]
#![no_main]

use windlass_sizes::{image, machines};

image!({ machines::tftp_server() });
