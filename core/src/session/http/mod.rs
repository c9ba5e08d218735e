//! The `http` service: files by GET and HEAD over HTTP/1.1 and HTTP/1.0.
//!
//! ```text
//!   Head ──▶ Opening ──▶ Examining ──▶ Sending ──▶ Closing ──▶ Head …      a file, and the next request
//!                            └─▶ Digesting ─▲                              with its digest, where asked
//!     └─────────┴─────────────────────▶ Sending ─────────────▶ Head        an answer without a file
//!                                          └──▶ Draining ──▶ Done          the end of the connection
//! ```
//!
//! The head of a request is gathered in memory that the shell lends, and is parsed once it is complete.
//! The answer needs no memory: it is rendered from what the head and the file say
//! ([`FileUser::head`](crate::file::FileUser::head)), so the shell can send it with the first bytes of the
//! file.
//!
//! Requests have no body. One that announces a body is refused, its body is read and dropped for two seconds
//! at most, so that the refusal is not lost in a reset, and the connection ends: no byte of a
//! body is ever taken for a request.

mod answer;
mod gather;
mod request;
mod server;
mod site;
mod status;

pub use server::{HEAD_MIN, HttpServer};
pub use site::{Lent, Site};

#[cfg(test)]
mod tests;
