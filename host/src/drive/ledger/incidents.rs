//! The last incidents of a listener: a ring in memory that all its processes share.
//!
//! ```text
//!   next │ … │ number │ when │ kind │ party (2) │ took │ seal │   one entry of KEPT
//! ```
//!
//! A writer takes the next number, and the entry for it, and writes. Nothing is locked: a writer that is killed
//! in the middle, or is overtaken by one that is a whole ring ahead, leaves an entry with a wrong seal, and a
//! reader passes it over.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use windlass_core::time::Instant;

use crate::sys::pidfd::Exit;
use crate::totals::Count;

/// Something that an operator wants to see: a fault, with the client or the process that had it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Incident {
    /// What happened.
    pub kind: Count,
    /// When.
    pub at: Instant,
    /// To which client or process.
    pub party: Party,
    /// How long a client was served, in microseconds; 0 if that is not known.
    pub took_us: u64,
}

/// The client or the process of an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Party {
    /// A client without an internet address, or none that is known.
    Unknown,
    /// A client.
    Client(SocketAddr),
    /// A process of this id that ended like this.
    Process(u32, Exit),
    /// So many clients of the process of this id.
    ClientsOf(u32, u32),
}

impl Incident {
    /// One of a client.
    pub fn of_client(kind: Count, at: Instant, address: Option<SocketAddr>, took_us: u64) -> Self {
        Self { kind, at, party: address.map_or(Party::Unknown, Party::Client), took_us }
    }

    /// One of a process.
    pub fn of_process(kind: Count, at: Instant, pid: i32, exit: Exit) -> Self {
        Self { kind, at, party: Party::Process(pid.unsigned_abs(), exit), took_us: 0 }
    }

    /// Clients ended with their process.
    pub(super) fn lost(at: Instant, pid: u64, clients: u64) -> Self {
        let [pid, clients] = [pid, clients].map(|n| u32::try_from(n).unwrap_or(u32::MAX));
        Self { kind: Count::Lost, at, party: Party::ClientsOf(pid, clients), took_us: 0 }
    }
}

/// Incidents that are kept.
const KEPT: usize = 16;

/// Words of an entry: a cache line.
const ENTRY: usize = 8;

/// Words of the ring.
pub(super) const WORDS: usize = (KEPT + 1) * ENTRY;

/// Words of an entry before its seal.
const SEALED: usize = 6;

// Forms of a party.
const CLIENT: u64 = 1;
const PROCESS: u64 = 2;
const CLIENTS_OF: u64 = 3;

pub(super) fn encode(incident: &Incident, ring: &[AtomicU64]) {
    let number = ring[0].fetch_add(1, Relaxed) + 1;
    let (form, small, wide) = match incident.party {
        Party::Unknown => (0, 0, 0),
        Party::Client(at) => {
            let ip = match at.ip() {
                IpAddr::V4(ip) => ip.to_ipv6_mapped(),
                IpAddr::V6(ip) => ip,
            };
            (CLIENT, u32::from(at.port()), u128::from(ip))
        }
        Party::Process(pid, exit) => (PROCESS, exit.to_bits(), u128::from(pid)),
        Party::ClientsOf(pid, clients) => (CLIENTS_OF, clients, u128::from(pid)),
    };
    let kind = incident.kind as u64 | form << 16 | u64::from(small) << 32;
    let (high, low) = ((wide >> 64) as u64, wide as u64);
    let words = [number, incident.at.as_micros(), kind, high, low, incident.took_us];
    let entry = entry(ring, number as usize % KEPT);
    for (to, word) in entry.iter().zip(words.into_iter().chain([seal(&words)])) {
        to.store(word, Relaxed);
    }
}

pub(super) fn decode(ring: &[AtomicU64]) -> Vec<Incident> {
    let mut all: Vec<_> = (0..KEPT).filter_map(|at| read(entry(ring, at))).collect();
    all.sort_by_key(|&(number, _)| std::cmp::Reverse(number));
    all.into_iter().map(|(_, incident)| incident).collect()
}

