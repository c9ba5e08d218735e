//! What the supervisor tells a balancer: whether the server is to get clients, and how many of them.

use super::listener::Supervised;
use super::supervisor::Supervisor;
use crate::server::monitor::agent::{Load, Verdict};
use crate::server::{Limits, Model};
use crate::sys::select::FD_SETSIZE;

impl Supervisor {
    /// With several listeners, the one that is fullest decides.
    pub(super) fn verdict(&mut self) -> Verdict {
        if self.state.stop.is_requested() {
            return Verdict::Drain;
        }
        let mut all = self.serving();
        if let Some(it) = all.find(|it| !it.is_ready()) {
            return Verdict::Down(it.address.to_string());
        }
        let loads = self.serving().map(Supervised::load);
        loads.min_by_key(|load| load.free()).map_or(Verdict::Drain, Verdict::Up)
    }
}

impl Supervised {
    fn load(&self) -> Load {
        self.ledger.settle_all();
        Load {
            clients: self.ledger.totals().now(),
            places: places(self.spec.model, &self.spec.limits),
        }
    }
}

/// How many clients a listener can serve at a time: as many as `max-connections` says, and no more than its model
/// has processes, threads or descriptors. `None`: a model that has what it needs for each client, without a limit.
fn places(model: Model, limits: &Limits) -> Option<u64> {
    let of_model = match model {
        Model::Iterative => Some(1),
        Model::ThreadPool => Some(u64::from(limits.threads.max)),
        Model::PoolStatic => Some(u64::from(limits.pool.workers)),
        Model::Prefork => Some(u64::from(limits.pool.max_workers)),
        Model::Select => Some(u64::from(FD_SETSIZE.unsigned_abs())),
        Model::Fork
        | Model::Thread
        | Model::Poll
        | Model::Epoll
        | Model::EpollEt
        | Model::Reactor => None,
    };
    let max = (limits.max_connections < usize::MAX).then_some(limits.max_connections as u64);
    of_model.into_iter().chain(max).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_has_as_many_places_as_its_model_and_its_limit_allow() {
        let free = Limits::default();
        let limited = Limits { max_connections: 10, ..free };
        for (model, own, of_ten) in [
            (Model::Iterative, Some(1), 1),
            (Model::Fork, None, 10),
            (Model::Thread, None, 10),
            (Model::ThreadPool, Some(100), 10),
            (Model::Select, Some(1024), 10),
            (Model::Poll, None, 10),
            (Model::Epoll, None, 10),
            (Model::EpollEt, None, 10),
            (Model::Reactor, None, 10),
            (Model::PoolStatic, Some(5), 5),
            (Model::Prefork, Some(20), 10),
        ] {
            let both = (places(model, &free), places(model, &limited));
            assert_eq!(both, (own, Some(of_ten)), "{}", model.name());
        }
    }
}
