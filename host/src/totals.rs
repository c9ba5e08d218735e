//! The counters of a server: what each one counts, and their sums.
//!
//! Processes and threads count in memory that they share ([`drive`](crate::drive)), the document of a server
//! ([`status`](crate::status)) and its monitor tell the sums. Counters begin at 0 with the server and never
//! shrink.

#[cfg(feature = "status")]
use serde::{Deserialize, Serialize};

/// Bounds of the buckets of a histogram in microseconds; one more bucket has what is longer.
pub const BOUNDS_US: [u64; BUCKETS - 1] = [
    50,
    100,
    200,
    500,
    1_000,
    2_000,
    5_000,
    10_000,
    20_000,
    50_000,
    100_000,
    200_000,
    500_000,
    1_000_000,
    2_000_000,
    5_000_000,
    10_000_000,
    20_000_000,
    50_000_000,
    100_000_000,
    200_000_000,
    500_000_000,
    1_000_000_000,
];

/// Buckets of a histogram.
pub const BUCKETS: usize = 24;

/// How many spans of time were of which length.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "status", derive(Serialize, Deserialize), serde(default))]
pub struct Histogram {
    /// For each bucket the spans in it alone: at most its bound in [`BOUNDS_US`], and above that of the one
    /// before it.
    pub counts: [u64; BUCKETS],
    /// The sum of all spans in microseconds.
    pub sum_us: u64,
}

impl Histogram {
    /// The bucket of a span.
    pub fn bucket(us: u64) -> usize {
        BOUNDS_US.partition_point(|&bound| bound < us)
    }

    /// The number of spans.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The bound below which this part of all spans is, in thousandths: 500 is the median. `None`: there are
    /// no spans, or it is above all bounds.
    pub fn quantile_us(&self, thousandths: u64) -> Option<u64> {
        let wanted = (self.count() * thousandths).div_ceil(1000).max(1);
        let mut below = 0;
        let reaches = |&count: &u64| {
            below += count;
            below >= wanted
        };
        BOUNDS_US.get(self.counts.iter().position(reaches)?).copied()
    }

    fn add(&mut self, other: &Self) {
        self.counts.iter_mut().zip(other.counts).for_each(|(sum, n)| *sum += n);
        self.sum_us += other.sum_us;
    }
}

