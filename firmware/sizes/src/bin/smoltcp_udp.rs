//! smoltcp with a UDP socket, and nothing of the core.
#![no_std]
#![no_main]

use windlass_sizes::{can_panic, image, network};

can_panic!();
image!({ network::udp() });
