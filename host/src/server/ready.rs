//! The moment from which on a server can serve: then, and not before, it says that it listens.

use std::fmt;

use crate::error::Result;

/// The call that is made at that moment, once.
#[derive(Default)]
pub(super) struct WhenReady(Option<Box<dyn FnOnce() -> Result<()> + Send>>);

impl WhenReady {
    pub(super) fn call(call: impl FnOnce() -> Result<()> + Send + 'static) -> Self {
        Self(Some(Box::new(call)))
    }

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