macro_rules! counters {
    ($($(#[doc = $text:literal])+ $count:ident $field:ident,)*) => {
        /// What is counted.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Count {
            $($(#[doc = $text])+ $count,)*
        }

        impl Count {
            /// All of them, in their order.
            pub const ALL: &[Self] = &[$(Self::$count),*];

            /// Its name in documents.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$count => stringify!($field),)*
                }
            }
        }

        /// The sums of all counters since the server started.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        #[cfg_attr(feature = "status", derive(Serialize, Deserialize), serde(default))]
        pub struct Totals {
            $($(#[doc = $text])+ pub $field: u64,)*
            /// How long clients were served.
            pub duration: Histogram,
            /// How long it took until the first byte of output was on its way.
            pub first_byte: Histogram,
        }

        impl Totals {
            /// One of them.
            pub fn get(&self, count: Count) -> u64 {
                match count {
                    $(Count::$count => self.$field,)*
                }
            }

            /// One of them, to change it.
            pub fn get_mut(&mut self, count: Count) -> &mut u64 {
                match count {
                    $(Count::$count => &mut self.$field,)*
                }
            }
        }
    };
}

counters! {
    /// Clients that were accepted: connections, and requests for a transfer.
    Accepted accepted,
    /// Clients with which a process or thread began.
    Begun begun,
    /// Clients that were served to the end.
    Served served,
    /// Connections of a balancer that ended without a byte: it looked whether the server accepts.
    Checked checked,
    /// Clients that were closed: they broke the protocol.
    Malformed malformed,
    /// Clients that reset the connection.
    Reset reset,
    /// Clients that were closed because of a time limit.
    TimedOut timed_out,
    /// Clients that were closed: a file could not be read or written.
    Storage storage,
    /// Clients that sent a file with another digest.
    Integrity integrity,
    /// Clients that were closed by this side, because the server stops.
    Aborted aborted,
    /// Clients that gave up a transfer, or asked for the size of a file alone.
    Declined declined,
    /// Clients with a request that was refused.
    Denied denied,
    /// Clients that were closed: they need more memory than one client gets.
    Oversized oversized,
    /// Clients that ended with their process.
    Lost lost,
    /// Clients that were closed unserved: no process, thread or descriptor was left for them.
    Unserved unserved,
    /// Clients that were closed unserved: no worker could take them in time, or too many died with them.
    Shed shed,
    /// Clients that were passed to another worker, because the first one died before it touched them.
    Redispatched redispatched,
    /// Bytes that were received from clients.
    BytesIn bytes_in,
    /// Bytes that were sent to clients.
    BytesOut bytes_out,
    /// Files that were sent or described to the end.
    FilesSent files_sent,
    /// Files that were received and kept.
    FilesReceived files_received,
    /// Files that were refused.
    FilesRefused files_refused,
    /// Files that were begun, and not sent or received to the end.
    FilesFailed files_failed,
    /// Datagrams that were received.
    DatagramsIn datagrams_in,
    /// Datagrams that were sent.
    DatagramsOut datagrams_out,
    /// Datagrams with data that were sent again.
    Retransmitted retransmitted,
    /// Datagrams that were dropped: they do not follow the protocol.
    DatagramsMalformed datagrams_malformed,
    /// Datagrams that were dropped: they are longer than those of the service can be.
    DatagramsTooLong datagrams_too_long,
    /// Datagrams that were dropped: their client is not served, or has as much as a client may have.
    DatagramsRefused datagrams_refused,
    /// Datagrams that the network did not take.
    DatagramsUnsent datagrams_unsent,
    /// Datagrams that the kernel dropped: the server was too slow.
    DatagramsOverflowed datagrams_overflowed,
    /// Workers that were started.
    Spawned spawned,
    /// Workers that could not be started.
    FailedSpawns failed_spawns,
    /// Workers that ended without an order.
    Crashed crashed,
    /// Workers that were killed because they were out of time.
    Killed killed,
    /// Reloads that are done: every worker was replaced.
    Reloads reloads,
}

/// How a client ends, with which a process began.
pub const ENDS: [Count; 12] = [
    Count::Served,
    Count::Checked,
    Count::Malformed,
    Count::Reset,
    Count::TimedOut,
    Count::Storage,
    Count::Integrity,
    Count::Aborted,
    Count::Declined,
    Count::Denied,
    Count::Oversized,
    Count::Lost,
];

/// What an operator wants to see: clients that were not served as they should have been, and processes that
/// should not have ended.
pub const FAULTS: [Count; 13] = [
    Count::Malformed,
    Count::Reset,
    Count::TimedOut,
    Count::Storage,
    Count::Integrity,
    Count::Denied,
    Count::Oversized,
    Count::Lost,
    Count::Unserved,
    Count::Shed,
    Count::Crashed,
    Count::Killed,
    Count::FailedSpawns,
];

impl Totals {
    /// All faults.
    pub fn faults(&self) -> u64 {
        FAULTS.iter().map(|&fault| self.get(fault)).sum()
    }

    /// Clients that are no longer served, however that ended.
    pub fn ended(&self) -> u64 {
        ENDS.iter().map(|&end| self.get(end)).sum()
    }

    /// Clients that were accepted, and that no process has begun with or turned away.
    pub fn waiting(&self) -> u64 {
        self.accepted.saturating_sub(self.begun + self.unserved + self.shed)
    }

    /// Clients that are being served now.
    pub fn now(&self) -> u64 {
        self.begun.saturating_sub(self.ended())
    }

    /// Adds the sums of another listener.
    pub fn add(&mut self, other: &Self) {
        for &count in Count::ALL {
            *self.get_mut(count) += other.get(count);
        }
        self.duration.add(&other.duration);
        self.first_byte.add(&other.first_byte);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_in_the_bucket_of_the_first_bound_that_it_does_not_exceed() {
        assert_eq!([0, 50, 51, 100].map(Histogram::bucket), [0, 0, 1, 1]);
        let last = BOUNDS_US[BUCKETS - 2];
        assert_eq!([last, last + 1, u64::MAX].map(Histogram::bucket), [22, 23, 23]);
        assert!(BOUNDS_US.is_sorted());
    }

    #[test]
    fn quantiles_are_the_bounds_of_buckets() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile_us(500), None);
        for us in [10, 10, 150, 10_000_000_000] {
            histogram.counts[Histogram::bucket(us)] += 1;
        }
        let quantiles = [0, 500, 501, 750, 751].map(|part| histogram.quantile_us(part));
        assert_eq!(quantiles, [Some(50), Some(50), Some(200), Some(200), None]);
    }

    #[test]
    fn the_sums_of_two_listeners_are_added_and_those_that_are_served_are_the_rest() {
        let mut all = Totals { begun: 9, served: 3, reset: 1, ..Totals::default() };
        all.duration.counts[2] = 4;
        all.add(&Totals { begun: 2, lost: 1, ..all });
        assert_eq!((all.begun, all.ended(), all.now()), (11, 9, 2));
        assert_eq!(all.duration.count(), 8);
    }
}
