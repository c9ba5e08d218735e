//! The HTTP server on the pump.
#![no_std]
#![no_main]

use windlass_sizes::machines::Plain;
use windlass_sizes::{image, machines};

image!({ machines::http_server::<Plain>() });
