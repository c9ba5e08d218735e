//! The calls that the supervisor makes to the program that configures it.

use std::path::PathBuf;

use super::probes::Probes;
use crate::addr::Address;
use crate::error::Result;
use crate::server::spec::Spec;

/// The calls that the supervisor makes to the program that configures it.
pub struct Hooks {
    /// How the configuration is read again. `None`: there is none, and SIGHUP is passed on.
    pub reread: Option<Reread>,
    /// Called when a listener is ready for the first time, with the id of its process.
    pub announce: Announce,
}

/// See [`Hooks::reread`].
pub struct Reread {
    /// The file.
    pub path: PathBuf,
    /// Turns its text into listeners, or into a list of all mistakes in it.
    pub understand: Understand,
}

/// What a configuration asks for.
#[derive(Debug)]
pub struct Wanted {
    /// The listeners.
    pub listeners: Vec<Spec>,
    /// The addresses at which the supervisor tells how the server is, if there are to be any.
    pub probes: Probes<Option<Address>>,
    /// How long it says that it stops before it does, in microseconds.
    pub stop_delay_us: u64,
}

/// See [`Reread::understand`].
pub type Understand = Box<dyn Fn(&[u8]) -> std::result::Result<Wanted, Vec<String>>>;

/// See [`Hooks::announce`].
pub type Announce = Box<dyn Fn(&Spec, &Address, i32) -> Result<()>>;
