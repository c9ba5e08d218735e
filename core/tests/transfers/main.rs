//! Transfers in virtual time, as a user of the crate runs them: thousands of seeded runs, and every order of
//! events of small ones.

mod grid;
#[cfg(not(miri))]
mod large;
mod model;
mod parts;
mod world;
