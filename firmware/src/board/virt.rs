//! QEMU's `virt`, a RISC-V: an NS16550 UART, which holds 16 bytes in each direction, the counter of the
//! CLINT, and the interrupt controller PLIC.
//!
//! Registers and bits: National Semiconductor PC16550D; RISC-V ACLINT and PLIC specifications. Addresses:
//! `hw/riscv/virt.c`.

use riscv::interrupt::Interrupt;
use riscv_rt::core_interrupt;

use crate::cpu::{self, unmask};
use crate::port::Port;
use crate::received;
use crate::register::{Register, Register8};

/// The name of the board.
pub const NAME: &str = "virt";

/// The rate of the counter in megahertz.
pub const TICKS_PER_US: u32 = 10;

/// The interrupt of the UART in the PLIC.
const UART_0: u32 = 10;

/// UART 0, started.
#[derive(Debug)]
pub struct Uart(());

/// Starts UART 0; the counter runs since reset. `main` calls it once.
pub fn start() -> Uart {
    alarm(u32::MAX);
    FCR.store(FIFO_ENABLE);
    IER.store(INT_RX | INT_TX);
    PRIORITY_UART_0.store(1);
    ENABLE.store(1 << UART_0);
    THRESHOLD.store(0);
    unmask();
    Uart(())
}

/// The counter.
pub fn ticks() -> u32 {
    TIME.load()
}

/// An interrupt comes after so many ticks.
pub fn alarm(ticks: u32) {
    let now = loop {
        let (high, low) = (TIME_HIGH.load(), TIME.load());
        if high == TIME_HIGH.load() {
            break (u64::from(high) << 32) | u64::from(low);
        }
    };
    let [b0, b1, b2, b3, b4, b5, b6, b7] = now.wrapping_add(ticks.into()).to_le_bytes();
    // No time in between is in the past.
    ALARM_HIGH.store(u32::MAX);
    ALARM.store(u32::from_le_bytes([b0, b1, b2, b3]));
    ALARM_HIGH.store(u32::from_le_bytes([b4, b5, b6, b7]));
}

impl Port for Uart {
    fn read(&mut self, buf: &mut [u8]) -> usize {
        let n = received::take(buf);
        if n > 0 {
            // There is room now. If the interrupt was masked because there was none, it comes at once.
            IER.store(INT_RX | INT_TX);
        }
        n
    }

    fn write(&mut self, bytes: &[u8]) -> usize {
        let room = bytes.iter().take_while(|&&byte| {
            let is_free = LSR.load() & TX_EMPTY != 0;
            if is_free {
                DATA.store(byte);
            }
            is_free
        });
        room.count()
    }
}

#[core_interrupt(Interrupt::MachineExternal)]
fn on_uart() {
    let irq = CLAIM.load();
    // Reading it ends the interrupt for room to send.
    let _ = IIR.load();
    let is_room = received::fill(|| (LSR.load() & RX_READY != 0).then(|| DATA.load()));
    if !is_room {
        IER.store(INT_TX);
    }
    CLAIM.store(irq);
    cpu::note();
}

#[core_interrupt(Interrupt::MachineTimer)]
fn on_alarm() {
    ALARM_HIGH.store(u32::MAX);
    cpu::note();
}

const DATA: Register8 = Register8(0x1000_0000);
const IER: Register8 = Register8(0x1000_0001);
/// To read; to write, it is FCR.
const IIR: Register8 = Register8(0x1000_0002);
const FCR: Register8 = IIR;
const LSR: Register8 = Register8(0x1000_0005);
const INT_RX: u8 = 1 << 0;
const INT_TX: u8 = 1 << 1;
const FIFO_ENABLE: u8 = 1 << 0;
const RX_READY: u8 = 1 << 0;
const TX_EMPTY: u8 = 1 << 5;

const ALARM: Register = Register(0x0200_4000);
const ALARM_HIGH: Register = Register(0x0200_4004);
const TIME: Register = Register(0x0200_bff8);
const TIME_HIGH: Register = Register(0x0200_bffc);

const PRIORITY_UART_0: Register = Register(0x0c00_0000 + 4 * UART_0 as usize);
const ENABLE: Register = Register(0x0c00_2000);
const THRESHOLD: Register = Register(0x0c20_0000);
/// Reading it begins an interrupt, writing it ends it.
const CLAIM: Register = Register(0x0c20_0004);
