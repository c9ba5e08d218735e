//! The loop of a session, without a session.
#![no_std]
#![no_main]

use windlass_sizes::{image, machines};

image!({ machines::session_loop() });
