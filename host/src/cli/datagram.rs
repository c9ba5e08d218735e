//! `windlass score` and `windlass cast`.

use std::net::IpAddr;
use std::time::Duration;

use clap::Subcommand;

use super::Failure;
use crate::addr::{Address, HostPort};
use crate::client::datagram::cast::{self, Text};
use crate::client::datagram::score::{self, Report};
use crate::client::datagram::{Listening, Route};

#[derive(Debug, Subcommand)]
pub(super) enum Score {
    /// Send a score; nothing says whether it arrived
    Send {
        /// Where to: udp:HOST:PORT, also of a broadcast address or a multicast group, or unix-dgram:PATH
        address: Address,
        /// The name on the score, of at most 495 bytes
        #[arg(long)]
        name: String,
        /// The mark in mathematics
        #[arg(long, value_name = "N")]
        math: u32,
        /// The mark in Chinese
        #[arg(long, value_name = "N")]
        chinese: u32,
        /// Allow a broadcast address
        #[arg(long)]
        broadcast: bool,
        /// Leave by this interface
        #[arg(long, value_name = "NAME")]
        interface: Option<String>,
        /// The most routers that the datagram may pass; 0: it stays on this host [default: 1 to a group]
        #[arg(long, value_name = "N")]
        ttl: Option<u8>,
        /// Send it so often
        #[arg(long, value_name = "N", default_value = "1")]
        count: u64,
    },
    /// Print each score that arrives: address, port, name, marks
    Listen {
        /// Where: udp:HOST:PORT or unix-dgram:PATH; the address of a multicast group is joined
        address: Address,
        /// Join this multicast group
        #[arg(long, value_name = "ADDR")]
        group: Option<IpAddr>,
        /// Of the group, or without one of all scores: the interface that they arrive at
        #[arg(long, value_name = "NAME")]
        interface: Option<String>,
        /// Print a line of JSON for each
        #[arg(long)]
        json: bool,
        /// End after this number of scores
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
        count: Option<u64>,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Cast {
    /// Send a text to a group, again and again
    Send {
        /// The group and the port [default: 239.0.0.2:9000]
        #[arg(value_name = "GROUP:PORT")]
        group: Option<HostPort>,
        /// Leave by this interface
        #[arg(long, value_name = "NAME")]
        interface: Option<String>,
        /// Send so often, in milliseconds
        #[arg(long, value_name = "MS", default_value = "1000", value_parser = clap::value_parser!(u64).range(1..))]
        interval: u64,
        /// The text; %d is the number of the datagram, %% a %, \n a line feed
        #[arg(long, value_name = "FMT", default_value = r"itcast %d\n", value_parser = Text::parse)]
        text: Text,
        /// The most routers that the datagrams may pass [default: 1]
        #[arg(long, value_name = "N")]
        ttl: Option<u8>,
        /// End after this number of datagrams
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
        count: Option<u64>,
    },
    /// Print the text of each datagram that arrives
    Listen {
        /// The group and the port [default: 239.0.0.2:9000]
        #[arg(value_name = "GROUP:PORT")]
        group: Option<HostPort>,
        /// Join on this interface
        #[arg(long, value_name = "NAME")]
        interface: Option<String>,
        /// End after this number of datagrams
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
        count: Option<u64>,
    },
}

pub(super) fn score(what: Score) -> Result<(), Failure> {
    let done = match what {
        Score::Send { address, name, math, chinese, broadcast, interface, ttl, count } => {
            let given = [
                ("--broadcast", broadcast),
                ("--interface", interface.is_some()),
                ("--ttl", ttl.is_some()),
            ];
            are_of_udp(&address, given)?;
            let report = Report { name, math, chinese };
            score::send(&address, &report, &Route { interface, broadcast, ttl }, count)
        }
        Score::Listen { address, group, interface, json, count } => {
            let given = [("--group", group.is_some()), ("--interface", interface.is_some())];
            are_of_udp(&address, given)?;
            score::listen(&Listening { address, group, interface, count }, json)
        }
    };
    done.map_err(Failure::from)
}

/// A Unix socket has no groups and no interfaces.
fn are_of_udp<const N: usize>(address: &Address, given: [(&str, bool); N]) -> Result<(), Failure> {
    let given = given.into_iter().find(|&(_, is_given)| is_given);
    match (address, given) {
        (Address::Udp(_), _) | (_, None) => Ok(()),
        (_, Some((option, _))) => {
            Err(Failure::Usage(format!("{option} is for udp:HOST:PORT, not for {address}")))
        }
    }
}

pub(super) fn cast(what: Cast) -> Result<(), Failure> {
    let done = match what {
        Cast::Send { group, interface, interval, text, ttl, count } => {
            let group = group.unwrap_or_else(cast::default_group);
            let route = Route { interface, ttl, broadcast: false };
            cast::send(&group, &text, &route, Duration::from_millis(interval), count)
        }
        Cast::Listen { group, interface, count } => {
            let address = Address::Udp(group.unwrap_or_else(cast::default_group));
            cast::listen(&Listening { address, group: None, interface, count })
        }
    };
    done.map_err(Failure::from)
}
