//! UART 1 of the MPS2 board, without interrupts: for a second line, which is asked again and again.

use super::mps2::send;
use crate::port::Port;
use crate::register::Register;

/// UART 1, started.
#[derive(Debug)]
pub struct SecondUart(());

/// Starts UART 1, at the rate of UART 0.
pub fn second() -> Option<SecondUart> {
    BAUDDIV.store(super::TICKS_PER_US * 1_000_000 / 115_200);
    CTRL.store(TX_ENABLE | RX_ENABLE);
    Some(SecondUart(()))
}

impl Port for SecondUart {
    fn read(&mut self, buf: &mut [u8]) -> usize {
        let mut n = 0;
        for slot in buf {
            if STATE.load() & RX_FULL == 0 {
                break;
            }
            [*slot, ..] = DATA.load().to_le_bytes();
            n += 1;
        }
        n
    }

    fn write(&mut self, bytes: &[u8]) -> usize {
        send([DATA, STATE], bytes)
    }
}

const DATA: Register = Register(0x4000_5000);
const STATE: Register = Register(0x4000_5004);
const CTRL: Register = Register(0x4000_5008);
const BAUDDIV: Register = Register(0x4000_5010);
const RX_FULL: u32 = 1 << 1;
const TX_ENABLE: u32 = 1 << 0;
const RX_ENABLE: u32 = 1 << 1;
