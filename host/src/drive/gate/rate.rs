//! How many bytes may leave in a time: of one connection, and of one client in all processes of a server.
//!
//! ```text
//!   paid_at   ┤      ╱▔╲____╱▔╲____          bytes that leave move it on by what they cost at the rate;
//!   now       ┤ ╱╱╱╱╱╱╱╱╱╱╱╱╱╱╱╱╱╱╱          while it is ahead of now, nothing more leaves
//! ```
//!
//! That is one number for each (a leaky bucket as GCRA has it), so one atomic word of shared memory keeps a
//! client's for every process, and needs no lock and no cleaning up.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};

use windlass_core::time::Instant;

use crate::error::Result;
use crate::sys::shared::Shared;

/// Bytes per second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rate(pub(super) NonZeroU32);

/// How far a client may be ahead of its rate, in microseconds: an event loop does not wait for shorter times.
const AHEAD_US: u64 = 10_000;

/// A turn moves what the rate allows in this time, in microseconds.
const TURN_US: u64 = 50_000;

/// The least that a turn may move.
const TURN_MIN: u64 = 1024;

impl Rate {
    /// When `bytes` more that leave at `now` are paid.
    pub(super) fn paid_at(self, before: u64, now: Instant, bytes: u64) -> u64 {
        let cost_us = bytes.saturating_mul(1_000_000) / u64::from(self.0.get());
        before.max(now.as_micros()).saturating_add(cost_us)
    }

    /// Bytes of one turn at most.
    pub(super) fn of_a_turn(self) -> usize {
        let bytes = u64::from(self.0.get()) * TURN_US / 1_000_000;
        usize::try_from(bytes.max(TURN_MIN)).unwrap_or(usize::MAX)
    }
}

/// When more may leave, if that is not now.
pub(super) fn until(paid_at: u64, now: Instant) -> Option<Instant> {
    let at = Instant::from_micros(paid_at.saturating_sub(AHEAD_US));
    (at > now).then_some(at)
}

/// What all clients of a listener have been sent.
#[derive(Debug)]
pub(super) struct Clients(Shared<Account>);

/// What one client has been sent.
#[derive(Debug, Default)]
struct Account {
    /// A hash of the client, or 0.
    client: AtomicU64,
    paid_at: AtomicU64,
}

/// Clients that are told apart at a time. A power of two.
const ACCOUNTS: usize = 1 << 14;

/// Accounts that a client's can be.
const WINDOW: usize = 32;

impl Clients {
    pub(super) fn new() -> Result<Self> {
        Shared::new(ACCOUNTS).map(Self)
    }

    /// When all that `client` was sent is paid.
    pub(super) fn paid_at(&self, client: u64, now: Instant) -> u64 {
        self.account(client, now).map_or(0, |it| it.paid_at.load(Ordering::Relaxed))
    }

    /// It asks with `bytes`, which are charged if it owes nothing. Whether that is so: of several processes that look at
    /// once, one finds it.
    pub(super) fn lets_ask(&self, client: u64, rate: Rate, now: Instant, bytes: u64) -> bool {
        let Some(account) = self.account(client, now) else { return true };
        let charged =
            account.paid_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |before| {
                until(before, now).is_none().then(|| rate.paid_at(before, now, bytes))
            });
        charged.is_ok()
    }

    /// It was sent `bytes`.
    pub(super) fn charge(&self, client: u64, rate: Rate, now: Instant, bytes: u64) {
        let Some(account) = self.account(client, now) else { return };
        let _ = account.paid_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |before| {
            Some(rate.paid_at(before, now, bytes))
        });
    }

    /// The account of a client. One that owes nothing may become another client's. `None`: there are too many
    /// clients, and this one has no limit of its own.
    fn account(&self, client: u64, now: Instant) -> Option<&Account> {
        let client = client.max(1);
        let window =
            || (0..WINDOW).map(|step| &self.0[(client as usize).wrapping_add(step) % ACCOUNTS]);
        let own = window().find(|it| it.client.load(Ordering::Relaxed) == client);
        own.or_else(|| {
            window().find(|it| {
                let other = it.client.load(Ordering::Relaxed);
                let owes = it.paid_at.load(Ordering::Relaxed) > now.as_micros();
                let order = Ordering::Relaxed;
                let taken =
                    !owes && it.client.compare_exchange(other, client, order, order).is_ok();
                // Another process may have been faster, for the same client.
                taken || it.client.load(order) == client
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: Instant = Instant::from_micros(1_000_000);

    fn rate(bytes: u32) -> Rate {
        Rate(NonZeroU32::new(bytes).unwrap())
    }

    #[test]
    fn bytes_that_left_are_paid_at_the_rate_and_no_faster() {
        let rate = rate(10_000);
        let (mut now, mut paid_at, mut sent) = (T0, 0, 0);
        while now < T0.after(10_000_000) {
            if let Some(at) = until(paid_at, now) {
                now = at;
            } else {
                paid_at = rate.paid_at(paid_at, now, rate.of_a_turn() as u64);
                sent += rate.of_a_turn();
            }
        }
        assert!((100_000..=101_200).contains(&sent), "{sent} bytes in ten seconds");
    }

    #[test]
    fn a_pause_earns_nothing() {
        let rate = rate(1_000);
        let later = T0.after(3_600_000_000);
        let paid_at = rate.paid_at(rate.paid_at(0, T0, 1_000), later, 2_000);
        assert_eq!(until(paid_at, later), Some(later.after(2_000_000 - AHEAD_US)));
    }

    #[test]
    fn clients_have_accounts_of_their_own_as_long_as_they_owe() {
        let (clients, rate) = (Clients::new().unwrap(), rate(1_000));
        for client in 1..=WINDOW as u64 {
            clients.charge(client, rate, T0, client * 1_000);
        }
        for client in 1..=WINDOW as u64 {
            let at = T0.after(client * 1_000_000).as_micros();
            assert_eq!(clients.paid_at(client, T0), at, "{client}");
        }
        // The first one has paid by then.
        let (later, other) = (T0.after(1_500_000), ACCOUNTS as u64 + 1);
        clients.charge(other, rate, later, 500);
        assert_eq!(clients.paid_at(other, later), later.after(500_000).as_micros());
    }
}
