//! The sockets at which the supervisor tells how the server is.

use tracing::info;

use crate::addr::Address;
use crate::error::Result;
use crate::reactor::{Context, Token};
use crate::sys::listener::{Access, Listener};

/// A thing for each of the two ways in which a server is asked how it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Probes<T> {
    /// The monitor, by HTTP.
    pub monitor: T,
    /// The agent check of a balancer.
    pub agent: T,
}

impl<T> Probes<T> {
    /// Another thing of each.
    ///
    /// # Errors
    /// That of the first one that fails.
    pub fn try_map<U>(self, mut make: impl FnMut(T) -> Result<U>) -> Result<Probes<U>> {
        Ok(Probes { monitor: make(self.monitor)?, agent: make(self.agent)? })
    }

    /// Those of this and those of `other`, side by side.
    pub(super) fn zip<U>(self, other: Probes<U>) -> Probes<(T, U)> {
        Probes { monitor: (self.monitor, other.monitor), agent: (self.agent, other.agent) }
    }

    /// Each of them, borrowed.
    pub fn as_ref(&self) -> Probes<&T> {
        Probes { monitor: &self.monitor, agent: &self.agent }
    }

    /// Each of them, to be changed.
    pub(super) fn as_mut(&mut self) -> Probes<&mut T> {
        Probes { monitor: &mut self.monitor, agent: &mut self.agent }
    }
}

impl<T> IntoIterator for Probes<T> {
    type Item = T;
    type IntoIter = std::array::IntoIter<T, 2>;

    fn into_iter(self) -> Self::IntoIter {
        [self.monitor, self.agent].into_iter()
    }
}

/// A socket at which the supervisor answers, if it is configured.
#[derive(Debug, Default)]
pub struct Probe {
    /// Its address, as configured.
    pub(super) address: Option<Address>,
    pub(super) socket: Option<Listener>,
    /// Its source in the loop.
    source: Option<Token>,
}

/// The backlog of its socket.
const BACKLOG: u32 = 128;

impl Probe {
    /// Opens the socket at `address`, unless it was passed.
    ///
    /// # Errors
    /// The address is taken, or is not one of this host.
    pub fn open(address: Option<Address>, passed: Option<Listener>) -> Result<Self> {
        let bind = |address| Listener::bind_with(address, BACKLOG, Access::PRIVATE);
        let socket = match passed {
            Some(passed) => Some(passed),
            None => address.as_ref().map(bind).transpose()?,
        };
        Ok(Self { address, socket, source: None })
    }

    /// Whether there is one.
    pub fn is_open(&self) -> bool {
        self.socket.is_some()
    }

    /// What is to take its place, if `address` is another one.
    pub(super) fn moved_to(&self, address: Option<&Address>) -> Result<Option<Self>> {
        let moves = address != self.address.as_ref();
        moves.then(|| Self::open(address.cloned(), None)).transpose()
    }

    /// Answers from now on, as `listen` does, if it does not yet. The log calls it `name`.
    pub(super) fn answer<S>(
        &mut self,
        cx: &mut Context<S>,
        name: &str,
        listen: impl FnOnce(&mut Context<S>, Listener) -> Result<Token>,
    ) -> Result<()> {
        if let (Some(socket), None) = (&self.socket, self.source) {
            self.source = Some(listen(cx, socket.share()?)?);
            info!(address = %socket.address(), "the {name} listens");
        }
        Ok(())
    }

    /// Answers no longer. The socket, if there is one.
    pub(super) fn leave<S>(&mut self, cx: &mut Context<S>) -> Option<Listener> {
        if let Some(source) = self.source.take() {
            cx.remove(source);
        }
        self.socket.take()
    }
}
