//! The process of one listener, as the process itself sees it.

use std::os::fd::AsFd;
use std::sync::Arc;

use tracing::error;

use crate::drive::Ledger;
use crate::error::{Error, Result};
use crate::role;
use crate::server::children::Report;
use crate::server::spec::Spec;
use crate::server::{Offer, Server, Stop};
use crate::sys::listener::Listener;
use crate::sys::pass::Channel;
use crate::sys::process;
use crate::sys::shared::Flag;
use crate::sys::signals::Signals;
use crate::sys::user::User;

/// Sockets of the process's own, and its user.
pub(super) struct Own<'a> {
    pub(super) listener: Listener,
    /// The socket on which it tells its state, if it is the parent of a pool.
    pub(super) control: Option<Listener>,
    pub(super) ledger: Arc<Ledger>,
    /// Set when clients are to hear that the server stops.
    pub(super) ending: Option<Arc<Flag>>,
    pub(super) user: Option<&'a User>,
}

/// The whole life of the process; its exit status. It reports on `channel` when it is about to serve.
pub(super) fn live(spec: &Spec, offer: &Offer, own: Own<'_>, channel: Channel, parent: u32) -> i32 {
    role::serve(spec.service.name(), own.listener.address(), &spec.model.part());
    // Ctrl-C is for the supervisor, which passes it on: a process that got it twice would stop at once.
    process::leave_terminal_group();
    if let Some(user) = own.user {
        if let Err(error) = user.assume() {
            error!("{error}");
            return 1;
        }
        // With the user the kernel forgot that this process is to die with its parent.
        if !process::die_with_parent(parent) {
            return 1;
        }
    }
    let root = offer.root().map(|root| root.as_fd());
    let control = own.control.as_ref().map(AsFd::as_fd);
    let log = offer.access_log().and_then(|log| log.descriptor());
    let keep = [Some(own.listener.as_fd()), Some(channel.as_fd()), root, control, log];
    process::close_others(&keep.into_iter().flatten().collect::<Vec<_>>());
    match serve(spec, offer.clone(), own, channel, parent) {
        Ok(()) => 0,
        Err(error) => {
            error!("{error}");
            1
        }
    }
}

fn serve(spec: &Spec, offer: Offer, own: Own<'_>, channel: Channel, parent: u32) -> Result<()> {
    let signals = Signals::catch().map_err(Error::of("catch signals", ""))?;
    let mut stop = Stop::on_signals(signals, spec.grace_us, spec.drain_us).passed_on_by(parent);
    stop.tell(own.ending);
    let mut server = Server::new(own.listener, offer, spec.limits, stop).counting(own.ledger);
    // The supervisor reads it, and starts a process that has it.
    #[cfg(feature = "tls")]
    server.stop.renew(None);
    if let Some(control) = own.control {
        server = server.with_control(control);
    }
    let say = move || {
        // If the supervisor has ended, the signal that kills this process is on its way.
        let _ = channel.send(&Report::Ready.to_bytes(), None);
        Ok(())
    };
    server.when_ready(say).run(spec.model)
}
