//! The process of one listener.

use std::os::fd::AsFd;

use tracing::error;

use crate::error::{Error, Result};
use crate::role;
use crate::server::spec::Spec;
use crate::server::{Offer, Server, Stop};
use crate::sys::handover::say_ready;
use crate::sys::listener::Listener;
use crate::sys::pass::Channel;
use crate::sys::process;
use crate::sys::signals::Signals;
use crate::sys::user::User;

/// What is the process's own.
pub(super) struct Own<'a> {
    pub(super) listener: Listener,
    pub(super) control: Option<Listener>,
    pub(super) user: Option<&'a User>,
}

/// Its whole life; its exit status. It says on `channel` when it is about to serve.
pub(super) fn live(spec: &Spec, offer: &Offer, own: Own<'_>, channel: Channel, parent: u32) -> i32 {
    role::serve(spec.service.name(), own.listener.address(), &spec.model.part());
    // Ctrl-C is for the supervisor, which passes it on: heard twice, it would mean at once.
    process::leave_terminal_group();
    // First, since another user is told of no parent's death that this one asked for.
    if let Some(Err(error)) = own.user.map(User::assume) {
        error!("{error}");
        return 1;
    }
    if !process::die_with_parent(parent) {
        return 0;
    }
    let root = offer.root().map(|root| root.as_fd());
    let control = own.control.as_ref().map(AsFd::as_fd);
    let keep = [Some(own.listener.as_fd()), Some(channel.as_fd()), root, control];
    process::close_others(&keep.into_iter().flatten().collect::<Vec<_>>());
    match serve(spec, offer.clone(), own, channel) {
        Ok(()) => 0,
        Err(error) => {
            error!("{error}");
            1
        }
    }
}

fn serve(spec: &Spec, offer: Offer, own: Own<'_>, channel: Channel) -> Result<()> {
    let signals = Signals::catch().map_err(Error::of("catch signals", ""))?;
    let stop = Stop::on_signals(signals, spec.grace_us, spec.drain_us);
    let mut server = Server::new(own.listener, offer, spec.limits, stop);
    if let Some(control) = own.control {
        server = server.with_control(control);
    }
    let say = move || {
        // If the supervisor is gone, there is a signal on its way that says so.
        say_ready(&channel);
        Ok(())
    };
    server.when_ready(say).run(spec.model)
}
