//! The `xfer` client.
#![no_std]
#![no_main]

use windlass_sizes::{image, machines};

image!({ machines::xfer_client() });
