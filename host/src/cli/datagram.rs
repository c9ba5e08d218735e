//! `windlass score` and `windlass cast`.

use std::net::IpAddr;
use std::time::Duration;

use clap::Subcommand;

use super::Failure;
use super::outcome::or_signal;
use crate::addr::{Address, HostPort};
use crate::client::datagram::cast::{self, Text};
use crate::client::datagram::score::{self, Report};
use crate::client::datagram::{Listening, Route};

#[derive(Debug, Subcommand)]
pub(super) enum Score {
    /// Send a score in a datagram; there is no answer, so the sender does not learn whether it arrived
    Send {
        /// The receiver: udp:HOST:PORT or unix-dgram:PATH; HOST may be a broadcast address or a multicast group
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
        /// Allow sending to a broadcast address
        #[arg(long)]
        broadcast: bool,
        /// Send through this network interface
        #[arg(long, value_name = "NAME")]
        interface: Option<String>,
        /// The time to live, of which each router takes 1. To a group, 1 stays in the local network, and 0 on this
        /// host [default: 1 to a group, otherwise that of the system]
        #[arg(long, value_name = "N")]
        ttl: Option<u8>,
        /// Send the score this number of times
        #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u64).range(1..))]
        count: u64,
    },
    /// Print each score that arrives: address, port, name, marks
    Listen {
        /// The address to receive at: udp:HOST:PORT or unix-dgram:PATH; if HOST is a multicast group, it is joined
        address: Address,
        /// Join this multicast group
        #[arg(long, value_name = "ADDR")]
        group: Option<IpAddr>,
        /// Join the group on this network interface; without a group, receive only what arrives at it
        #[arg(long, value_name = "NAME")]
        interface: Option<String>,
        /// Print each score as a line of JSON
        #[arg(long)]
        json: bool,
        /// End after this number of scores
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
        count: Option<u64>,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Cast {
    /// Send a text to a group, once in each interval
    Send {
        /// The group and the port [default: 239.0.0.2:9000]
        #[arg(value_name = "GROUP:PORT")]
        group: Option<HostPort>,
        /// Send through this network interface
        #[arg(long, value_name = "NAME")]
        interface: Option<String>,
        /// Time from one datagram to the next, in milliseconds
        #[arg(long, value_name = "MS", default_value = "1000", value_parser = clap::value_parser!(u64).range(1..))]
        interval: u64,
        /// The text. %d stands for the number of the datagram, counted from 0, %% for %, and \n for a line feed
        /// [default: itcast %d\n]
        #[arg(long, value_name = "FMT", default_value = cast::TEXT_FORMAT, hide_default_value = true, value_parser = Text::parse)]
        text: Text,
        /// The time to live, of which each router takes 1: 1 stays in the local network, and 0 on this host
        /// [default: 1]
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
        /// Join the group on this network interface
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
                .map(|()| None)
        }
        Score::Listen { address, group, interface, json, count } => {
            let given = [("--group", group.is_some()), ("--interface", interface.is_some())];
            are_of_udp(&address, given)?;
            score::listen(&Listening { address, group, interface, count }, json)
        }
    };
    or_signal(done?)
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
    or_signal(done?)
}
