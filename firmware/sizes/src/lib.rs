//! The parts that the images share: a port and a clock that the optimiser cannot see through.
//!
//! Each file under `bin` is an image with one machine; `empty` has none. `cargo xtask size` shows how many bytes
//! the others have more than `empty`. The panic handler calls a function that does not exist: an
//! image with a path to it does not link. So an image that links proves that its machine
//! has no path to a panic.
#![no_std]
#![expect(unsafe_code, reason = "registers, and a symbol that is nowhere")]

mod flash;
pub mod machines;
pub mod network;

pub use flash::Flash;

use core::convert::Infallible;

use windlass_core::driver::{Engine, Linked, blocking};
use windlass_core::file::{Answer, Op, Storage};
use windlass_core::frame::link::Link;
use windlass_core::pump::Pump;
use windlass_core::session::Session;
use windlass_core::time::{Instant, Wake};
#[cfg(target_pointer_width = "32")]
use windlass_core::transfer::tftp::{TftpGet, TftpPut, TftpServer};
#[cfg(target_pointer_width = "32")]
use windlass_core::transfer::xfer::{XferClient, XferServer};
use windlass_core::transfer::{HEAD_MAX, Heard, Transfer};
use windlass_core::want::Close;

// The size of a machine on a 32-bit processor, beside the memory that is lent to it.
#[cfg(target_pointer_width = "32")]
const _: () = {
    assert!(size_of::<windlass_core::session::Upper>() <= 16);
    assert!(size_of::<windlass_core::session::FilesClient<'_, &mut [u8]>>() <= 80);
    assert!(size_of::<windlass_core::session::HttpServer<&mut [u8]>>() <= 168);
    assert!(size_of::<Pump<'_>>() <= 96);
    assert!(size_of::<Link<'_>>() <= 112);
    assert!(size_of::<TftpGet<&[u8]>>() <= 248);
    assert!(size_of::<TftpPut<&[u8]>>() <= 240);
    assert!(size_of::<TftpServer<64>>() <= 344);
    assert!(size_of::<XferClient<&[u8]>>() <= 144);
    assert!(size_of::<XferServer<64>>() <= 200);
};

/// A UART, by the addresses of nothing in particular.
#[derive(Debug)]
pub struct Port(());

impl Port {
    /// The port.
    pub const fn new() -> Self {
        Self(())
    }

    /// The received byte.
    pub fn read(&mut self, buf: &mut [u8]) -> usize {
        let mut n = 0;
        for slot in buf {
            if load(0x4000_0004) == 0 {
                break;
            }
            [*slot, ..] = load(0x4000_0000).to_le_bytes();
            n += 1;
        }
        n
    }

    /// Sends as many bytes as there is room for.
    pub fn write(&mut self, bytes: &[u8]) -> usize {
        let mut n = 0;
        for &byte in bytes {
            if load(0x4000_0008) == 0 {
                break;
            }
            store(0x4000_0000, byte.into());
            n += 1;
        }
        n
    }
}

impl Default for Port {
    fn default() -> Self {
        Self::new()
    }
}

impl embedded_io::ErrorType for Port {
    type Error = Infallible;
}

impl embedded_io::ReadReady for Port {
    fn read_ready(&mut self) -> Result<bool, Infallible> {
        Ok(load(0x4000_0004) != 0)
    }
}

impl embedded_io::Read for Port {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize, Infallible> {
        Ok(Port::read(self, buf))
    }
}

impl embedded_io::Write for Port {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        for &byte in bytes {
            while load(0x4000_0008) == 0 {}
            store(0x4000_0000, byte.into());
        }
        // What is to be written is not empty, which the optimiser does not see.
        Ok(bytes.len().max(1))
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// A timer that wakes the processor.
#[derive(Debug)]
pub struct Timer(());

impl blocking::Clock for Timer {
    fn now(&mut self) -> Instant {
        now()
    }

    /// The loop polls.
    fn wait(&mut self, _: Wake) {}
}

/// The time, in microseconds of a timer.
pub fn now() -> Instant {
    Instant::from_micros(load(0x4000_000c).into())
}

/// A number that the optimiser does not know.
pub fn number() -> u32 {
    load(0x4000_0010)
}

/// Memory that the program lends, at a place that the optimiser does not know. It is not cleared: a
/// runtime does that, or nothing, and no machine needs it.
pub fn lend<const N: usize>() -> &'static mut [u8; N] {
    let address = load(0x4000_0018) as usize;
    // SAFETY: nothing runs these images; on a machine it would be a part of RAM for each call.
    unsafe { &mut *(address as *mut [u8; N]) }
}

/// Makes the optimiser keep `number`.
pub fn keep(number: usize) {
    store(0x4000_0014, u32::try_from(number).unwrap_or_default());
}

/// Runs a session to its end.
pub fn run<S: Session + ?Sized>(session: &mut S, storage: &mut impl Storage) {
    drive(&mut Pump::new(lend::<64>(), lend::<64>()), session, storage);
}

/// Runs a session over the link layer.
pub fn run_over_link<S: Session + ?Sized>(session: &mut S, storage: &mut impl Storage) {
    let (link_rx, link_tx) = (lend::<{ Link::rx_len(64) }>(), lend::<{ Link::tx_len(64) }>());
    let mut link = Link::connect(link_rx, link_tx, 7);
    let pump = Pump::new(lend::<64>(), lend::<64>());
    drive(&mut Linked::new(pump, &mut link, lend::<64>()), session, storage);
}

/// A session that the optimiser does not know.
pub fn unknown_session() -> &'static mut dyn Session {
    let parts = [load(0x4000_0018) as usize, load(0x4000_0018) as usize];
    // SAFETY: as for `unknown_transfer`.
    unsafe { core::mem::transmute(parts) }
}

/// A transfer that the optimiser does not know.
pub fn unknown_transfer() -> &'static mut dyn Transfer {
    let parts = [load(0x4000_0018) as usize, load(0x4000_0018) as usize];
    // SAFETY: nothing runs these images; on a machine it would be a transfer and its table of functions.
    unsafe { core::mem::transmute(parts) }
}

/// The routines of the compiler that copy, clear and compare memory of any length: every program of some size has
/// them, so they are no part of a machine. There is one for bytes, for words, and for pairs of words.
pub fn compiler_routines() {
    let (to, from) = (lend::<64>(), lend::<64>());
    keep((to == from).into());
    move_any::<u8>();
    move_any::<u32>();
    move_any::<u64>();
}

fn move_any<T: Copy + Default>() {
    let [to, from] = [(); 2].map(|()| load(0x4000_0018) as *mut T);
    let len = number() as usize;
    // SAFETY: as for `lend`: two parts of RAM, of at least `len` values.
    unsafe { to.copy_from_nonoverlapping(from, len) };
    // SAFETY: as above.
    unsafe { core::slice::from_raw_parts_mut(from, len) }.fill(T::default());
}

/// Runs a transfer to its end: a datagram is what the port reads and writes at once.
#[inline(never)]
pub fn run_transfer(transfer: &mut dyn Transfer, storage: &mut Flash) {
    compiler_routines();
    let (buf, head) = (lend::<1536>(), lend::<HEAD_MAX>());
    let (mut port, mut len, mut at) = (Port::new(), 0, 0);
    loop {
        let (time, want) = (now(), transfer.want());
        if want.wake.is_due(time) {
            transfer.tick(time);
        }
        if want.write {
            let mut count = 0;
            while let Some(tx) = transfer.render(time, count, head) {
                port.write(head.get(..tx.head).unwrap_or_default());
                let room = usize::try_from(tx.body.len).unwrap_or_default();
                let body = buf.get_mut(..room).unwrap_or_default();
                let op = Op::Read { extent: tx.body, digest: None };
                let Answer::Read(_) = storage.perform(time, op, body) else { break };
                port.write(body);
                count += 1;
            }
            transfer.sent(time, count);
        } else if let Close::Done(how) = want.close {
            keep(how.is_ok().into());
            return;
        } else if want.file {
            let Some(file) = transfer.storage() else { return };
            let Some(op) = file.op() else { return };
            let memory = match op {
                Op::Store(_) => buf.get_mut(at..len).unwrap_or_default(),
                _ => &mut [],
            };
            let answer = storage.perform(time, op, memory);
            if let Answer::Kept(n) = answer {
                at += n;
            }
            file.answer(time, answer);
        } else if want.read {
            len = port.read(buf);
            if let Heard::Store { at: begin } =
                transfer.handle(time, buf.get(..len).unwrap_or_default())
            {
                at = begin;
            }
        }
    }
}

fn drive<S: Session + ?Sized>(
    engine: &mut impl Engine,
    session: &mut S,
    storage: &mut impl Storage,
) {
    let how = blocking::run(engine, session, storage, &mut Port::new(), &mut Timer(()));
    keep(how.is_ok().into());
}

fn load(address: usize) -> u32 {
    // SAFETY: nothing runs these images; on a machine it would be a register.
    unsafe { (address as *const u32).read_volatile() }
}

fn store(address: usize, value: u32) {
    // SAFETY: as for `load`.
    unsafe { (address as *mut u32).write_volatile(value) }
}

/// The entry of an image.
#[macro_export]
macro_rules! image {
    ($body:block) => {
        #[expect(unsafe_code, reason = "the linker knows the entry by its name")]
        // SAFETY: there is one in each image, and nothing else has this name.
        #[unsafe(no_mangle)]
        extern "C" fn start() -> ! {
            loop {
                $body
            }
        }
    };
}

/// Lets an image link with code that is not of the core, and that has paths to a panic.
#[macro_export]
macro_rules! can_panic {
    () => {
        #[expect(unsafe_code, reason = "the linker knows the symbol by its name")]
        // SAFETY: nothing runs these images, and nothing else has this name.
        #[unsafe(no_mangle)]
        extern "C" fn a_machine_of_windlass_core_can_panic() -> ! {
            loop {}
        }
    };
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    unsafe extern "C" {
        /// Does not exist. If the linker needs it, the image can panic.
        fn a_machine_of_windlass_core_can_panic() -> !;
    }
    // SAFETY: an image with this call does not link.
    unsafe { a_machine_of_windlass_core_can_panic() }
}
