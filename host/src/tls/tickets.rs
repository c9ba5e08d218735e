//! Session tickets that every process of a server can read.
//!
//! ```text
//!   random ──▶ key of the first period ──SHA-256──▶ key of the next ──SHA-256──▶ …      the same in every process
//!                    └─HMAC of the certificate──▶ key of a listener's tickets
//! ```
//!
//! The first key is made before the first `fork`, and each process computes the next ones by itself, from the
//! clock that all of them share: no message is needed, and workers that start later agree. A key does not lead
//! back to the one before it, which is dropped a period later. Nonces are random and of 192 bits, so that
//! processes with one key need not agree on them.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use graviola::aead::XChaCha20Poly1305;
use graviola::hashing::hmac::Hmac;
use graviola::hashing::{Hash, Sha256};
use graviola::random;
use rustls::server::ProducesTickets;
use windlass_core::time::Instant;

use crate::sys::clock;

/// How long a key makes tickets, in seconds. For as long again it is only good to read them.
const PERIOD: u32 = 6 * 60 * 60;

const NONCE: usize = 24;
const TAG: usize = 16;
/// The number of the period, before the nonce.
const HEAD: usize = 8;

/// The tickets of the listeners with one certificate. Another certificate makes other tickets, so that a client
/// of a listener is not taken for one of another listener, or of a certificate that was replaced.
#[derive(Debug)]
pub(super) struct Tickets {
    /// The digest of the certificate.
    of: Key,
    keys: Arc<Mutex<Keys>>,
}

type Key = [u8; 32];

/// The keys that are in use: of this period, and of the one before it.
struct Keys {
    period: u64,
    now: Key,
    before: Option<Key>,
}

/// The keys of this process and of those that it forks.
static SHARED: OnceLock<Arc<Mutex<Keys>>> = OnceLock::new();

impl Tickets {
    /// For the certificate `cert`.
    pub(super) fn of(cert: &[u8]) -> Self {
        Self { of: digest(cert), keys: Arc::clone(SHARED.get_or_init(|| Keys::new(clock::now()))) }
    }

    fn seal(&self, now: Instant, message: &[u8]) -> Option<Vec<u8>> {
        let mut nonce = [0; NONCE];
        random::fill(&mut nonce).ok()?;
        let (head, cipher) = {
            let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
            keys.go_on_to(period(now));
            (keys.period.to_be_bytes(), self.cipher(&keys.now))
        };
        let mut ticket = Vec::with_capacity(HEAD + NONCE + message.len() + TAG);
        ticket.extend_from_slice(&head);
        ticket.extend_from_slice(&nonce);
        ticket.extend_from_slice(message);
        let mut tag = [0; TAG];
        cipher.encrypt(&nonce, &head, &mut ticket[HEAD + NONCE..], &mut tag);
        ticket.extend_from_slice(&tag);
        Some(ticket)
    }

    fn open(&self, now: Instant, ticket: &[u8]) -> Option<Vec<u8>> {
        let (head, rest) = ticket.split_first_chunk::<HEAD>()?;
        let (nonce, rest) = rest.split_first_chunk::<NONCE>()?;
        let (sealed, tag) = rest.split_last_chunk::<TAG>()?;
        let cipher = {
            let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
            keys.go_on_to(period(now));
            self.cipher(keys.of(u64::from_be_bytes(*head))?)
        };
        let mut message = sealed.to_vec();
        cipher.decrypt(nonce, head, &mut message, tag).ok()?;
        Some(message)
    }

    fn cipher(&self, key: &Key) -> XChaCha20Poly1305 {
        let mut hmac = Hmac::<Sha256>::new(key);
        hmac.update(self.of);
        XChaCha20Poly1305::new(as_key(hmac.finish().as_ref()))
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        PERIOD
    }

    fn encrypt(&self, message: &[u8]) -> Option<Vec<u8>> {
        self.seal(clock::now(), message)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        self.open(clock::now(), ticket)
    }
}

impl Keys {
    fn new(now: Instant) -> Arc<Mutex<Self>> {
        let mut key = [0; 32];
        // Without random numbers there is no handshake either, so no ticket is ever made with this key.
        let _ = random::fill(&mut key);
        Arc::new(Mutex::new(Self { period: period(now), now: key, before: None }))
    }

    fn go_on_to(&mut self, period: u64) {
        while self.period < period {
            self.before = Some(self.now);
            self.now = digest(&self.now);
            self.period += 1;
        }
    }

    fn of(&self, period: u64) -> Option<&Key> {
        match self.period.checked_sub(period)? {
            0 => Some(&self.now),
            1 => self.before.as_ref(),
            _ => None,
        }
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").field("period", &self.period).finish_non_exhaustive()
    }
}

/// The number of the period, on the clock that all processes of the machine share.
fn period(now: Instant) -> u64 {
    now.as_micros() / (u64::from(PERIOD) * 1_000_000)
}

fn digest(bytes: &[u8]) -> Key {
    as_key(Sha256::hash(bytes).as_ref())
}

fn as_key(digest: &[u8]) -> Key {
    let mut key = [0; 32];
    key.copy_from_slice(&digest[..32]);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: Instant = Instant::from_micros(1_000_000);
    const PERIOD_US: u64 = PERIOD as u64 * 1_000_000;

    /// A process, and one that it forked then.
    fn two() -> (Tickets, Tickets) {
        let keys = Keys { period: period(T0), now: [7; 32], before: None };
        let copy = Keys { period: keys.period, now: keys.now, before: None };
        let of = |keys| Tickets { of: [1; 32], keys: Arc::new(Mutex::new(keys)) };
        (of(keys), of(copy))
    }

    #[test]
    fn a_ticket_of_one_process_is_read_by_another_for_a_period_at_least() {
        let (one, two) = two();
        for age in 0..5 {
            let now = T0.after(age * 3 * PERIOD_US);
            let ticket = one.seal(now, b"state").unwrap();
            assert_eq!(two.open(now, &ticket).as_deref(), Some(&b"state"[..]));
            let later = now.after(PERIOD_US);
            assert_eq!(one.open(later, &ticket).as_deref(), Some(&b"state"[..]));
            assert_eq!(one.open(later.after(PERIOD_US), &ticket), None, "its key is gone");
        }
    }

    #[test]
    fn what_is_no_ticket_of_this_listener_is_not_read() {
        let (one, mut other) = two();
        let ticket = one.seal(T0, b"state").unwrap();
        other.of = [2; 32];
        assert_eq!(other.open(T0, &ticket), None);
        for at in 0..ticket.len() {
            let mut changed = ticket.clone();
            changed[at] ^= 1;
            assert_eq!(one.open(T0, &changed), None, "byte {at}");
            assert_eq!(one.open(T0, &ticket[..at]), None);
        }
        assert_ne!(one.seal(T0, b"state"), Some(ticket), "nonces differ");
    }
}
