//! A device that updates itself: two slots in NOR flash, a log of what was received, and a download that
//! resumes after a power failure.
//!
//! ```text
//!   flash   │ log │ log │ slot A ............ │ slot B ............ │
//!              4 KiB each      one of them is booted, the other is written
//!
//!   FilesClient ──Create, Store, Commit──▶ Updater ──erase, program──▶ Flash
//!                ◀──Busy, Kept, Done──────    │
//!                                             └──▶ log: kept 4096, kept 8192, … valid
//! ```
//!
//! - [`Updater`] is a [`Storage`](windlass_core::file::Storage): any driver of the core runs a
//!   [`FilesClient`](windlass_core::session::FilesClient) with it. While the flash erases or programs, it answers
//!   `Busy`, so the line is served and the server waits.
//! - A slot becomes bootable by one record in the log, after the digest of its bytes, read back from the flash,
//!   is the digest of the server. Until then the other slot is booted.
//! - After a power failure the [request](Updater::request) asks for the rest, from the last whole sector on. The
//!   server compares the digest of what is there, so the bytes of two different files do not mix.
//! - [`Verdict`] names how an update ended.
//!
//! [`Nor`] is a flash in memory, with the times and the power failures of a real one.
#![no_std]
#![forbid(unsafe_code)]

mod flash;
mod log;
mod nor;
mod updater;
mod verdict;

pub use flash::{Failed, Flash, PAGE, SECTOR};
pub use log::{Image, Slot};
pub use nor::{Harm, Nor};
pub use updater::Updater;
pub use verdict::Verdict;
