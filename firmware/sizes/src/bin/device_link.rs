//! The same over the link layer.
#![no_std]
#![no_main]

use windlass_sizes::machines::OverLink;
use windlass_sizes::{image, machines};

image!({ machines::device::<OverLink>() });
