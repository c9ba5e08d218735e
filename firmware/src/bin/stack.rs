//! Measures the stack of each session: it runs over a port in memory, on a painted stack.
//!
//! It runs under QEMU, prints a line for each session, and ends with a failure if one takes more
//! than it may.
#![no_std]
#![no_main]
#![expect(unsafe_code, reason = "the stack below this one is painted, and looked at")]

use core::hint::black_box;
use core::panic::PanicInfo;

use cortex_m::register::msp;
use cortex_m_rt::entry;
use cortex_m_semihosting::{debug, hprintln};
use windlass_core::crc::Crc32;
use windlass_core::fault::Fault;
use windlass_core::file::{Answer, Digest, DigestKind, Facts, Op, Storage};
use windlass_core::pump::{Need, Pump};
use windlass_core::session::files::{Options, Request};
use windlass_core::session::{FilesClient, FilesServer, Session, TimeClient, TimeServer, Upper};
use windlass_core::time::Instant;
use windlass_core::wire::Stamp;

/// The largest stack of a session with its driver, in bytes, without the lent memory.
const STACK_MAX: usize = 512;

/// The largest stack of a server of files, which builds its answer on the stack.
const SERVER_MAX: usize = 1024;

/// The painted part of the stack, in bytes.
const PAINTED: usize = 4096;
const PAINT: u32 = 0xa5a5_5a5a;

/// The board's interrupts: none is on.
// SAFETY: the runtime's linker script puts this section behind the exception vectors.
#[unsafe(link_section = ".vector_table.interrupts")]
// SAFETY: the runtime asks for the table by this name and defines none itself (feature `device`).
#[unsafe(no_mangle)]
static __INTERRUPTS: [extern "C" fn(); 1] = [on_interrupt];

extern "C" fn on_interrupt() {}

/// A file: a received one is kept as its checksum, and one in memory is sent.
struct Memory(Crc32);

impl Storage for Memory {
    fn perform(&mut self, _: Instant, op: Op<'_>, memory: &mut [u8]) -> Answer {
        match op {
            Op::Open(_) => Answer::Opened(100),
            Op::Read { .. } => Answer::Read(memory.len()),
            Op::Digest { extent, .. } => Answer::Digested(extent.len),
            Op::FinishDigest(_) => Answer::Digest(Digest::Crc32(0)),
            Op::Store(_) => {
                self.0.update(memory);
                Answer::Kept(memory.len())
            }
            Op::Commit(Some(Digest::Crc32(crc))) if crc != self.0.finish() => {
                Answer::Failed(Fault::Integrity)
            }
            Op::Examine => Answer::Facts(Facts::default()),
            Op::Create(_) | Op::Commit(_) | Op::Close => Answer::Done,
        }
    }
}

/// Runs `session` on `input` to its end.
#[inline(never)]
fn run(session: &mut dyn Session, pump: &mut Pump<'_>, mut input: &[u8]) -> Result<(), Fault> {
    let mut storage = Memory(Crc32::new());
    loop {
        match pump.next(session, Instant::ZERO) {
            Need::Send { bytes, .. } => {
                let n = black_box(bytes).len();
                pump.sent(n);
            }
            Need::Recv { .. } if input.is_empty() => pump.eof(),
            Need::Recv { buf, .. } => {
                let n = copy(buf, input);
                input = input.get(n..).unwrap_or_default();
                pump.received(n);
            }
            Need::File { op, memory } => {
                let answer = storage.perform(Instant::ZERO, op, memory);
                pump.answer(session, Instant::ZERO, answer);
            }
            Need::Shutdown | Need::Wait(_) => {}
            Need::Over(how) => return how,
        }
    }
}

/// Copies as many bytes as fit, and returns their number.
fn copy(to: &mut [u8], from: &[u8]) -> usize {
    let n = to.len().min(from.len());
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
    n
}

/// The stack of a run, in bytes.
#[inline(never)]
fn measure(session: &mut dyn Session, pump: &mut Pump<'_>, input: &[u8]) -> usize {
    pump.reset();
    let top = msp::read() as usize;
    let bottom = top - PAINTED;
    for at in (bottom..top - 64).step_by(4) {
        // SAFETY: it is below the stack pointer, so nothing is there; the memory is the stack's, of
        // which much more is free. The 64 bytes next to the pointer are for this loop.
        unsafe { (at as *mut u32).write_volatile(PAINT) }
    }
    if let Err(fault) = run(session, pump, input) {
        hprintln!("stack: {}", fault);
        debug::exit(debug::EXIT_FAILURE);
    }
    let mut used = bottom;
    // SAFETY: as above; it is only read.
    while used < top && unsafe { (used as *const u32).read_volatile() } == PAINT {
        used += 4;
    }
    top - used
}

#[entry]
fn main() -> ! {
    static mut RX: [u8; 64] = [0; 64];
    static mut TX: [u8; 64] = [0; 64];

    let mut pump = Pump::new(RX, TX);
    let mut wire = [0; 64];
    let options = Options { digest: Some(DigestKind::Crc32), ..Options::NONE };
    let len = Request { name: b"image", options }.render(&mut wire).unwrap_or(0);
    let request = wire.get(..len).unwrap_or_default();
    let mut crc = Crc32::new();
    crc.update(b"abc");
    let mut answer = *b"\0\0\0\x13image\0digest\0crc32\0\0\0\0\x03abc\0\0\0\0\0\0\0\x04....";
    if let Some(room) = answer.last_chunk_mut() {
        *room = crc.finish().to_be_bytes();
    }
    let (mut of_client, mut of_server) = ([0; 64], [0; 64]);
    let sessions: [(&str, &mut dyn Session, &[u8], usize); 5] = [
        ("upper", &mut Upper::new(), b"hello", STACK_MAX),
        ("time client", &mut TimeClient::new(), b"1700000000\n", STACK_MAX),
        ("time server", &mut TimeServer::new(Stamp(1_700_000_000)), b"", STACK_MAX),
        ("files client", &mut FilesClient::new(request, &mut of_client[..]), &answer, STACK_MAX),
        ("files server", &mut FilesServer::new(&mut of_server[..]), request, SERVER_MAX),
    ];
    let mut is_too_much = false;
    for (name, session, input, most) in sessions {
        let bytes = measure(session, &mut pump, input);
        hprintln!("stack: {}: {} bytes", name, bytes);
        is_too_much |= bytes > most;
    }
    loop {
        debug::exit(if is_too_much { debug::EXIT_FAILURE } else { debug::EXIT_SUCCESS });
    }
}

/// Ends QEMU with a failure, so that a script sees it.
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    hprintln!("stack: {}", info);
    loop {
        debug::exit(debug::EXIT_FAILURE);
    }
}
