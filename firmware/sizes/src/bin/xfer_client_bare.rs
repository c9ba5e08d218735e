//! The `xfer` client without parts.
#![no_std]
#![no_main]

use windlass_sizes::{image, machines};

image!({ machines::xfer_client_bare() });
