//! The last faults of a listener, for its document.

use windlass_core::time::Instant;

use crate::drive::{Incident, Ledger, Party};
use crate::status::LastFault;

/// The last faults that a ledger has, the newest first.
pub(super) fn last_faults(ledger: &Ledger, now: Instant) -> Vec<LastFault> {
    ledger.last_incidents().iter().map(|incident| told(incident, now)).collect()
}

fn told(incident: &Incident, now: Instant) -> LastFault {
    let (peer, pid, words) = match incident.party {
        Party::Unknown => (None, None, None),
        Party::Client(at) => (Some(at.to_string()), None, None),
        Party::Process(pid, exit) => (None, Some(pid), Some(exit.to_string())),
        Party::ClientsOf(pid, 1) => (None, Some(pid), Some("1 client".to_owned())),
        Party::ClientsOf(pid, n) => (None, Some(pid), Some(format!("{n} clients"))),
    };
    LastFault {
        kind: incident.kind.name().to_owned(),
        ago_us: now.since(incident.at),
        peer,
        pid,
        words,
        took_us: Some(incident.took_us).filter(|&us| us > 0),
    }
}
