//! A line session over the link layer.
#![no_std]
#![no_main]

use windlass_core::session::Upper;
use windlass_sizes::{image, keep, run_over_link};

image!({
    keep(run_over_link(&mut Upper::new(), &mut ()).is_ok().into());
});
