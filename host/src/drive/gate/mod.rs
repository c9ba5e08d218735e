//! Which clients a listener serves, and how much each of them may have.
//!
//! ```text
//!   a client's address ──▶ deny? ──▶ allow? ──▶ a place left? ──▶ Guest: its place, its rate
//!                            └─ Denied ─┘          └─ Full
//! ```
//!
//! A client is an IPv4 address, or an IPv6 network of 64 bits: a host chooses the other 64 bits as it likes.
//! What is counted is in memory that all processes of the server share.

mod places;
mod rate;

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tracing::warn;
use windlass_core::responder::Response;
use windlass_core::time::Instant;

use self::places::{Found, Place, Places};
use self::rate::{Clients, Rate};
use super::access_log::AccessLog;
use crate::error::Result;
use crate::network::{Balancer, Network, first_of};
use crate::sys::clock;
use crate::sys::stream::Stream;

/// Which clients a listener serves, and how much each of them may have. The default is all, without a limit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Admission {
    /// If there are any, only clients of these networks are served.
    pub allow: Vec<Network>,
    /// Clients of these networks are not served, also if they are allowed.
    pub deny: Vec<Network>,
    /// Connections or transfers of one client at a time, at most [`Admission::PER_CLIENT_MAX`].
    pub per_client: Option<u32>,
    /// Bytes per second that a connection or a transfer is sent.
    pub rate: Option<NonZeroU32>,
    /// Balancers: their connections begin with a header that says which client they are of (PROXY protocol).
    pub proxies: Vec<Balancer>,
    /// Bytes per second of all connections, transfers and datagrams of a client together, in the direction that has
    /// more.
    pub client_rate: Option<NonZeroU32>,
}

/// An [`Admission`] with what it counts, for all processes that serve a listener.
#[derive(Debug)]
pub(crate) struct Gate {
    terms: Admission,
    log: Option<Arc<AccessLog>>,
    places: Option<Arc<Places>>,
    clients: Option<Clients>,
    hasher: RandomState,
    /// Clients that were refused since the last line about it, and when that was.
    refused: AtomicU64,
    refused_at: AtomicU64,
}

/// A client that is served.
#[derive(Debug)]
pub(crate) struct Guest {
    gate: Arc<Gate>,
    /// A hash of the client.
    client: u64,
    place: Option<Place>,
    /// When what it was sent is paid, in microseconds.
    paid_at: u64,
}

/// What came of a client at the gate.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// It is served.
    Welcome(Guest),
    /// It is not among the clients of the listener.
    Denied,
    /// It has as much as one client may have.
    Full,
}

/// Microseconds between two lines about refused clients.
const SAY_EVERY_US: u64 = 1_000_000;

/// Bits of an IPv6 address that are the client's network.
const NETWORK_BITS: u8 = 64;

impl Admission {
    /// The most connections that one client may be limited to.
    pub const PER_CLIENT_MAX: u32 = places::PER_CLIENT_MAX;

    /// The lowest rate: a reply to one read is no more than a few seconds of it.
    pub const RATE_MIN: u32 = 1024;

    fn admits(&self, address: IpAddr) -> bool {
        let is_in = |networks: &[Network]| networks.iter().any(|it| it.contains(address));
        !is_in(&self.deny) && (self.allow.is_empty() || is_in(&self.allow))
    }
}

