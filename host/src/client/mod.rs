//! The clients.

mod talk;
mod time;

pub use talk::talk;
pub use time::time;
