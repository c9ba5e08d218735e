//! Child processes, and the parent that keeps them: what the parent of a pool and the supervisor of
//! listeners have in common.
//!
//! ```text
//!   what happens                                             what is done
//!   a message, an exit, ─┐                                ┌─▶ start: channel, fork, watch both
//!   a signal, a timer ───┼─▶ event loop ─▶ core: decides ─┼─▶ ask to end, kill
//!                        │   (parent.rs)   (Processes)    └─▶ whatever else the parent does
//!   children: their processes, by slot (crew.rs)
//! ```
//!
//! No decision is made here: the core makes them, where every order of events can be tried.

mod crew;
mod message;
mod parent;

pub(super) use crew::{Crew, Process};
#[cfg(feature = "supervise")]
pub(super) use crew::{Watched, watch};
pub(super) use message::{Order, Report};
pub(super) use parent::{Parent, ParentState, fail, handle, run, spawn};
