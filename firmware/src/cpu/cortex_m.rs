//! A Cortex-M.
#![expect(unsafe_code, reason = "unmasking interrupts")]

use cortex_m::interrupt::InterruptNumber;
use cortex_m::peripheral::NVIC;

pub use cortex_m::asm::wfi as wait_for_interrupt;
pub use cortex_m_rt::entry;

/// The top of the stack.
pub fn stack_pointer() -> usize {
    cortex_m::register::msp::read() as usize
}

/// An interrupt, by its number in the NVIC.
#[derive(Debug, Clone, Copy)]
pub struct Irq(pub(crate) u16);

// SAFETY: a number never changes. A board has none that the NVIC does not have.
unsafe impl InterruptNumber for Irq {
    fn number(self) -> u16 {
        self.0
    }
}

/// A handler in the table of a board.
pub type Vector = Option<extern "C" fn()>;

/// Enables an interrupt of the board.
pub fn unmask(irq: Irq) {
    // SAFETY: no critical section here is a matter of masking one interrupt; all of them turn every
    // interrupt off.
    unsafe { NVIC::unmask(irq) }
}