impl Gate {
    /// A gate with counts of its own, or with those that `before` has.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub(crate) fn new(
        terms: Admission,
        log: Option<Arc<AccessLog>>,
        before: Option<&Self>,
    ) -> Result<Self> {
        let places = match (terms.per_client, before.and_then(|gate| gate.places.clone())) {
            (None, _) => None,
            (Some(_), Some(places)) => Some(places),
            (Some(_), None) => Some(Arc::new(Places::new()?)),
        };
        Ok(Self {
            places,
            clients: terms.client_rate.map(|_| Clients::new()).transpose()?,
            // Places are found by this.
            hasher: before.map_or_else(RandomState::new, |gate| gate.hasher.clone()),
            terms,
            log,
            refused: AtomicU64::new(0),
            refused_at: AtomicU64::new(0),
        })
    }

    /// Whether a connection begins with a header.
    pub(crate) fn is_of_balancer(&self, stream: &Stream, address: Option<IpAddr>) -> bool {
        self.terms.proxies.iter().any(|it| match it {
            Balancer::Network(network) => address.is_some_and(|address| network.contains(address)),
            Balancer::Unix => stream.is_unix(),
        })
    }

    /// Where its clients are noted.
    pub(crate) fn log(&self) -> Option<&Arc<AccessLog>> {
        self.log.as_ref()
    }

    /// A client comes. Without an internet address it is served, and not counted.
    pub(crate) fn admit(self: &Arc<Self>, address: Option<IpAddr>) -> Verdict {
        let client = address.map(|address| self.hash(address));
        if !address.is_none_or(|address| self.terms.admits(address)) {
            self.note_refused();
            return Verdict::Denied;
        }
        let place = match (&self.places, self.terms.per_client, client) {
            (Some(places), Some(max), Some(client)) => match places.take(client, max) {
                Found::Place(place) => Some(place),
                Found::NoRoom => None,
                Found::Full => {
                    self.note_refused();
                    return Verdict::Full;
                }
            },
            _ => None,
        };
        let client = client.unwrap_or_default();
        Verdict::Welcome(Guest { gate: Arc::clone(self), client, place, paid_at: 0 })
    }

    /// Whether a datagram of this client and of this size is answered, by a service that keeps no state of a client. The
    /// access log has those that are not.
    pub(crate) fn lets_ask(&self, now: Instant, peer: SocketAddr, received: usize) -> bool {
        let rated = self.clients.as_ref().zip(self.terms.client_rate);
        let owes = |(clients, rate): (&Clients, _)| {
            !clients.lets_ask(self.hash(peer.ip()), Rate(rate), now, received as u64)
        };
        let why = if !self.terms.admits(peer.ip()) {
            "denied"
        } else if rated.is_some_and(owes) {
            "full"
        } else {
            return true;
        };
        if let Some(log) = &self.log {
            log.note_datagram(peer, why, 0);
        }
        false
    }

    /// Such a datagram had this response. As of a connection, the way that has more bytes counts: so reports without
    /// replies have a limit too.
    pub(crate) fn did_ask(
        &self,
        now: Instant,
        peer: SocketAddr,
        received: usize,
        response: Response,
    ) {
        let (outcome, sent) = match response {
            Response::Reply(sent) => ("ok", sent),
            Response::NoReply => ("ok", 0),
            Response::Malformed(_) => ("malformed", 0),
        };
        if let (Some(clients), Some(rate)) = (&self.clients, self.terms.client_rate) {
            let more = sent.saturating_sub(received) as u64;
            clients.charge(self.hash(peer.ip()), Rate(rate), now, more);
        }
        if let Some(log) = &self.log {
            log.note_datagram(peer, outcome, sent as u64);
        }
    }

    fn hash(&self, address: IpAddr) -> u64 {
        match address.to_canonical() {
            address @ IpAddr::V4(_) => self.hasher.hash_one(address),
            address @ IpAddr::V6(_) => self.hasher.hash_one(first_of(address, NETWORK_BITS)),
        }
    }

    /// Logs that clients are refused, at most once a second in each process.
    #[cold]
    #[inline(never)]
    fn note_refused(&self) {
        let now = clock::now().as_micros();
        let before = self.refused_at.load(Ordering::Relaxed);
        self.refused.fetch_add(1, Ordering::Relaxed);
        let is_due = before == 0 || now.saturating_sub(before) >= SAY_EVERY_US;
        let is_ours = || {
            self.refused_at
                .compare_exchange(before, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        };
        if is_due && is_ours() {
            let refused = self.refused.swap(0, Ordering::Relaxed);
            warn!(
                refused,
                "refused: clients that are denied, or have as much as a client may have"
            );
        }
    }
}

impl Guest {
    /// When more may be sent to it, if that is not now.
    pub(crate) fn held_until(&self, now: Instant) -> Option<Instant> {
        let of_client = self.gate.clients.as_ref().map(|it| it.paid_at(self.client, now));
        rate::until(of_client.unwrap_or(0).max(self.paid_at), now)
    }

    /// Bytes that it may be sent in one turn.
    pub(crate) fn bytes_of_a_turn(&self) -> usize {
        let Admission { rate, client_rate, .. } = self.gate.terms;
        let rates = [rate, client_rate].into_iter().flatten();
        rates.map(|rate| Rate(rate).of_a_turn()).min().unwrap_or(usize::MAX)
    }

    /// It was sent so many bytes.
    pub(crate) fn charge(&mut self, now: Instant, bytes: u64) {
        if let Some(rate) = self.gate.terms.rate {
            self.paid_at = Rate(rate).paid_at(self.paid_at, now, bytes);
        }
        if let (Some(clients), Some(rate)) = (&self.gate.clients, self.gate.terms.client_rate) {
            clients.charge(self.client, Rate(rate), now, bytes);
        }
    }

