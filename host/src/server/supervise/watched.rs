//! The monitor of the supervisor: the state of all listeners at one address.

use std::rc::Rc;

use windlass_core::pool::processes::State as SlotState;
use windlass_core::time::Instant;

use super::listener::Supervised;
use super::probes::Probes;
use super::supervisor::{Cx, Supervisor};
use crate::addr::Transport;
use crate::error::Result;
use crate::server::monitor::document::{Overview, Told as Listed};
use crate::server::monitor::{self, Asked, Told, agent, history, metrics, page};
use crate::status::Status;
use crate::sys::listener::Listener;

impl Supervisor {
    /// Answers at every address at which it does not yet.
    pub(super) fn answer_probes(&mut self, cx: &mut Cx) -> Result<()> {
        let Probes { monitor, agent } = &mut self.probes;
        match self.sampler {
            None if monitor.is_open() => {
                self.listeners.iter_mut().for_each(|it| it.sample(cx.now()));
                self.sampler = Some(cx.every(history::EVERY, |this: &mut Self, cx| {
                    this.listeners.iter_mut().for_each(|it| it.sample(cx.now()));
                }));
            }
            Some(sampler) if !monitor.is_open() => {
                cx.remove(sampler);
                self.sampler = None;
            }
            _ => {}
        }
        let is_replaced = Rc::clone(&self.is_replaced);
        monitor.answer(cx, "monitor", |cx, socket| {
            monitor::listen(cx, socket, is_replaced, Self::tell)
        })?;
        agent.answer(cx, "agent", |cx, socket| agent::listen(cx, socket, Self::verdict))
    }

    fn tell(&mut self, Asked { name, accept }: Asked<'_>, now: Instant) -> Told {
        match name {
            b"" => {
                let overview = self.overview(now, |it, now| it.counted(now).printable());
                let histories: Vec<_> = self.listeners.iter().map(|it| &it.history).collect();
                Told::Document("text/html", page::of(&overview, &histories))
            }
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

    /// Whether every listener serves, and the server was not told to stop. A client that asks when the next binary
    /// serves already asks about that one.
    fn is_ready(&self) -> bool {
        if self.is_replaced.get() {
            return true;
        }
        !self.state.stop.is_requested() && self.serving().all(Supervised::is_ready)
    }

    /// The listeners that are configured: others drain.
    pub(super) fn serving(&self) -> impl Iterator<Item = &Supervised> {
        self.listeners.iter().filter(|it| !it.is_leaving)
    }

    fn overview(
        &mut self,
        now: Instant,
        status: fn(&mut Supervised, Instant) -> Status,
    ) -> Overview {
        let ready = self.is_ready();
        let list = |it: &mut Supervised| Listed {
            ready: it.is_ready(),
            answers_datagrams: it.answers_datagrams(),
            status: status(it, now),
        };
        Overview {
            version: env!("CARGO_PKG_VERSION"),
            pid: std::process::id(),
            started_us: self.started_us,
            uptime_us: now.since(self.started),
            ready,
            stopping: self.state.stop.is_requested(),
            listeners: self.listeners.iter_mut().map(list).collect(),
        }
    }
}

impl Supervised {
    /// Whether it has a process that takes clients.
    pub(super) fn is_ready(&self) -> bool {
        let serves = |slot| matches!(slot, Some(SlotState::Idle { .. } | SlotState::Busy { .. }));
        let mut processes = self.crew.iter().map(|it| self.crew.pool.state(it.id));
        !self.is_leaving && self.listener.is_some() && processes.any(serves)
    }

    /// Whether each datagram is answered by itself.
    fn answers_datagrams(&self) -> bool {
        let is_of_datagrams = |it: &Listener| it.transport() == Transport::Datagram;
        self.listener.as_ref().is_some_and(is_of_datagrams) && self.offer.answers_from_its_port()
    }

    /// What has happened since the last sample is one more.
    fn sample(&mut self, now: Instant) {
        self.history.note(&self.ledger.totals(), now);
    }
}
