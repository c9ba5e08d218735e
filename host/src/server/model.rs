//! The server models, by name.

/// A model of serving many clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Model {
    /// One client after another.
    Iterative,
    /// A process for each client.
    Fork,
    /// A thread for each client.
    Thread,
    /// Clients wait for one of a varying number of threads.
    ThreadPool,
    /// `select(2)`.
    Select,
    /// `poll(2)`.
    Poll,
    /// `epoll(7)`, level-triggered.
    Epoll,
    /// `epoll(7)`, edge-triggered.
    EpollEt,
    /// The event loop of [`crate::reactor`].
    Reactor,
    /// A fixed number of processes; the parent accepts and passes connections.
    PoolStatic,
    /// Processes that all accept on one listener; how many there are follows the load.
    Prefork,
}

impl Model {
    /// All models, from the simplest to the process pools.
    pub const ALL: [Self; 11] = [
        Self::Iterative,
        Self::Fork,
        Self::Thread,
        Self::ThreadPool,
        Self::Select,
        Self::Poll,
        Self::Epoll,
        Self::EpollEt,
        Self::Reactor,
        Self::PoolStatic,
        Self::Prefork,
    ];

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Iterative => "iterative",
            Self::Fork => "fork",
            Self::Thread => "thread",
            Self::ThreadPool => "thread-pool",
            Self::Select => "select",
            Self::Poll => "poll",
            Self::Epoll => "epoll",
            Self::EpollEt => "epoll-et",
            Self::Reactor => "reactor",
            Self::PoolStatic => "pool-static",
            Self::Prefork => "prefork",
        }
    }

    /// Why it cannot serve `service` on datagrams; `None`: it can.
    pub(super) fn misfit_of_datagrams(self, service: &str) -> Option<String> {
        let gives = match self {
            Self::Fork => "a process to each connection",
            Self::Thread => "a thread to each connection",
            Self::PoolStatic => "each connection to a worker",
            Self::Iterative
            | Self::ThreadPool
            | Self::Select
            | Self::Poll
            | Self::Epoll
            | Self::EpollEt
            | Self::Reactor
            | Self::Prefork => return None,
        };
        let name = self.name();
        Some(format!(
            "{name} gives {gives}, and {service} on datagrams has no connections; use iterative, thread-pool, \
             select, poll, epoll, epoll-et, reactor or prefork"
        ))
    }

    /// Why it cannot serve all transfers at one port; `None`: it can.
    #[cfg(feature = "transfer")]
    pub(crate) fn misfit_of_single_port(self) -> Option<String> {
        match self {
            Self::Select | Self::Poll | Self::Epoll | Self::EpollEt | Self::Reactor => None,
            Self::Iterative
            | Self::Fork
            | Self::Thread
            | Self::ThreadPool
            | Self::PoolStatic
            | Self::Prefork => Some(format!(
                "{} serves each client apart, and at a single port all clients share one socket; use select, \
                 poll, epoll, epoll-et or reactor",
                self.name()
            )),
        }
    }

    /// Whether it has a parent and workers, each a process: the parent tells its state itself.
    pub fn is_pool(self) -> bool {
        matches!(self, Self::PoolStatic | Self::Prefork)
    }

    /// The role of the process that has the listener, in its title and its log.
    pub fn part(self) -> String {
        let parent = if self.is_pool() { " parent" } else { "" };
        format!("{}{parent}", self.name())
    }
}
