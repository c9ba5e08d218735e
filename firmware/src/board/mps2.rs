//! QEMU's `mps2-an386`, a Cortex-M4: a CMSDK APB UART, which holds one byte in each direction, and two
//! CMSDK APB timers, which count down.
//!
//! Registers and bits: Arm DDI 0479, Cortex-M System Design Kit. Addresses: Arm DAI 0386, the board's
//! application note.
#![expect(unsafe_code, reason = "the table of interrupt vectors")]

use crate::cpu::{self, Irq, Vector, unmask};
use crate::port::Port;
use crate::received;
use crate::register::Register;

/// The name of the board.
pub const NAME: &str = "mps2-an386";

/// The frequency of the CPU in megahertz, which the timers and the UART have too.
pub const TICKS_PER_US: u32 = 25;

const BAUD_DIVISOR: u32 = TICKS_PER_US * 1_000_000 / 115_200;

const _: () = assert!(BAUD_DIVISOR >= 16, "the device divides by no less than 16");

/// UART 0, started.
#[derive(Debug)]
pub struct Uart(());

/// Starts timer 0 and UART 0. `main` calls it once.
pub fn start() -> Uart {
    COUNTER_RELOAD.store(u32::MAX);
    COUNTER.store(u32::MAX);
    COUNTER_CTRL.store(TIMER_ENABLE);
    BAUDDIV.store(BAUD_DIVISOR);
    CTRL.store(TX_ENABLE | RX_ENABLE | TX_INTERRUPT | RX_INTERRUPT);
    for irq in [RECEIVE, TRANSMIT, TIMER_1] {
        unmask(irq);
    }
    Uart(())
}

/// The counter.
pub fn ticks() -> u32 {
    !COUNTER.load()
}

/// An interrupt comes after so many ticks.
pub fn alarm(ticks: u32) {
    ALARM_CTRL.store(0);
    // The timer does not stop at 0 if it begins there.
    ALARM_RELOAD.store(ticks.max(1));
    ALARM.store(ticks.max(1));
    ALARM_CTRL.store(TIMER_ENABLE | TIMER_INTERRUPT);
}

impl Port for Uart {
    fn read(&mut self, buf: &mut [u8]) -> usize {
        let n = received::take(buf);
        if n > 0 {
            // There is room now. If the interrupt was masked because there was none, it comes at once.
            unmask(RECEIVE);
        }
        n
    }

    fn write(&mut self, bytes: &[u8]) -> usize {
        send([DATA, STATE], bytes)
    }
}

/// Sends bytes from the front while the UART has room, and returns their number.
pub(super) fn send([data, state]: [Register; 2], bytes: &[u8]) -> usize {
    let room = bytes.iter().take_while(|&&byte| {
        let is_free = state.load() & TX_FULL == 0;
        if is_free {
            data.store(byte.into());
        }
        is_free
    });
    room.count()
}

extern "C" fn on_receive() {
    let is_room = received::fill(|| {
        if STATE.load() & RX_FULL == 0 {
            return None;
        }
        // Cleared before the byte is taken: the next byte, which may come at once, sets it again.
        INTCLEAR.store(INT_RX);
        let [byte, ..] = DATA.load().to_le_bytes();
        Some(byte)
    });
    if !is_room {
        cortex_m::peripheral::NVIC::mask(RECEIVE);
    }
    cpu::note();
}

/// There is room for a byte.
extern "C" fn on_transmit() {
    INTCLEAR.store(INT_TX);
    cpu::note();
}

extern "C" fn on_alarm() {
    ALARM_CTRL.store(0);
    ALARM_CLEAR.store(1);
    cpu::note();
}

const RECEIVE: Irq = Irq(0);
const TRANSMIT: Irq = Irq(1);
const TIMER_1: Irq = Irq(9);

// SAFETY: the runtime's linker script puts this section behind the sixteen exception vectors, and the
// entries of all unmasked interrupts are functions that the CPU may enter as handlers.
#[unsafe(link_section = ".vector_table.interrupts")]
// SAFETY: the runtime asks for the table by this name and defines none itself (feature `device`).
#[unsafe(no_mangle)]
static __INTERRUPTS: [Vector; 10] = {
    let mut table: [Vector; 10] = [None; 10];
    table[RECEIVE.0 as usize] = Some(on_receive);
    table[TRANSMIT.0 as usize] = Some(on_transmit);
    table[TIMER_1.0 as usize] = Some(on_alarm);
    table
};

const COUNTER_CTRL: Register = Register(0x4000_0000);
const COUNTER: Register = Register(0x4000_0004);
const COUNTER_RELOAD: Register = Register(0x4000_0008);
const ALARM_CTRL: Register = Register(0x4000_1000);
const ALARM: Register = Register(0x4000_1004);
const ALARM_RELOAD: Register = Register(0x4000_1008);
const ALARM_CLEAR: Register = Register(0x4000_100c);
const TIMER_ENABLE: u32 = 1 << 0;
const TIMER_INTERRUPT: u32 = 1 << 3;

const DATA: Register = Register(0x4000_4000);
const STATE: Register = Register(0x4000_4004);
const CTRL: Register = Register(0x4000_4008);
/// Writing a 1 clears the interrupt.
const INTCLEAR: Register = Register(0x4000_400c);
const BAUDDIV: Register = Register(0x4000_4010);
const TX_FULL: u32 = 1 << 0;
const RX_FULL: u32 = 1 << 1;
const TX_ENABLE: u32 = 1 << 0;
const RX_ENABLE: u32 = 1 << 1;
const TX_INTERRUPT: u32 = 1 << 2;
const RX_INTERRUPT: u32 = 1 << 3;
const INT_TX: u32 = 1 << 0;
const INT_RX: u32 = 1 << 1;
