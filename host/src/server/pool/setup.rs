//! A server that is about to run as a process pool.

use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;
use std::sync::Arc;

use super::Pool;
use super::board::Board;
use super::document::About;
use crate::drive::{AccessLog, Ledger, Rules};
use crate::error::{Error, Result};
use crate::server::common::Server;
use crate::server::confine::Sandbox;
use crate::server::ready::WhenReady;
use crate::server::{Model, Offer, Stop};
use crate::sys::listener::Listener;
use crate::sys::root::Root;

/// The values that the model of a pool works with, and those of its parent.
pub(in crate::server) struct Setup {
    pub(in crate::server) listener: Listener,
    pub(in crate::server) offer: Offer,
    pub(in crate::server) pool: Pool,
    pub(in crate::server) rules: Rules,
    pub(in crate::server) terms: Terms,
}

/// The values that the parent of a pool works with.
pub(in crate::server) struct Terms {
    pub(super) about: About,
    pub(super) stop: Stop,
    /// The confinement that a worker enters before it serves.
    pub(super) sandbox: Sandbox,
    pub(super) when_ready: WhenReady,
    /// The folder that workers serve, if they serve one.
    pub(super) root: Option<Arc<Root>>,
    /// Where parent and workers count.
    pub(super) ledger: Option<Arc<Ledger>>,
    /// What workers write their access log with.
    pub(super) log: Option<Arc<AccessLog>>,
    /// Set by a model with workers that accept by themselves.
    pub(in crate::server) shared: Option<Shared>,
}

/// The listener and the scoreboard that workers share if they accept by themselves.
#[derive(Clone)]
pub(in crate::server) struct Shared {
    pub(in crate::server) listener: Rc<Listener>,
    pub(in crate::server) board: Rc<Board>,
}

impl Setup {
    pub(in crate::server) fn of(mut server: Server, model: Model) -> Result<Self> {
        // Without a supervisor the parent alone tells the state.
        if server.control.is_some() && server.ledger.is_none() {
            server.ledger = Some(Arc::new(Ledger::new()?));
        }
        let (sandbox, rules) = (server.sandbox(model), server.rules());
        let listener = server.acceptor.take().into_listener();
        let listener =
            listener.ok_or_else(|| Error::new("start", "a pool", "it does not listen"))?;
        let Server { offer, limits, stop, control, when_ready, ledger, .. } = server;
        let pool = limits.pool.within(limits.max_connections);
        let about = About::of(model, &offer, pool, &listener, control)?;
        let (root, log) = (rules.root.clone(), offer.access_log().cloned());
        let terms = Terms { about, stop, sandbox, when_ready, root, ledger, log, shared: None };
        Ok(Self { listener, offer, pool, rules, terms })
    }
}

impl Shared {
    /// The listener and a new scoreboard, for a pool of this many slots.
    pub(in crate::server) fn new(listener: Listener, slots: usize, pool: Pool) -> Result<Self> {
        Ok(Self { listener: Rc::new(listener), board: Rc::new(Board::new(slots, pool)?) })
    }

    /// The descriptors that a worker keeps.
    pub(super) fn descriptors(&self) -> [BorrowedFd<'_>; 2] {
        [self.listener.as_fd(), self.board.as_fd()]
    }
}
