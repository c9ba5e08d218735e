//! The moment from which on a server can serve: then, and not before, it says that it listens.

use std::fmt;

use super::Server;
use crate::error::Result;

/// What is to be done at that moment, once.
#[derive(Default)]
pub(super) struct WhenReady(Option<Box<dyn FnOnce() -> Result<()> + Send>>);

impl WhenReady {
    /// The moment has come, now or earlier.
    pub(super) fn come(&mut self) -> Result<()> {
        self.0.take().map_or(Ok(()), |call| call())
    }
}

impl fmt::Debug for WhenReady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WhenReady({})", if self.0.is_some() { "to come" } else { "over" })
    }
}

impl Server {
    /// Calls once the server can take a client: it watches the listener, and its first thread or worker is
    /// there. An error of the call ends the server.
    #[must_use]
    pub fn when_ready(mut self, call: impl FnOnce() -> Result<()> + Send + 'static) -> Self {
        self.when_ready = WhenReady(Some(Box::new(call)));
        self
    }
}
