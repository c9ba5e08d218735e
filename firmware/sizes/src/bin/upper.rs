//! A line session on the pump.
#![no_std]
#![no_main]

use windlass_core::session::Upper;
use windlass_sizes::{image, keep, run};

image!({
    keep(run(&mut Upper::new(), &mut ()).is_ok().into());
});
