//! The decisions about pools of workers as pure logic: which workers are idle, when to grow, when
//! to shrink.
//!
//! The logic returns actions; the host performs them. No thread, process or clock is here, so every
//! decision can be tested by calling functions.

pub mod processes;
pub mod scoreboard;
mod threads;

pub use threads::{Action, Event, Full, Policy, PolicyError, Threads};