    /// It is not served any more.
    pub(crate) fn leave(&mut self) {
        self.place = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(terms: Admission) -> Arc<Gate> {
        Arc::new(Gate::new(terms, None, None).unwrap())
    }

    fn networks(texts: &[&str]) -> Vec<Network> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn verdict(gate: &Arc<Gate>, address: &str) -> Verdict {
        gate.admit(Some(address.parse().unwrap()))
    }

    #[test]
    fn deny_comes_before_allow_and_an_empty_allow_is_all() {
        let (ten, inner) = (networks(&["10.0.0.0/8"]), networks(&["10.1.0.0/16"]));
        for (allow, deny, address, is_served) in [
            (vec![], vec![], "192.0.2.1", true),
            (ten.clone(), vec![], "10.1.2.3", true),
            (ten.clone(), vec![], "::ffff:10.1.2.3", true),
            (ten.clone(), vec![], "192.0.2.1", false),
            (ten.clone(), vec![], "::1", false),
            (vec![], ten.clone(), "10.1.2.3", false),
            (vec![], ten.clone(), "192.0.2.1", true),
            (ten.clone(), inner.clone(), "10.1.2.3", false),
            (ten.clone(), inner.clone(), "10.2.2.3", true),
            // The narrower network does not win: deny does.
            (inner, ten, "10.1.2.3", false),
        ] {
            let gate = gate(Admission { allow, deny, ..Admission::default() });
            assert_eq!(
                matches!(verdict(&gate, address), Verdict::Welcome(_)),
                is_served,
                "{gate:?}"
            );
            assert!(matches!(gate.admit(None), Verdict::Welcome(_)), "it has no address");
        }
    }

    #[test]
    fn a_client_is_an_ipv4_address_or_an_ipv6_network() {
        let gate = gate(Admission { per_client: Some(1), ..Admission::default() });
        let guest = verdict(&gate, "10.0.0.1");
        assert!(matches!(verdict(&gate, "::ffff:10.0.0.1"), Verdict::Full));
        assert!(matches!(verdict(&gate, "10.0.0.2"), Verdict::Welcome(_)));
        let _other = verdict(&gate, "2001:db8::1");
        assert!(matches!(verdict(&gate, "2001:db8::ffff:ffff:ffff:ffff"), Verdict::Full));
        assert!(matches!(verdict(&gate, "2001:db8:0:1::1"), Verdict::Welcome(_)));
        // After a reload the clients that are there are counted on.
        let terms = Admission { per_client: Some(2), ..Admission::default() };
        let next = Arc::new(Gate::new(terms, None, Some(&gate)).unwrap());
        let _second = verdict(&next, "10.0.0.1");
        assert!(matches!(verdict(&next, "10.0.0.1"), Verdict::Full));
        drop(guest);
        assert!(matches!(verdict(&next, "10.0.0.1"), Verdict::Welcome(_)));
    }

    #[test]
    fn a_client_with_two_connections_is_sent_what_one_may_have() {
        let rate = NonZeroU32::new(10_000);
        let gate = gate(Admission { rate, client_rate: rate, ..Admission::default() });
        let guest = |address| match verdict(&gate, address) {
            Verdict::Welcome(guest) => guest,
            Verdict::Denied | Verdict::Full => panic!("it is served"),
        };
        let (mut one, two, other) = (guest("10.0.0.1"), guest("10.0.0.1"), guest("10.0.0.2"));
        let now = Instant::from_micros(5_000_000);
        assert_eq!(one.held_until(now), None);
        one.charge(now, 10_000);
        for held in [&one, &two] {
            assert!(held.held_until(now).is_some());
            assert_eq!(held.held_until(now.after(1_000_000)), None);
        }
        assert_eq!(other.held_until(now), None);
        assert!(!gate.lets_ask(now, "10.0.0.1:1".parse().unwrap(), 1));
        let mut now = now;
        for (received, response) in [(1, Response::Reply(10_000)), (10_000, Response::NoReply)] {
            now = now.after(5_000_000);
            let [asks, quiet] = ["10.0.0.3:1", "10.0.0.2:1"].map(|at| at.parse().unwrap());
            assert!(gate.lets_ask(now, asks, received));
            gate.did_ask(now, asks, received, response);
            assert!(!gate.lets_ask(now.after(900_000), asks, 1));
            assert!(gate.lets_ask(now.after(900_000), quiet, 1));
        }
    }
}
