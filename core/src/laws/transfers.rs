//! The laws of a [`Transfer`]: pairs of them over the simulated network, under one difficulty at a time.
//!
//! ```
//! use windlass_core::laws::transfers;
//! use windlass_core::transfer::{Timing, xfer::{XferClient, XferServer}};
//! let make = || (XferClient::new(b"image", &Timing::CLIENT), XferServer::<16>::new(Timing::SERVER));
//! transfers::<3000, _, _>(make, 1).unwrap();
//! ```

mod law;
mod shelf;
mod trial;
mod witness;

use core::fmt;

use crate::fault::Fault;
use crate::sim::{Host, Link, Outcome, Path, run};
use crate::time::Instant;
use crate::transfer::Transfer;
pub use law::TransferLaw;
use shelf::Shelf;
pub use trial::Trial;
use witness::Witness;

/// A law that a transfer broke, and the run that showed it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct BrokenTransfer {
    /// The law.
    pub law: TransferLaw,
    /// The end that broke it, 0 or 1, if it was one.
    pub end: Option<usize>,
    /// The difficulty.
    pub trial: Trial,
}

impl fmt::Display for BrokenTransfer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { law, end, trial } = self;
        write!(f, "{law:?} is broken by end {end:?} in the run {trial:?}")
    }
}

impl core::error::Error for BrokenTransfer {}

/// The datagrams of the lab, in bytes at most.
const MTU: usize = 1040;

/// Datagrams on their way in the lab at most.
const SLOTS: usize = 7;

/// Longer than any patience.
const LIMIT: Instant = Instant::from_micros(3_600_000_000);

/// Datagrams to an address that has not answered.
const UNANSWERED_MAX: u32 = 3;

/// Runs pairs that `make` makes, a client and its server, on a file of `N` bytes under every law. The file is at
/// the end `at`: 0 for a client that uploads, 1 for a server.
///
/// # Errors
/// The first law that is broken, with the run that broke it.
pub fn transfers<const N: usize, A: Transfer, B: Transfer>(
    mut make: impl FnMut() -> (A, B),
    at: usize,
) -> Result<(), BrokenTransfer> {
    let mut lab = Lab::<N> { at, calls: [0; 2], ops: [0; 2] };
    let mut check = |trial| {
        let (mut client, mut server) = make();
        lab.run(&mut client, &mut server, trial)
    };
    let (calls, ops, sent) = check(Trial::Plain)?;
    for trial in [Trial::SlowStorage, Trial::ClockStepsBack, Trial::Noise] {
        check(trial)?;
    }
    for seed in 1..=16 {
        check(Trial::Network(seed))?;
    }
    for (end, (calls, ops)) in calls.into_iter().zip(ops).enumerate() {
        for after in 0..calls {
            check(Trial::Aborted { end, after })?;
        }
        for after in 0..ops {
            check(Trial::StorageFails { end, after })?;
        }
    }
    for datagrams in 0..sent {
        check(Trial::Cut(datagrams))?;
    }
    Ok(())
}

/// A run's memory.
struct Lab<const N: usize> {
    /// The end that has the file.
    at: usize,
    calls: [u32; 2],
    ops: [u32; 2],
}

impl<const N: usize> Lab<N> {
    /// One run: how many calls and operations each end had, and how many datagrams the client sent.
    fn run(
        &mut self,
        client: &mut dyn Transfer,
        server: &mut dyn Transfer,
        trial: Trial,
    ) -> Result<([u32; 2], [u32; 2], u32), BrokenTransfer> {
        let mut shelves = [0, 1].map(|end| Shelf::<N>::new(end == self.at, end, trial));
        let [shelf_a, shelf_b] = &mut shelves;
        let mut witnesses = [Witness::new(client, 0, trial), Witness::new(server, 1, trial)];
        let [witness_a, witness_b] = &mut witnesses;
        let path = match trial {
            Trial::Network(_) => Path {
                delay_us: 300,
                loss: 150,
                duplicate: 150,
                reorder: 100,
                reorder_us: 2000,
                ..Path::PERFECT
            },
            _ => Path { delay_us: 300, ..Path::PERFECT },
        };
        let seed = if let Trial::Network(seed) = trial { seed } else { 0 };
        let mut links = [Link::<SLOTS, MTU>::new(path, seed), Link::new(path, !seed)];
        if let Trial::Cut(datagrams) = trial {
            let [from_client, _] = &mut links;
            from_client.cut_after(datagrams);
        }
        let outcome = run(
            [&mut Host::<MTU>::new(witness_a, shelf_a), &mut Host::new(witness_b, shelf_b)],
            &mut links,
            LIMIT,
        );
        for (end, witness) in witnesses.iter().enumerate() {
            if let Some(law) = witness.broken() {
                return Err(BrokenTransfer { law, end: Some(end), trial });
            }
            if let Some(calls) = self.calls.get_mut(end) {
                *calls = witness.calls();
            }
        }
        for (end, shelf) in shelves.iter().enumerate() {
            if let Some(ops) = self.ops.get_mut(end) {
                *ops = shelf.ops();
            }
        }
        let [from_client, from_server] = &links;
        let is_whole = shelves.get(1 - self.at.min(1)).is_some_and(Shelf::is_whole);
        self.judge(trial, &outcome, is_whole, from_server.sent())
            .map_err(|(law, end)| BrokenTransfer { law, end, trial })?;
        Ok((self.calls, self.ops, from_client.sent()))
    }

    /// Whether the run ended as it must.
    fn judge(
        &self,
        trial: Trial,
        outcome: &Outcome,
        is_whole: bool,
        from_server: u32,
    ) -> Result<(), (TransferLaw, Option<usize>)> {
        let receiver = 1 - self.at.min(1);
        let [client, _] = outcome.how;
        let of = |end: usize| outcome.how.get(end).copied().flatten();
        let is_ok = |end: usize| of(end) == Some(Ok(()));
        if (is_ok(self.at) || is_ok(receiver)) && !is_whole {
            return Err((TransferLaw::KeepsFirst, Some(self.at)));
        }
        // The end that sent may miss the last acknowledgement, and then gives up in time.
        let has_given_up = matches!(of(self.at), Some(Err(Fault::TimedOut { .. })));
        match trial {
            Trial::Plain | Trial::SlowStorage | Trial::Noise | Trial::ClockStepsBack => {
                for end in [0, 1] {
                    if !is_ok(end) {
                        let law = match trial {
                            Trial::ClockStepsBack => TransferLaw::ClockStepsBack,
                            Trial::Noise => TransferLaw::Malformed,
                            _ => TransferLaw::Completes,
                        };
                        return Err((law, Some(end)));
                    }
                }
            }
            Trial::Network(_) => {
                if !is_ok(receiver) || !(is_ok(self.at) || has_given_up) {
                    return Err((TransferLaw::Completes, None));
                }
            }
            Trial::Cut(datagrams) => {
                // A server that never heard of it is free.
                let is_over = client.is_some() && (datagrams == 0 || of(1).is_some());
                if !is_over {
                    return Err((TransferLaw::EndsInFault, None));
                }
                if datagrams == 1 && from_server > UNANSWERED_MAX {
                    return Err((TransferLaw::Unanswered, Some(1)));
                }
            }
            Trial::StorageFails { end, .. } => {
                if is_ok(end) && !is_whole || of(0).is_none() {
                    return Err((TransferLaw::EndsInFault, Some(end)));
                }
            }
            Trial::Aborted { end, .. } => {
                if !matches!(of(end), Some(Ok(()) | Err(Fault::Aborted))) {
                    return Err((TransferLaw::Aborts, Some(end)));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
