//! The places that clients have: one count for all processes of a server, in memory that they share.
//!
//! ```text
//!   client ──hash──▶ window of the table   │ client, pid │      │ client, pid │ …    a word for each place
//! ```
//!
//! A place is one word, of the client and the process that holds it. So a process can be killed between any
//! two instructions and leave nothing that is half true: its places are free as soon as the client needs one
//! and the kernel says that the process is gone. (If another process has got its number, that is when this one
//! ends.) To count and to take is one step for the processes that serve one client: they exclude each other
//! by a lock, which is free too when its holder is gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::error::Result;
use crate::sys::process;
use crate::sys::shared::Shared;

/// The most places that a client can be given.
pub(super) const PER_CLIENT_MAX: u32 = 1000;

/// The places of all clients of a listener.
#[derive(Debug)]
pub(super) struct Places {
    words: Shared<AtomicU64>,
    /// For each part of the clients the process that takes a place, or 0.
    locks: Shared<AtomicU32>,
}

/// A place of a client. It is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    at: usize,
    word: u64,
}

/// What came of a request for a place.
#[derive(Debug)]
pub(super) enum Found {
    /// One was free.
    Place(Place),
    /// The client has as many as it may have.
    Full,
    /// The table has no room, so the client is not counted.
    NoRoom,
}

/// Places of all clients together. A power of two.
const WORDS: usize = 1 << 17;

/// Words that a client's places can be in.
const WINDOW: usize = 2 * PER_CLIENT_MAX as usize;

/// Parts of the clients, each with a lock.
const LOCKS: usize = 1 << 10;

/// Looks at a lock until its holder is passed over, because it is stopped: the count can then be one too many.
const TRIES: u32 = 1 << 14;

impl Places {
    pub(super) fn new() -> Result<Self> {
        Ok(Self { words: Shared::new(WORDS)?, locks: Shared::new(LOCKS)? })
    }

    /// Takes a place for `client`, a hash of it, which may have `max` of them.
    pub(super) fn take(self: &Arc<Self>, client: u64, max: u32) -> Found {
        let pid = process::id();
        let lock = &self.locks[client as usize % LOCKS];
        let is_held = hold(lock, pid);
        let mut found = self.look(client, pid, max);
        if !matches!(found, Found::Place(_)) {
            self.free_those_of_the_dead(client, pid);
            found = self.look(client, pid, max);
        }
        if is_held {
            let _ = lock.compare_exchange(pid, 0, Ordering::Release, Ordering::Relaxed);
        }
        found
    }

    fn look(self: &Arc<Self>, client: u64, pid: u32, max: u32) -> Found {
        let (mut count, mut free) = (0, None);
        for at in window(client) {
            let word = self.words[at].load(Ordering::Relaxed);
            if word == 0 {
                free = free.or(Some(at));
            } else if tag_of(word) == tag_of(client) {
                count += 1;
            }
        }
        if count >= max {
            return Found::Full;
        }
        let word = tag_of(client) << 32 | u64::from(pid);
        // Places of other clients are in the window too, and are taken meanwhile.
        let free =
            free.into_iter().flat_map(|first| window(client).skip_while(move |&at| at != first));
        for at in free {
            let place = &self.words[at];
            if place.compare_exchange(0, word, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                return Found::Place(Place { places: Arc::clone(self), at, word });
            }
        }
        Found::NoRoom
    }

