//! The supervisor's tests: rows for each rule, random histories, and every state there is.

extern crate std;

use super::*;

mod bench;
mod canon;
mod conns;
mod crashes;
mod explore;
mod invariants;
mod random;
mod scale;
mod world;
