//! A listener as the supervisor has it: its configuration, its sockets, its processes.

use std::path::Path;
use std::sync::Arc;

use tracing::{error, info, warn};
use windlass_core::pool::processes::{Notice, Policy};
use windlass_core::time::Instant;

use crate::addr::Address;
use crate::drive::Ledger;
use crate::error::Result;
use crate::reactor::Token;
use crate::server::Offer;
use crate::server::children::{Crew, Process};
use crate::server::monitor::history::History;
use crate::server::spec::{Opened, Spec};
use crate::server::usage::Usage;
use crate::sys::listener::Listener;
use crate::sys::shared::Flag;
use crate::sys::user::User;

/// Processes of one listener at a time: one that serves, one that is to replace it, and those that were
/// replaced and still have connections. With that many, a reload waits for the first of them to end.
const SLOTS: u16 = 8;

/// How much longer than its own deadline a process may take before it is killed, in microseconds.
pub(super) const SLACK_US: u64 = 1_000_000;

/// How long its last clients may wait to be accepted before it is closed, in microseconds. At a server that is full
/// they would wait as long as others need.
const LAST_CLIENTS_US: u64 = 1_000_000;

/// The name of a listener for as long as the supervisor lives.
pub(super) type Key = u32;

/// A listener.
pub(super) struct Supervised {
    pub(super) key: Key,
    pub(super) spec: Spec,
    pub(super) offer: Offer,
    /// The socket on which its state is told: by its process, if that is the parent of a pool.
    pub(super) control: Option<Listener>,
    /// The source of that socket in this loop, if the supervisor tells it.
    pub(super) answers: Option<Token>,
    /// Where its processes count.
    pub(super) ledger: Arc<Ledger>,
    /// The last minutes, for the monitor.
    pub(super) history: History,
    pub(super) usage: Usage,
    pub(super) started: Instant,
    pub(super) user: Option<User>,
    /// Where it listens, with the real port, also after its socket was closed.
    pub(super) address: Address,
    /// The socket. None: it was closed, and its processes are to end.
    pub(super) listener: Option<Listener>,
    pub(super) crew: Crew<Notes>,
    is_announced: bool,
    /// When the certificate expires that the newest process which is ready shows.
    pub(super) certificate_expires_us: Option<u64>,
    /// A process of the newest configuration is ready, or there is no hope for one.
    pub(super) is_settled: bool,
    /// Its processes keep ending soon after their start.
    pub(super) is_looping: bool,
    /// It is removed when its processes have ended.
    pub(super) is_leaving: bool,
    /// Its processes were asked to end.
    pub(super) is_asked: bool,
    /// When its last clients are to be accepted, if no others come any more.
    last_until: Option<Instant>,
}

/// A process of a listener.
pub(super) type Child = Process<Notes>;

/// The notes of the supervisor about a process.
pub(super) struct Notes {
    /// The generation of the configuration with which it runs.
    pub(super) generation: u32,
    /// It was asked to end.
    pub(super) is_asked: bool,
    /// Set when its answers are to say that their connections end.
    pub(super) ending: Option<Arc<Flag>>,
}

impl Supervised {
    /// A listener without processes. `timer` has to tell its pool the time.
    pub(super) fn new(key: Key, opened: Opened, timer: Token, now: Instant) -> Result<Self> {
        let Opened { spec, offer, listener, control, user } = opened;
        let (drain_us, grace_us) = timeouts(&spec);
        // A surge of all slots but one: processes that were replaced and still drain count as well.
        let policy = Policy { surge: SLOTS - 1, drain_us, grace_us, ..Policy::fixed(1) };
        Ok(Self {
            key,
            spec,
            offer,
            control,
            answers: None,
            ledger: Arc::new(Ledger::new()?),
            history: History::default(),
            usage: Usage::default(),
            started: now,
            user,
            address: listener.address().clone(),
            listener: Some(listener),
            crew: Crew::new(policy, timer, now)?,
            is_announced: false,
            certificate_expires_us: None,
            is_settled: false,
            is_looping: false,
            is_leaving: false,
            is_asked: false,
            last_until: None,
        })
    }

    /// As the log calls it.
    pub(super) fn name(&self) -> String {
        format!("{} {}", self.spec.service.name(), self.address)
    }

    /// No client comes any more. Whether some wait to be accepted, and there is time for that.
    pub(super) fn has_last_clients(&mut self, now: Instant) -> bool {
        let Some(socket) = &self.listener else { return false };
        let until = *self.last_until.get_or_insert_with(|| {
            if socket.take_no_more() { now.after(LAST_CLIENTS_US) } else { now }
        });
        now < until && socket.accept_queue().is_some_and(|queue| queue.waiting > 0)
    }