    fn free_those_of_the_dead(&self, client: u64, own: u32) {
        // Processes that were seen alive.
        let mut alive = own;
        for at in window(client) {
            let word = self.words[at].load(Ordering::Relaxed);
            let pid = pid_of(word);
            if word == 0 || pid == alive {
                continue;
            }
            if process::is_gone(pid) {
                let _ =
                    self.words[at].compare_exchange(word, 0, Ordering::AcqRel, Ordering::Relaxed);
            } else {
                alive = pid;
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let word = &self.places.words[self.at];
        let _ = word.compare_exchange(self.word, 0, Ordering::AcqRel, Ordering::Relaxed);
    }
}

/// Holds a lock. False: its holder is stopped, and it is done without.
fn hold(lock: &AtomicU32, pid: u32) -> bool {
    for attempt in 1..=TRIES {
        match lock.compare_exchange(0, pid, Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => return true,
            Err(holder) if attempt % 256 == 0 && process::is_gone(holder) => {
                let _ = lock.compare_exchange(holder, 0, Ordering::AcqRel, Ordering::Relaxed);
            }
            Err(_) if attempt % 16 == 0 => std::thread::yield_now(),
            Err(_) => std::hint::spin_loop(),
        }
    }
    false
}

/// Where the places of a client can be.
fn window(client: u64) -> impl Iterator<Item = usize> {
    let first = client as usize;
    (0..WINDOW).map(move |step| first.wrapping_add(step) % WORDS)
}

/// Tells clients apart within a window: the half of the hash that does not say where the window is.
fn tag_of(word: u64) -> u64 {
    word >> 32
}

fn pid_of(word: u64) -> u32 {
    word as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: u64 = 0xaaaa_0000_0000_0001;
    const B: u64 = 0xbbbb_0000_0000_0002;

    fn place(found: Found) -> Place {
        match found {
            Found::Place(place) => place,
            Found::Full | Found::NoRoom => panic!("no place: {found:?}"),
        }
    }

    #[test]
    fn a_client_has_its_places_and_another_has_others() {
        let places = Arc::new(Places::new().unwrap());
        let mut held: Vec<_> = (0..3).map(|_| place(places.take(A, 3))).collect();
        assert!(matches!(places.take(A, 3), Found::Full));
        let _other = place(places.take(B, 3));
        held.pop();
        held.push(place(places.take(A, 3)));
        assert!(matches!(places.take(A, 3), Found::Full));
        drop(held);
        let all: Vec<_> =
            (0..PER_CLIENT_MAX).map(|_| place(places.take(A, PER_CLIENT_MAX))).collect();
        assert!(matches!(places.take(A, PER_CLIENT_MAX), Found::Full));
        drop(all);
        place(places.take(A, 1));
    }

    /// No process has this number: the kernel gives none above 2^22.
    const GONE: u32 = 1 << 30;

    #[test]
    fn places_and_a_lock_of_a_process_that_is_gone_are_free() {
        let places = Arc::new(Places::new().unwrap());
        for at in window(A).take(2) {
            places.words[at].store(tag_of(A) << 32 | u64::from(GONE), Ordering::Relaxed);
        }
        places.locks[A as usize % LOCKS].store(GONE, Ordering::Relaxed);
        let _first = place(places.take(A, 2));
        let _second = place(places.take(A, 2));
        assert!(matches!(places.take(A, 2), Found::Full));
        assert_eq!(places.locks[A as usize % LOCKS].load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_process_that_stopped_with_the_lock_holds_up_no_other() {
        let places = Arc::new(Places::new().unwrap());
        // The parent of this test is there, and gives nothing back.
        places.locks[A as usize % LOCKS].store(1, Ordering::Relaxed);
        let _place = place(places.take(A, 1));
        assert!(matches!(places.take(A, 1), Found::Full));
    }

    #[test]
    fn a_table_without_room_counts_no_more() {
        let places = Arc::new(Places::new().unwrap());
        let own = u64::from(std::process::id());
        for at in window(A) {
            places.words[at].store(tag_of(B) << 32 | own, Ordering::Relaxed);
        }
        assert!(matches!(places.take(A, 1), Found::NoRoom));
    }

    #[test]
    fn threads_that_take_places_at_once_have_no_more_than_there_are() {
        let places = Arc::new(Places::new().unwrap());
        let held = std::sync::Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        if let Found::Place(place) = places.take(A, 7) {
                            held.lock().unwrap().push(place);
                        }
                    }
                });
            }
        });
        assert_eq!(held.lock().unwrap().len(), 7);
    }
}
