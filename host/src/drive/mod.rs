//! Runs sessions over sockets: the part that all server models and clients share.
//!
//! A [`Connection`] is a socket and its session, and handles every error and end of both. It never
//! waits: a [`turn`](Connection::turn) moves as many bytes as possible now and says what it waits
//! for. A server model only decides how to wait and what to call.

mod accept;
mod access_log;
mod announced;
mod any_channel;
mod backlog;
mod blocking;
mod buffer;
mod buffers;
mod channel;
mod connection;
mod deadlines;
mod digested;
#[cfg(feature = "transfer")]
mod exchange;
mod files;
mod gate;
mod gated;
mod gather;
mod helpers;
#[cfg(feature = "transfer")]
mod inlets;
mod job;
mod jobs;
mod kept;
#[cfg(feature = "transfer")]
mod layout;
mod ledger;
mod linger;
mod moment;
mod one_by_one;
mod outlet;
mod pace;
#[cfg(feature = "transfer")]
mod peers;
mod port;
mod readiness;
#[cfg(feature = "transfer")]
mod requests;
mod rules;
#[cfg(feature = "tls")]
mod secured;
#[cfg(feature = "transfer")]
mod single_port;
mod table;
mod tally;
#[cfg(feature = "transfer")]
mod text;
mod transmit;
mod turns;

pub use accept::Acceptor;
pub use access_log::{AccessLog, LineFormat, LogFile, Sink};
pub(crate) use access_log::{Visit, answered, asked, flush as flush_access_log};
pub(crate) use announced::Announced;
pub(crate) use any_channel::AnyChannel;
pub use blocking::{Woken, repeat_until, run, run_alone, run_until};
pub(crate) use buffer::Buffer;
pub(crate) use buffers::{BUDGET, READ_SIZE};
pub use buffers::{Buffers, Overload, Reports};
pub use channel::{Channel, Received, Sent};
pub use connection::Connection;
#[cfg(feature = "transfer")]
pub use exchange::{Exchange, Said, Told, WithStorage};
pub use gate::Admission;
pub(crate) use gate::Gate;
pub(crate) use gated::{Gated, Pass};
pub use job::{Client, Job};
pub use jobs::{After, Jobs};
pub use ledger::{Incident, Ledger, Left, Party, Seat};
pub(crate) use linger::{LINGER_US, Last, discard};
pub use one_by_one::OneByOne;
#[cfg(feature = "transfer")]
pub use peers::Peers;
pub use port::{Counts, Port};
pub use readiness::Readiness;
#[cfg(feature = "transfer")]
pub use requests::Door;
#[cfg(feature = "transfer")]
pub(crate) use requests::{NOTE_MAX, Request, Requests};
pub use rules::{REQUEST_MAX_US, Rules, RulesId, TimeLimits};
#[cfg(feature = "tls")]
pub use secured::Secured;
#[cfg(feature = "transfer")]
pub use single_port::{PortTerms, SinglePort};
pub use table::{Entry, Table};
#[cfg(feature = "get")]
pub(crate) use text::TextFile;
pub(crate) use turns::REPEATING_MAX;
pub use turns::{Next, Turns};

/// Bytes that a process needs of a client beside its descriptor, at most.
#[cfg(not(feature = "transfer"))]
pub(crate) const NOTE_MAX: usize = 0;
