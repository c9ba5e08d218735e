//! Several listeners: a process for each, and a supervisor that keeps them running.
//!
//! ```text
//!                  ┌─ listener ─ pool of one ─▶ process, and for a while the one that it replaces
//!   supervisor ────┼─ listener ─ pool of one ─▶ process
//!   (event loop)   └─ …
//!      SIGTERM, SIGQUIT, SIGHUP, SIGUSR2
//! ```
//!
//! Every model waits in its own way, so each listener has a process to itself, and the models need to know
//! nothing of each other. The supervisor holds every listening socket and never accepts: a client that
//! connects while a process is missing waits in the accept queue. The core decides when a process is started,
//! when to wait after a crash, when to replace a process and when to give up on it: to the core a listener
//! is a pool of one worker.

mod child;
mod handover;
mod hooks;
mod listener;
mod load;
mod log_writer;
mod log_writers;
mod probes;
mod reader;
mod reload;
mod reread;
mod state;
mod supervisor;
mod systemd;
mod upgrade;
mod watched;

pub use hooks::{Announce, Hooks, Reread, Understand, Wanted};
pub use probes::{Probe, Probes};
pub use supervisor::{Task, serve};
