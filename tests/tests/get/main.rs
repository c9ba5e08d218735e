//! `windlass get http://…`: real processes, real sockets, and servers that do as a test tells them.
//!
//! - `answers`: what is asked, and every way of telling where an answer ends.
//! - `redirects`: where documents have moved to, and redirects that are not followed.
//! - `failures`: servers that stop, lie, reset, or say nothing. Nothing is left of the file.
//! - `outputs`: files, pipes, devices, terminals; what is slow, full, or gone.
//! - `places`: what has the name, and what has names beside it.
//! - `interrupts`: signals.
//! - `resume`: transfers that go on from what an earlier one left.
//! - `proxy`: proxies that the environment names.
//! - `web`: answers as servers on the net give them.
//! - `foreign`: another people's server.

mod answers;
mod failures;
mod folder;
mod foreign;
mod interrupts;
mod outputs;
mod places;
mod proxy;
mod redirects;
mod resume;
mod server;
mod web;
