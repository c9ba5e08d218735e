//! Two transfers against each other over a network that loses, doubles, delays, reorders and changes
//! datagrams, in virtual time.
//!
//! All that happens follows from a seed, so what fails can be run again. Nothing is allocated: the datagrams
//! on their way are in a [`Link`], the one that storage is busy with in a [`Host`].
//!
//! ```
//! use windlass_core::sim::{Disk, Host, Link, Path, run};
//! use windlass_core::time::Instant;
//! use windlass_core::transfer::{Timing, xfer::{XferClient, XferServer}};
//!
//! let (mut client, mut server) =
//!     (XferClient::new(b"image", &Timing::CLIENT), XferServer::<64>::new(Timing::SERVER));
//! let (mut kept, mut image) = (Disk::new([0; 3000]), Disk::new([7; 3000]));
//! let lossy = Path { delay_us: 1000, loss: 200, ..Path::PERFECT };
//! let mut links = [Link::<8, 1100>::new(lossy, 1), Link::new(lossy, 2)];
//! let outcome = run(
//!     [&mut Host::<1100>::new(&mut client, &mut kept), &mut Host::new(&mut server, &mut image)],
//!     &mut links,
//!     Instant::from_micros(60_000_000),
//! );
//! assert_eq!(outcome.how, [Some(Ok(())); 2]);
//! assert_eq!(kept.whole(), Some(&[7; 3000][..]));
//! ```

mod disk;
mod host;
mod link;
mod random;

pub use disk::Disk;
pub use host::Host;
pub use link::{Link, Path};
pub use random::Random;

use crate::fault::Fault;
use crate::time::{Instant, Wake};
use crate::want::Close;

/// How a run ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Outcome {
    /// How each transfer ended; `None` for one that did not.
    pub how: [Option<Result<(), Fault>>; 2],
    /// When each end was not open any more: the file was whole there, or the transfer had failed.
    pub closed_at: [Option<Instant>; 2],
    /// When nothing more happened, or the limit.
    pub over_at: Instant,
}

/// Runs both ends until both are done, nothing would happen any more, or the time is `limit`. `links[n]` takes
/// what `hosts[n]` sends.
pub fn run<const SLOTS: usize, const MTU: usize>(
    hosts: [&mut Host<'_, MTU>; 2],
    links: &mut [Link<SLOTS, MTU>; 2],
    limit: Instant,
) -> Outcome {
    let [a, b] = hosts;
    let [from_a, from_b] = links;
    let mut now = Instant::from_micros(1);
    let mut closed_at = [None; 2];
    loop {
        let wake = a.turn(now, from_b, from_a).min(b.turn(now, from_a, from_b));
        let closes = [a.close(), b.close()];
        for (at, close) in closed_at.iter_mut().zip(closes) {
            if close != Close::Open {
                at.get_or_insert(now);
            }
        }
        let arrivals = from_a.arrives_at().min(from_b.arrives_at());
        let next = match wake.min(arrivals) {
            Wake::Now => now.after(1),
            Wake::At(at) => at.max(now.after(1)),
            Wake::Never => limit,
        };
        if closes.iter().all(|close| close.is_done()) || next >= limit {
            let how = closes.map(|close| match close {
                Close::Done(how) => Some(how),
                Close::Open | Close::WriteHalf => None,
            });
            return Outcome { how, closed_at, over_at: now };
        }
        now = next;
    }
}

#[cfg(test)]
mod tests;
