//! Runs sessions over sockets: the part that all server models and clients share.
//!
//! A [`Connection`] is a socket and its session, and knows every hazard of both. It never waits: a
//! [`turn`](Connection::turn) moves what can be moved now and says what it waits for. A server model
//! only decides how to wait and whom to call.

mod accept;
mod blocking;
mod connection;
mod connections;
mod lent;
mod outlet;
mod pace;
mod transmit;

pub use accept::Acceptor;
pub use blocking::{Woken, run, run_alone};
pub use connection::{Connection, Next};
pub use connections::{After, Connections};
pub use lent::{Crowded, Lent, Patience, REQUEST_MAX_US};