    /// Takes another configuration, with what was opened for it. A process with it is still to be started.
    pub(super) fn change(
        &mut self,
        spec: Spec,
        offer: Offer,
        user: Option<User>,
        control: Option<Listener>,
    ) {
        if let Some(listener) = &self.listener
            && spec.backlog != self.spec.backlog
            && let Err(error) = listener.set_backlog(spec.backlog)
        {
            error!(listener = %self.name(), "{error}");
        }
        let (drain_us, grace_us) = timeouts(&spec);
        self.crew.pool.set_grace(drain_us, grace_us);
        (self.spec, self.offer, self.user, self.control) = (spec, offer, user, control);
        self.is_settled = false;
    }

    /// Whether a process with `spec` would be another one.
    pub(super) fn differs_from(&self, spec: &Spec) -> bool {
        self.spec != *spec || self.has_new_certificate() || self.has_another_root()
    }

    /// Whether its certificate has changed, and is good.
    #[cfg_attr(not(feature = "tls"), expect(clippy::unused_self))]
    fn has_new_certificate(&self) -> bool {
        #[cfg(feature = "tls")]
        return self.offer.credentials().is_some_and(|credentials| credentials.has_changed());
        #[cfg(not(feature = "tls"))]
        return false;
    }

    /// Whether its root is another folder by now: those that publish versions of a site change a link.
    fn has_another_root(&self) -> bool {
        let (Some(root), Some(files)) = (self.offer.root(), &self.spec.files) else { return false };
        let is_same = root.is_at(&files.root).unwrap_or_else(|error| {
            warn!(listener = %self.name(), "{error}; the folder that was opened is served on");
            true
        });
        !is_same
    }

    /// Whether its control socket is the one at `path`.
    pub(super) fn has_control(&self, path: &Path) -> bool {
        self.control.is_some() && self.spec.control.as_deref() == Some(path)
    }

    /// Logs it when there is no room for a process of the newest configuration.
    pub(super) fn warn_if_full(&self) {
        let (newest, count) = (self.crew.pool.generation(), self.crew.iter().count());
        if count >= usize::from(SLOTS) && self.crew.iter().all(|it| it.notes.generation != newest) {
            let name = self.name();
            warn!(listener = %name, "it is served as before until one of its {count} processes has drained");
        }
    }

    /// Passes SIGHUP on. A loop with a certificate has nothing else that could be read again.
    pub(super) fn hang_up(&self) {
        #[cfg(feature = "tls")]
        if self.offer.credentials().is_some() && !self.spec.model.is_pool() {
            return;
        }
        self.crew.iter().for_each(|process| process.child.hang_up());
    }

    /// A process is ready. Whether that is to be announced: the first time.
    pub(super) fn ready(&mut self, generation: u32, pid: i32) -> bool {
        if generation == self.crew.pool.generation() {
            self.is_settled = true;
            self.certificate_expires_us = self.offer.certificate_expires_us();
        }
        if self.listener.is_none() {
            return false;
        }
        let is_first = !std::mem::replace(&mut self.is_announced, true);
        if !is_first {
            info!(listener = %self.name(), pid, "it is served by a new process");
        }
        is_first
    }

    /// Logs what the core reports.
    pub(super) fn log(&mut self, notice: Notice) {
        let name = self.name();
        match notice {
            Notice::CrashLoop => {
                error!(listener = %name, "crash loop: its processes keep ending soon after their start; one is started each second");
                (self.is_looping, self.is_settled) = (true, true);
            }
            Notice::Recovered => {
                info!(listener = %name, "the crash loop is over");
                self.is_looping = false;
            }
            Notice::SpawnsFail => {
                error!(listener = %name, "its process cannot be started: trying again, at growing intervals");
            }
            Notice::SpawnsWork => info!(listener = %name, "its process can be started again"),
            Notice::Reloaded { .. } => info!(listener = %name, "its process was replaced"),
        }
    }
}

/// The times after which a process that was replaced, and a process that was stopped, is killed. Both end by themselves
/// before that. The supervisor times its own stop.
fn timeouts(spec: &Spec) -> (u64, u64) {
    let [drain, grace] = [spec.drain_us, spec.grace_us].map(|us| us.saturating_add(SLACK_US));
    (drain, drain.max(grace))
}
