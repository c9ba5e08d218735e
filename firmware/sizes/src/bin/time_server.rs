//! The server of the time service on the pump.
#![no_std]
#![no_main]

use windlass_core::session::TimeServer;
use windlass_core::wire::Stamp;
use windlass_sizes::{image, keep, number, run};

image!({
    let mut session = TimeServer::new(Stamp(number().into()));
    keep(run(&mut session, &mut ()).is_ok().into());
});
