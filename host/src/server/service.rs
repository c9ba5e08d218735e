//! The services by name, and the session that each client of one gets.

use windlass_core::session::{Echo, Session, TimeServer, Upper};

use crate::sys::clock;

/// What is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// The time of day, once, in decimal.
    Time,
    /// Everything back, in capitals.
    Upper,
    /// Everything back.
    Echo,
}

impl Service {
    /// All services, in the order of the built-in configuration.
    pub const ALL: [Self; 3] = [Self::Time, Self::Upper, Self::Echo];

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::Upper => "upper",
            Self::Echo => "echo",
        }
    }

    /// The session for one more client.
    pub fn open(self) -> Box<dyn Session + Send> {
        match self {
            Self::Time => Box::new(TimeServer::new(clock::stamp())),
            Self::Upper => Box::new(Upper::new()),
            Self::Echo => Box::new(Echo::new()),
        }
    }
}
