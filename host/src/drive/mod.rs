//! Runs sessions over sockets: the part that all server models and clients share.
//!
//! A [`Connection`] is a socket and its session, and handles every error and end of both. It never
//! waits: a [`turn`](Connection::turn) moves as many bytes as possible now and says what it waits
//! for. A server model only decides how to wait and what to call.

mod accept;
mod backlog;
mod blocking;
mod buffer;
mod buffers;
mod connection;
mod deadlines;
#[cfg(feature = "transfer")]
mod exchange;
mod files;
mod gather;
mod helpers;
mod job;
mod jobs;
mod linger;
mod outlet;
mod pace;
mod port;
mod readiness;
mod rules;
mod table;
#[cfg(feature = "transfer")]
mod text;
mod transmit;
mod turns;

pub use accept::Acceptor;
pub use blocking::{Woken, run, run_alone};
pub(crate) use buffer::Buffer;
pub(crate) use buffers::{BUDGET, READ_SIZE};
pub use buffers::{Buffers, Overload, Reports};
pub use connection::Connection;
#[cfg(feature = "transfer")]
pub use exchange::{Exchange, Said, Told};
pub use job::{Client, Job};
pub use jobs::{After, Jobs};
pub(crate) use linger::{LINGER_US, Last, discard};
pub use port::{Counts, Port};
pub(crate) use readiness::Readiness;
pub use rules::{REQUEST_MAX_US, Rules, RulesId, TimeLimits};
pub use table::{Entry, Table};
#[cfg(feature = "transfer")]
pub(crate) use text::TextFile;
pub use turns::{Next, Turns};
