//! SIGUSR2: the program is started again, as it is on disk now, and takes over.
//!
//! ```text
//! old:  start it, with the listening sockets ──▶ new: read the configuration, start a process for each
//!       "ready" heard: close the sockets,    ◀──      listener; all of them ready: "ready"
//!       drain, exit 0
//! ```
//!
//! Both binaries have the same sockets, and so the same accept queues: no client is refused, and none is
//! dropped. If the new binary ends before it is ready, nothing has changed: until then it neither shuts the
//! sockets down nor removes their files.
//!
//! A service manager that stops the server knows the new binary alone, and kills what is left when that has ended. So
//! the new one passes the order on to the old one, and outlives it.

use std::rc::Rc;

use tracing::{error, warn};

use super::supervisor::{Cx, Supervisor};
use crate::reactor::Watch;
use crate::sys::listener::Listener;
use crate::sys::pidfd::PidFd;

impl Supervisor {
    pub(super) fn start_upgrade(&mut self, cx: &mut Cx) {
        // From old to new there is one step at a time: the binary before waits until this one is ready.
        let is_new = self.inherited.is_upgrade();
        if self.state.stop.is_requested() || self.upgrade.is_running() || is_new {
            warn!("an upgrade or a stop is under way");
            return;
        }
        let listeners = self.listeners.iter().filter(|it| !it.is_leaving).flat_map(|it| {
            let control = it.control.iter().map(|socket| (socket, socket.address()));
            it.listener.iter().map(|socket| (socket, &it.spec.address)).chain(control)
        });
        let probes = self.probes.as_ref().into_iter();
        let probes = probes.filter_map(|it| it.socket.as_ref().zip(it.address.as_ref()));
        let listeners = listeners.chain(probes);
        match self.upgrade.start(
            cx,
            listeners,
            |this: &mut Self| &mut this.upgrade,
            Self::hand_over,
        ) {
            Ok(running) => self.upgrade.running = Some(running),
            Err(error) => error!("{error}; the old binary goes on"),
        }
    }

    /// The new binary, process `pid`, serves.
    fn hand_over(&mut self, cx: &mut Cx, pid: i32) {
        self.systemd.replaced_by(pid.unsigned_abs());
        self.state.stop.will_be_passed_on_by(pid.unsigned_abs());
        self.is_replaced.set(true);
        let probes = self.probes.as_mut().into_iter();
        probes.filter_map(|it| it.leave(cx)).for_each(Listener::give_up);
        for it in &mut self.listeners {
            if let Some(answers) = it.answers.take() {
                cx.remove(answers);
            }
            for socket in it.listener.take().into_iter().chain(it.control.take()) {
                socket.give_up();
            }
        }
        self.state.stop.retire(cx.now());
        self.leave(cx);
    }

    /// This binary has taken over from `old`.
    pub(super) fn follow(&mut self, cx: &mut Cx, old: PidFd) {
        let old = Rc::new(old);
        let ended = |_: &mut Rc<PidFd>, this: &mut Self, cx: &mut Cx, _| {
            cx.remove(cx.current());
            this.predecessor = None;
            if this.state.stop.is_requested() {
                this.exit_if_alone(cx);
            }
        };
        match cx.add(Rc::clone(&old), Watch::READ, ended) {
            Ok(_) => self.predecessor = Some(old),
            Err(error) => warn!("{error}; the old binary does not hear of a stop"),
        }
    }

    /// Passes an order to stop on.
    pub(super) fn stop_predecessor(&self) {
        if let Some(old) = &self.predecessor {
            old.terminate();
        }
    }
}
