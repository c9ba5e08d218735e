//! Received bytes, between the interrupt of a UART and the loop.
//!
//! A UART has room for 1 to 16 bytes. Its interrupt moves them here, so nothing is lost while the loop
//! does something else. When there is no room, they stay in the UART and its interrupt is masked until the
//! loop has read; a sender that looks at the line, as QEMU does, waits that long.

use core::cell::RefCell;

use critical_section::Mutex;
use heapless::Deque;

/// Its room in bytes.
pub const LEN: usize = 64;

static BYTES: Mutex<RefCell<Deque<u8, LEN>>> = Mutex::new(RefCell::new(Deque::new()));

/// For the interrupt: moves bytes here until `next` has none. Returns whether there was room for all.
pub fn fill(mut next: impl FnMut() -> Option<u8>) -> bool {
    critical_section::with(|cs| {
        let mut bytes = BYTES.borrow_ref_mut(cs);
        while !bytes.is_full() {
            match next() {
                // It is not full.
                Some(byte) => _ = bytes.push_back(byte),
                None => return true,
            }
        }
        false
    })
}

/// For the loop: moves bytes to the front of `buf`, and returns their number.
pub fn take(buf: &mut [u8]) -> usize {
    critical_section::with(|cs| {
        let mut bytes = BYTES.borrow_ref_mut(cs);
        let slots = buf.iter_mut();
        slots.map_while(|slot| bytes.pop_front().map(|byte| *slot = byte)).count()
    })
}
