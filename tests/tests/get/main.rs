//! `windlass get http://…`: real processes, real sockets, and servers that a test controls.
//!
//! - `answers`: requests, and every way to find the end of an answer.
//! - `redirects`: redirects that are followed, and redirects that are not.
//! - `failures`: servers that stop, send wrong answers, reset, or are silent. No file is left.
//! - `outputs`: files, pipes, devices, terminals; slow, full, and closed ones.
//! - `places`: files that exist already, and files beside them.
//! - `interrupts`: signals.
//! - `resume`: transfers that resume an earlier one.
//! - `proxy`: proxies that the environment names.
//! - `web`: answers as servers on the net give them.
//! - `foreign`: a foreign server.

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
