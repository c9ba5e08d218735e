//! The monitor of the supervisor: the state of all listeners at one address.

use tracing::info;
use windlass_core::pool::processes::State as SlotState;
use windlass_core::time::Instant;

use super::listener::Supervised;
use super::monitor_socket::Monitor;
use super::supervisor::{Cx, Supervisor};
use crate::addr::Address;
use crate::error::Result;
use crate::server::monitor::document::{Overview, Told as Listed};
use crate::server::monitor::{self, Asked, Told, metrics};
use crate::status::Status;
use crate::sys::listener::Listener;

impl Supervisor {
    /// Answers at this address from now on, and not at the one before.
    pub(super) fn monitor_at(
        &mut self,
        cx: &mut Cx,
        address: Option<Address>,
        socket: Option<Listener>,
    ) -> Result<()> {
        self.leave_monitor(cx);
        let copy = socket.as_ref().map(Listener::share).transpose()?;
        let source = copy.map(|copy| monitor::listen(cx, copy, Self::tell)).transpose()?;
        if let Some(socket) = &socket {
            info!(address = %socket.address(), "the monitor listens");
        }
        self.monitor = Monitor { address, socket, source };
        Ok(())
    }

    /// Another process answers from now on. The socket, if this process has it.
    pub(super) fn leave_monitor(&mut self, cx: &mut Cx) -> Option<Listener> {
        if let Some(source) = self.monitor.source.take() {
            cx.remove(source);
        }
        self.monitor.socket.take()
    }

    fn tell(&mut self, Asked { name, accept }: Asked<'_>, now: Instant) -> Told {
        match name {
            b"healthz" => Told::Document("text/plain", b"ok\n".to_vec()),
            b"readyz" if self.is_ready() => Told::Document("text/plain", b"ready\n".to_vec()),
            b"readyz" => Told::NotReady,
            b"status.json" => {
                let overview = self.overview(now, Supervised::status);
                Told::Document("application/json", overview.json())
            }
            b"metrics" => {
                let (kind, document) =
                    metrics::of(self.overview(now, |it, now| it.counted(now)), accept);
                Told::Document(kind, document)
            }
            _ => Told::Nothing,
        }
    }

    /// Whether every listener serves, and none is about to end.
    fn is_ready(&self) -> bool {
        !self.state.stop.is_requested() && self.listeners.iter().all(Supervised::is_ready)
    }

    fn overview(
        &mut self,
        now: Instant,
        status: fn(&mut Supervised, Instant) -> Status,
    ) -> Overview {
        let ready = self.is_ready();
        let list = |it: &mut Supervised| Listed { ready: it.is_ready(), status: status(it, now) };
        Overview {
            version: env!("CARGO_PKG_VERSION"),
            pid: std::process::id(),
            started_us: self.started_us,
            uptime_us: now.since(self.started),
            ready,
            listeners: self.listeners.iter_mut().map(list).collect(),
        }
    }
}

impl Supervised {
    /// Whether it has a process that takes clients.
    fn is_ready(&self) -> bool {
        let serves = |slot| matches!(slot, Some(SlotState::Idle { .. } | SlotState::Busy { .. }));
        let mut processes = self.crew.iter().map(|it| self.crew.pool.state(it.id));
        !self.is_leaving && self.listener.is_some() && processes.any(serves)
    }
}
