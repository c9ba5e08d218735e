//! QEMU's `microbit`, a Cortex-M0: the nRF51822 with a UART that holds six received bytes, and a timer.
//!
//! Registers and bits: nRF51 Series Reference Manual 3.0. Pins: the schematics of the micro:bit V1.
#![expect(unsafe_code, reason = "the table of interrupt vectors")]

use crate::cpu::{self, Irq, Vector, unmask};
use crate::port::Port;
use crate::received;
use crate::register::Register;

/// The name of the board.
pub const NAME: &str = "microbit";

/// 16 MHz divided by 2^4.
pub const TICKS_PER_US: u32 = 1;

/// The shortest alarm, in ticks: the counter does not pass it while it is set.
const ALARM_MIN: u32 = 10;

/// The longest alarm, in ticks. If the socket behind QEMU's UART was full, TXDRDY comes without an interrupt.
const LOOK_AGAIN: u32 = 10_000;

/// UART 0, started.
#[derive(Debug)]
pub struct Uart {
    /// A byte was sent, and the event that ends it has not come.
    is_sending: bool,
}

/// Starts timer 0 and UART 0. `main` calls it once.
pub fn start() -> Uart {
    BITMODE.store(BITS_32);
    PRESCALER.store(4);
    TIMER_START.store(1);
    TIMER_INTENSET.store(INT_COMPARE_1);
    PSEL_TXD.store(24);
    PSEL_RXD.store(25);
    BAUDRATE.store(BAUD_115200);
    ENABLE.store(4);
    START_TX.store(1);
    START_RX.store(1);
    INTENSET.store(INT_RXDRDY | INT_TXDRDY);
    unmask(UART_0);
    unmask(TIMER_0);
    Uart { is_sending: false }
}

/// The counter.
pub fn ticks() -> u32 {
    CAPTURE_0.store(1);
    CC_0.load()
}

/// An interrupt comes after so many ticks.
pub fn alarm(ticks: u32) {
    COMPARE_1.store(0);
    CC_1.store(self::ticks().wrapping_add(ticks.clamp(ALARM_MIN, LOOK_AGAIN)));
}

impl Port for Uart {
    fn read(&mut self, buf: &mut [u8]) -> usize {
        let n = received::take(buf);
        if n > 0 {
            // There is room now. If the interrupt was masked because there was none, it comes at once.
            INTENSET.store(INT_RXDRDY);
        }
        n
    }

    fn write(&mut self, bytes: &[u8]) -> usize {
        let room = bytes.iter().take_while(|&&byte| {
            if self.is_sending && TXDRDY.load() == 0 {
                return false;
            }
            TXDRDY.store(0);
            INTENSET.store(INT_TXDRDY);
            TXD.store(byte.into());
            self.is_sending = true;
            true
        });
        room.count()
    }
}

/// Bytes have come, or one has left. Its event stays set for `write`, so the interrupt is masked.
extern "C" fn on_uart() {
    let is_room = received::fill(|| {
        if RXDRDY.load() == 0 {
            return None;
        }
        // Cleared before the byte is taken: the next byte sets it again.
        RXDRDY.store(0);
        let [byte, ..] = RXD.load().to_le_bytes();
        Some(byte)
    });
    if !is_room {
        INTENCLR.store(INT_RXDRDY);
    }
    if TXDRDY.load() != 0 {
        INTENCLR.store(INT_TXDRDY);
    }
    cpu::note();
}

extern "C" fn on_alarm() {
    COMPARE_1.store(0);
    cpu::note();
}

const UART_0: Irq = Irq(2);
const TIMER_0: Irq = Irq(8);

// SAFETY: the runtime's linker script puts this section behind the sixteen exception vectors, and the
// entries of all unmasked interrupts are functions that the CPU may enter as handlers.
#[unsafe(link_section = ".vector_table.interrupts")]
// SAFETY: the runtime asks for the table by this name and defines none itself (feature `device`).
#[unsafe(no_mangle)]
static __INTERRUPTS: [Vector; 9] = {
    let mut table: [Vector; 9] = [None; 9];
    table[UART_0.0 as usize] = Some(on_uart);
    table[TIMER_0.0 as usize] = Some(on_alarm);
    table
};

const START_RX: Register = Register(0x4000_2000);
const START_TX: Register = Register(0x4000_2008);
const RXDRDY: Register = Register(0x4000_2108);
const TXDRDY: Register = Register(0x4000_211c);
const INTENSET: Register = Register(0x4000_2304);
const INTENCLR: Register = Register(0x4000_2308);
const ENABLE: Register = Register(0x4000_2500);
const PSEL_TXD: Register = Register(0x4000_250c);
const PSEL_RXD: Register = Register(0x4000_2514);
const RXD: Register = Register(0x4000_2518);
const TXD: Register = Register(0x4000_251c);
const BAUDRATE: Register = Register(0x4000_2524);
const INT_RXDRDY: u32 = 1 << 2;
const INT_TXDRDY: u32 = 1 << 7;
const BAUD_115200: u32 = 0x01d7_e000;

const TIMER_START: Register = Register(0x4000_8000);
const CAPTURE_0: Register = Register(0x4000_8040);
const COMPARE_1: Register = Register(0x4000_8144);
const TIMER_INTENSET: Register = Register(0x4000_8304);
const BITMODE: Register = Register(0x4000_8508);
const PRESCALER: Register = Register(0x4000_8510);
const CC_0: Register = Register(0x4000_8540);
const CC_1: Register = Register(0x4000_8544);
const BITS_32: u32 = 3;
const INT_COMPARE_1: u32 = 1 << 17;
