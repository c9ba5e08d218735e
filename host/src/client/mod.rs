//! The clients.

pub mod http;
mod talk;
mod time;

pub use talk::talk;
pub use time::time;
