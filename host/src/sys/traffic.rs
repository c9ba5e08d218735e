//! The bytes that a thread has moved over streams, and as datagrams of transfers.
//!
//! A driver that wants to know what one connection moved takes the difference around its turn: a turn
//! is over before the thread does anything else.

use std::cell::Cell;

thread_local! {
    static SENT: Cell<u64> = const { Cell::new(0) };
    static RECEIVED: Cell<u64> = const { Cell::new(0) };
}

/// Bytes that left this thread so far: those that the kernel took.
pub fn sent() -> u64 {
    SENT.get()
}

/// Bytes that came to this thread so far.
pub fn received() -> u64 {
    RECEIVED.get()
}

/// Notes what one call sent.
pub(super) fn did_send(bytes: usize) {
    SENT.set(SENT.get().wrapping_add(bytes as u64));
}

/// Notes what one call received.
pub fn did_receive(bytes: usize) {
    RECEIVED.set(RECEIVED.get().wrapping_add(bytes as u64));
}
