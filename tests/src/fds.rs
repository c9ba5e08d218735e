//! A budget of descriptors, for tests that open thousands of them beside each other.

use std::sync::{Condvar, Mutex, PoisonError};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::optional::skipped;

/// A share of this process's descriptors, given back when it is dropped.
#[derive(Debug)]
pub struct Descriptors(u64);

/// Descriptors that are not shared out: those of the servers' pipes and of small tests.
const RESERVED: u64 = 1_500;

/// What is left to share; `None` before the first call.
static LEFT: Mutex<Option<u64>> = Mutex::new(None);
static RETURNED: Condvar = Condvar::new();

impl Descriptors {
    /// Takes `count` descriptors, after raising the soft limit of this process to the hard one;
    /// waits while other tests have them. Where the hard limit is too low for `count` ever, it
    /// says so and takes what there is.
    pub fn take(count: usize) -> Self {
        let mut left = LEFT.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("getrlimit");
        let all = hard.saturating_sub(RESERVED);
        if left.is_none() {
            setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("raise the soft limit");
            *left = Some(all);
        }
        let mut count = count as u64;
        if count > all {
            skipped(&format!("{count} descriptors: {hard} are allowed, so {all} are used"));
            count = all;
        }
        let mut left = RETURNED
            .wait_while(left, |left| left.is_some_and(|left| left < count))
            .unwrap_or_else(PoisonError::into_inner);
        *left = left.map(|left| left - count);
        Self(count)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        usize::try_from(self.0).expect("fewer than usize::MAX descriptors")
    }
}

impl Drop for Descriptors {
    fn drop(&mut self) {
        let mut left = LEFT.lock().unwrap_or_else(PoisonError::into_inner);
        *left = left.map(|left| left + self.0);
        RETURNED.notify_all();
    }
}
