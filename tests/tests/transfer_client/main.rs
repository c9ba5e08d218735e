//! `windlass get tftp://`, `get xfer://` and `put` with servers that a test plays, datagram by datagram.
//!
//! - What the server says decides nothing that this end did not ask for.
//! - Whatever fails is told in one line, and there is no file under the final name, or still the old one.

mod answers;
mod digests;
mod failures;
mod fake;
mod put;
mod xfer;
