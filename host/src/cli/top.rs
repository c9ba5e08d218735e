//! What is said of the whole server: options of `serve`, and keys of the configuration beside its listeners.

use super::values::{Micros, probe_address};
use crate::addr::Address;
use crate::server::Spec;
use crate::server::supervise::{Probes, Wanted};

/// What is said of the whole server.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Top {
    /// Time that connections have to end after SIGTERM or SIGINT
    #[arg(long, value_name = "SECS", default_value = "5")]
    pub(super) grace: Micros,
    /// Time that connections have to end after SIGQUIT, or when another process goes on serving
    #[arg(long, value_name = "SECS", default_value = "3600")]
    pub(super) drain: Micros,
    /// Tell the state of all listeners by HTTP at this address: a page, /metrics (Prometheus), /status.json,
    /// /healthz, /readyz
    #[arg(long, value_name = "ADDR", value_parser = probe_address)]
    pub(super) monitor: Option<Address>,
    /// Answer the agent check of a balancer (haproxy) at this address: `up ready` and the free part of the places in
    /// percent, `drain` from the first signal to stop on, or `down`
    #[arg(long, value_name = "ADDR", value_parser = probe_address)]
    pub(super) agent: Option<Address>,
    /// Time for which a server that was told to stop still takes clients, while /readyz and the agent say
    /// that it stops
    #[arg(long, value_name = "SECS", default_value = "0")]
    pub(super) stop_delay: Micros,
}

/// The keys of a configuration, of which a listener is one.
pub(super) const KEYS: [&str; 6] = ["grace", "drain", "monitor", "agent", "stop-delay", "listener"];

impl Top {
    /// Why a delay of the stop is refused, if it is.
    pub(super) fn wrong(&self) -> Option<&'static str> {
        let is_told = self.monitor.is_some() || self.agent.is_some();
        (self.stop_delay.0 > 0 && !is_told).then_some(
            "stop-delay is for a balancer, which asks at monitor or agent, and neither is there",
        )
    }

    /// The same with listeners.
    pub(super) fn with(self, listeners: Vec<Spec>) -> Wanted {
        let probes = Probes { monitor: self.monitor, agent: self.agent };
        Wanted { listeners, probes, stop_delay_us: self.stop_delay.0 }
    }
}
