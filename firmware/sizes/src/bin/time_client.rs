//! The client of the time service on the pump.
#![no_std]
#![no_main]

use windlass_core::session::TimeClient;
use windlass_sizes::{image, keep, run};

image!({
    let mut session = TimeClient::new();
    keep(run(&mut session, &mut ()).is_ok().into());
    keep(session.stamp().map_or(0, |stamp| stamp.0.is_negative().into()));
});
