//! What downloads and uploads over datagrams share: a machine of the core on its socket, and what is asked of the
//! server.
//!
//! ```text
//!   name ─▶ addresses ─▶ the first one ─▶ Conversation ─▶ Asking ◀─── event loop
//!              ▲                                             │
//!              └──── the next one ◀── refused, no answer ────┘
//! ```

mod ask;
mod asking;
mod said;

pub use ask::Asks;
pub(super) use ask::{Attempt, each_address, timing};
pub(super) use asking::Asking;
