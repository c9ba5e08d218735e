//! The files server on the pump.
#![no_std]
#![no_main]

use windlass_core::session::FilesServer;
use windlass_sizes::{Flash, image, keep, run};

image!({
    let mut session = FilesServer::new([0; 64]);
    keep(run(&mut session, &mut Flash::new()).is_ok().into());
});
