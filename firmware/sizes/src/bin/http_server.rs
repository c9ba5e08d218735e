//! The HTTP server.
#![no_std]
#![no_main]

use windlass_sizes::{image, machines};

image!({ machines::http_server() });