/// An entry that is whole, and its number.
fn read(entry: &[AtomicU64]) -> Option<(u64, Incident)> {
    let words: [u64; SEALED] = std::array::from_fn(|at| entry[at].load(Relaxed));
    let [number, at, kind, high, low, took_us] = words;
    if number == 0 || entry[SEALED].load(Relaxed) != seal(&words) {
        return None;
    }
    let wide = u128::from(high) << 64 | u128::from(low);
    let (small, pid) = ((kind >> 32) as u32, low as u32);
    let party = match kind >> 16 & 0xffff {
        CLIENT => {
            let ip = IpAddr::V6(Ipv6Addr::from(wide)).to_canonical();
            Party::Client(SocketAddr::new(ip, small as u16))
        }
        PROCESS => Party::Process(pid, Exit::from_bits(small)),
        CLIENTS_OF => Party::ClientsOf(pid, small),
        _ => Party::Unknown,
    };
    let kind = *Count::ALL.get((kind & 0xffff) as usize)?;
    Some((number, Incident { kind, at: Instant::from_micros(at), party, took_us }))
}

fn entry(ring: &[AtomicU64], at: usize) -> &[AtomicU64] {
    &ring[(at + 1) * ENTRY..][..ENTRY]
}

/// A number that the words of two entries, mixed, do not have.
fn seal(words: &[u64]) -> u64 {
    words.iter().fold(0x9e37_79b9_7f4a_7c15, |seal: u64, &word| {
        (seal.rotate_left(23) ^ word).wrapping_mul(0x2127_599b_f432_5c37)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring() -> Vec<AtomicU64> {
        (0..WORDS).map(|_| AtomicU64::new(0)).collect()
    }

    fn incident(party: Party, nth: u64) -> Incident {
        Incident { kind: Count::TimedOut, at: Instant::from_micros(nth), party, took_us: 7 }
    }

    #[test]
    fn what_was_noted_is_read_the_newest_first() {
        let ring = ring();
        assert_eq!(decode(&ring), []);
        let parties = [
            Party::Unknown,
            Party::Client("192.0.2.7:65535".parse().unwrap()),
            Party::Client("[2001:db8::1]:80".parse().unwrap()),
            Party::Process(u32::MAX, Exit::Code(255)),
            Party::Process(1, Exit::from_bits(2 << 16 | 9)),
            Party::Process(1, Exit::KilledByRealTime(40)),
            Party::ClientsOf(4711, 1000),
        ];
        let all: Vec<_> = parties.into_iter().zip(0..).map(|(it, nth)| incident(it, nth)).collect();
        for incident in &all {
            encode(incident, &ring);
        }
        assert!(decode(&ring).iter().rev().eq(&all), "{:?}", decode(&ring));
        assert_eq!(Exit::from_bits(2 << 16 | 9).to_string(), "was killed by SIGKILL");
    }

    #[test]
    fn the_oldest_makes_room() {
        let ring = ring();
        (0..100).for_each(|nth| encode(&incident(Party::Unknown, nth), &ring));
        let read: Vec<_> = decode(&ring).iter().map(|it| it.at.as_micros()).collect();
        assert!(read.iter().copied().eq((84..100).rev()), "{read:?}");
    }

    #[test]
    fn an_entry_that_is_not_whole_is_passed_over() {
        for word in 0..=SEALED {
            let ring = ring();
            (0..3).for_each(|nth| encode(&incident(Party::Unknown, nth), &ring));
            entry(&ring, 2)[word].fetch_add(1, Relaxed);
            let read: Vec<_> = decode(&ring).iter().map(|it| it.at.as_micros()).collect();
            assert_eq!(read, [2, 0], "word {word}");
        }
    }

    #[test]
    fn many_writers_at_once_leave_whole_entries() {
        let ring = ring();
        std::thread::scope(|scope| {
            for pid in 1..5 {
                let ring = &ring;
                scope.spawn(move || {
                    for nth in 0..2000 {
                        encode(&incident(Party::ClientsOf(pid, nth), u64::from(nth)), ring);
                        for it in decode(ring) {
                            let Party::ClientsOf(1..5, nth) = it.party else { panic!("{it:?}") };
                            assert_eq!(it.at.as_micros(), u64::from(nth));
                        }
                    }
                });
            }
        });
        assert!(!decode(&ring).is_empty());
    }
}
