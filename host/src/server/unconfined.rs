//! In place of `confine.rs` where the feature `sandbox` is off: workers are not confined, and the log says so.

use tracing::warn;

use super::{Model, Server};
use crate::error::Result;
use crate::sys::process::SingleThreaded;

/// The confinement of the workers of a pool: none.
#[derive(Debug)]
pub(super) struct Sandbox;

impl Sandbox {
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "as with the feature")]
    pub(super) fn prepare(&mut self, _: &SingleThreaded) -> Result<()> {
        Ok(())
    }

    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "as with the feature")]
    pub(super) fn enter(&self) -> Result<()> {
        Ok(())
    }
}

impl Server {
    /// The confinement for the workers of a pool.
    #[expect(clippy::unused_self, reason = "as with the feature")]
    pub(super) fn sandbox(&self, _: Model) -> Sandbox {
        warn!("workers are not confined: this program is built without the feature `sandbox`");
        Sandbox
    }

    /// Warns that the children of `fork` gain privileges as any program does.
    #[expect(clippy::unused_self, reason = "as with the feature")]
    pub(super) fn keep_children_from_privileges(&self) {
        warn!("children are not confined: this program is built without the feature `sandbox`");
    }
}
