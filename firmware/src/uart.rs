//! UART0 of the board, an Arm CMSDK APB UART, as a [`Port`]. All of the firmware's `unsafe` is here.
//!
//! The device holds one received byte. Its interrupt moves that byte into a ring, so nothing is
//! lost while the loop sends. When the ring is full the byte stays where it is and the interrupt is
//! masked until the loop has read; a sender that looks at the line, as QEMU does, waits that long.
//!
//! Sending needs no ring: the shell keeps what the device has no room for, and the transmit
//! interrupt only ends its sleep.
//!
//! Registers and bits: Arm DDI 0479, Cortex-M System Design Kit, "APB UART". Addresses: Arm
//! DAI 0386, the board's application note.

#![expect(unsafe_code, reason = "registers, and the table of interrupt vectors")]

use core::cell::RefCell;

use cortex_m::interrupt::{self, InterruptNumber, Mutex};
use cortex_m::peripheral::NVIC;
use heapless::spsc::{Consumer, Producer, Queue};

use crate::port::Port;
use crate::{clock, sleep};

/// The bytes between the interrupt and the loop. It holds one byte less than its length.
pub(crate) type Ring = Queue<u8, 64>;

const BAUD: u32 = 115_200;
const BAUD_DIVISOR: u32 = clock::CPU_HZ / BAUD;

const _: () = assert!(BAUD_DIVISOR >= 16, "the device divides by no less than 16");

/// The end of the ring that the interrupt fills.
static RECEIVED: Mutex<RefCell<Option<Producer<'static, u8>>>> = Mutex::new(RefCell::new(None));

/// UART0, started.
pub(crate) struct Uart {
    received: Consumer<'static, u8>,
}

impl Uart {
    /// Starts UART0 and its interrupts. Taking the NVIC is what makes this the only `Uart`.
    pub(crate) fn start(_: NVIC, ring: &'static mut Ring) -> Self {
        let (producer, received) = ring.split();
        interrupt::free(|cs| RECEIVED.borrow(cs).replace(Some(producer)));
        BAUDDIV.store(BAUD_DIVISOR);
        CTRL.store(CTRL_TX_ENABLE | CTRL_RX_ENABLE | CTRL_TX_INTERRUPT | CTRL_RX_INTERRUPT);
        unmask(Irq::Receive);
        unmask(Irq::Transmit);
        Self { received }
    }
}

impl Port for Uart {
    fn read(&mut self, buf: &mut [u8]) -> usize {
        let mut n = 0;
        for slot in buf {
            let Some(byte) = self.received.dequeue() else { break };
            *slot = byte;
            n += 1;
        }
        if n > 0 {
            // There is room now. If the interrupt was masked because there was none, it comes at once.
            unmask(Irq::Receive);
        }
        n
    }

    fn write(&mut self, bytes: &[u8]) -> usize {
        let mut n = 0;
        for &byte in bytes {
            if STATE.load() & STATE_TX_FULL != 0 {
                break;
            }
            DATA.store(byte.into());
            n += 1;
        }
        n
    }
}

/// The receive interrupt: a byte is in the device.
extern "C" fn on_receive() {
    interrupt::free(|cs| {
        let mut ring = RECEIVED.borrow(cs).borrow_mut();
        while STATE.load() & STATE_RX_FULL != 0 {
            let Some(ring) = ring.as_mut().filter(|ring| ring.ready()) else {
                NVIC::mask(Irq::Receive);
                break;
            };
            // Cleared before the byte is taken: the next byte, which may come at once, sets it again.
            INTCLEAR.store(INT_RX);
            let [byte, ..] = DATA.load().to_le_bytes();
            // `ready` said that there is room.
            let _ = ring.enqueue(byte);
        }
    });
    sleep::note();
}

/// The transmit interrupt: there is room for a byte.
extern "C" fn on_transmit() {
    INTCLEAR.store(INT_TX);
    sleep::note();
}

/// The board's interrupts from number 0 on, as far as they are unmasked here.
// SAFETY: the runtime's linker script puts this section behind the sixteen exception vectors, and
// both entries are functions that the CPU may enter as handlers.
#[unsafe(link_section = ".vector_table.interrupts")]
// SAFETY: the runtime asks for the table by this name and defines none itself (feature `device`).
#[unsafe(no_mangle)]
static __INTERRUPTS: [extern "C" fn(); 2] = [on_receive, on_transmit];

/// An interrupt of UART0.
#[derive(Clone, Copy)]
enum Irq {
    Receive = 0,
    Transmit = 1,
}

// SAFETY: these are the numbers of the interrupts in the NVIC, and they never change.
unsafe impl InterruptNumber for Irq {
    fn number(self) -> u16 {
        self as u16
    }
}

fn unmask(irq: Irq) {
    // SAFETY: no critical section here is a matter of masking one interrupt; all of them turn every
    // interrupt off.
    unsafe { NVIC::unmask(irq) }
}

/// A register of the device, by its address.
#[derive(Clone, Copy)]
struct Register(usize);

const DATA: Register = Register(0x4000_4000);
const STATE: Register = Register(0x4000_4004);
const CTRL: Register = Register(0x4000_4008);
/// Writing a 1 clears the interrupt; reading tells which are set.
const INTCLEAR: Register = Register(0x4000_400c);
const BAUDDIV: Register = Register(0x4000_4010);

const STATE_TX_FULL: u32 = 1 << 0;
const STATE_RX_FULL: u32 = 1 << 1;

const CTRL_TX_ENABLE: u32 = 1 << 0;
const CTRL_RX_ENABLE: u32 = 1 << 1;
const CTRL_TX_INTERRUPT: u32 = 1 << 2;
const CTRL_RX_INTERRUPT: u32 = 1 << 3;

const INT_TX: u32 = 1 << 0;
const INT_RX: u32 = 1 << 1;

impl Register {
    fn load(self) -> u32 {
        // SAFETY: every `Register` is one of those above, a readable word of the device at an
        // aligned address that nothing else uses. A load of DATA takes a byte out of the device and
        // touches no memory.
        unsafe { (self.0 as *const u32).read_volatile() }
    }

    fn store(self, value: u32) {
        // SAFETY: as for `load`; every register is writable too, and no store makes the device
        // touch memory: it has no DMA.
        unsafe { (self.0 as *mut u32).write_volatile(value) }
    }
}
