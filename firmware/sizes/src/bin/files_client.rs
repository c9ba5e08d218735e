//! The files client, complete: the request, the pump, a checksum.
#![no_std]
#![no_main]

use windlass_sizes::machines::Plain;
use windlass_sizes::{image, machines};

image!({ machines::files_client::<Plain>() });
