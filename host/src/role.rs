//! The role of this process: its listener, and its part. `ps` shows it, and each line of the log
//! says it.

use std::fmt::Display;
use std::sync::{PoisonError, RwLock};

use crate::sys::title;

/// The listener, as `upper tcp:127.0.0.1:9527`, and the part, as `worker 3`. Empty: none in particular.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Role {
    /// The service and the address.
    pub listener: String,
    /// This process's part in it.
    pub part: String,
}

static ROLE: RwLock<Role> = RwLock::new(Role { listener: String::new(), part: String::new() });

/// Sets the role: this process serves `listener` as `part`.
pub fn serve(service: &str, address: impl Display, part: &str) {
    assume(Role { listener: format!("{service} {address}"), part: part.to_owned() });
}

/// Sets the part of this process on its parent's listener: a worker.
pub fn take_part(part: &str) {
    assume(Role { part: part.to_owned(), ..current() });
}

/// Sets the role of a process that looks after other processes.
pub fn supervise() {
    assume(Role { part: "supervisor".to_owned(), ..Role::default() });
}

/// The role of this process.
pub fn current() -> Role {
    ROLE.read().unwrap_or_else(PoisonError::into_inner).clone()
}

fn assume(role: Role) {
    let words = ["windlass:", &role.listener, &role.part];
    let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
    title::set(&words.join(" "));
    *ROLE.write().unwrap_or_else(PoisonError::into_inner) = role;
}
