//! The HTTP server of a site that has files alone: GET, HEAD and ranges.
#![no_std]
#![no_main]

use windlass_sizes::{image, machines};

image!({ machines::http_images() });
