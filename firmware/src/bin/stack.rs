//! Measures the stack of each machine: it runs in memory, on a painted stack. The loop around it, which is measured
//! with a machine that has ended, is shown apart.
//!
//! It runs under QEMU, prints a line for each machine, and ends with a failure if one takes more than it may.
#![no_std]
#![no_main]
#![expect(unsafe_code, reason = "the stack below this one is painted, and looked at")]

use core::hint::black_box;

use defmt::println;
use windlass_core::crc::Crc32;
use windlass_core::fault::Fault;
use windlass_core::file::{Answer, Digest, DigestKind, Facts, FileUser, Op, Storage};
use windlass_core::pump::{Need, Pump};
use windlass_core::responder::{Responder, ScoreReceiver};
use windlass_core::session::files::{Options, Request};
use windlass_core::session::{FilesClient, FilesServer, Session, TimeClient, TimeServer, Upper};
use windlass_core::time::Instant;
use windlass_core::transfer::tftp::{Config, Offer, TftpGet, TftpPut, TftpServer};
use windlass_core::transfer::xfer::{XferClient, XferServer};
use windlass_core::transfer::{HEAD_MAX, Heard, Timing, Transfer, Tx};
use windlass_core::want::{Close, Want};
use windlass_core::wire::{Score, Stamp};
use windlass_firmware::board;
use windlass_firmware::cpu::{self, entry};

/// The largest stack of a machine in bytes, without its loop and the lent memory.
const STACK_MAX: usize = 768;

/// The largest stack of a loop.
const LOOP_MAX: usize = 512;

/// The painted part of the stack, in bytes.
const PAINTED: usize = 4096;
const PAINT: u32 = 0xa5a5_5a5a;

/// Bytes of the file that is sent and received.
const FILE: u64 = 3000;

/// Turns in which a transfer of it is over.
const TURNS_MAX: usize = 20;

/// A file: a received one is kept as its checksum, and a sent one is what the memory has.
struct Memory(Crc32);

impl Storage for Memory {
    fn perform(&mut self, _: Instant, op: Op<'_>, memory: &mut [u8]) -> Answer {
        match op {
            Op::Open(_) => Answer::Opened(FILE),
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

/// The memory that a loop of transfers lends.
struct Lent {
    to_server: Datagram,
    to_client: Datagram,
    head: [u8; HEAD_MAX],
}

/// A datagram on its way.
struct Datagram {
    bytes: [u8; 1500],
    len: usize,
}

impl Datagram {
    const NONE: Self = Self { bytes: [0; 1500], len: 0 };
}

/// A transfer that has ended.
struct Over;

impl Transfer for Over {
    fn handle(&mut self, _: Instant, _: &[u8]) -> Heard {
        Heard::Ignored
    }

    fn render(&self, _: Instant, _: usize, _: &mut [u8]) -> Option<Tx> {
        None
    }

    fn sent(&mut self, _: Instant, _: usize) {}

    fn tick(&mut self, _: Instant) {}

    fn want(&self) -> Want {
        Want::done(Ok(()))
    }

    fn abort(&mut self, _: Fault) {}

    fn storage(&mut self) -> Option<&mut dyn FileUser> {
        None
    }
}

/// Does what a transfer can do now: it takes the datagram that came, and sends one at most. Returns how it ended, if
/// it did.
#[inline(never)]
fn turn(
    transfer: &mut dyn Transfer,
    came: &mut Datagram,
    sent: &mut Datagram,
    head: &mut [u8],
) -> Option<Result<(), Fault>> {
    let (mut storage, mut at) = (Memory(Crc32::new()), 0);
    loop {
        let want = transfer.want();
        if want.wake.is_due(Instant::ZERO) {
            transfer.tick(Instant::ZERO);
        } else if want.write {
            if sent.len > 0 {
                return None;
            }
            let tx = transfer.render(Instant::ZERO, 0, head)?;
            let head = copy(&mut sent.bytes, head.get(..tx.head).unwrap_or_default());
            sent.len = head + usize::try_from(tx.body.len).unwrap_or(usize::MAX);
            transfer.sent(Instant::ZERO, 1);
        } else if want.close == Close::WriteHalf {
            return Some(Ok(()));
        } else if let Close::Done(how) = want.close {
            return Some(how);
        } else if want.file
            && let Some(file) = transfer.storage()
            && let Some(op) = file.op()
        {
            let memory = came.bytes.get_mut(at..came.len).unwrap_or_default();
            let answer = storage.perform(Instant::ZERO, op, memory);
            file.answer(Instant::ZERO, answer);
        } else if want.read && came.len > 0 {
            let len = core::mem::take(&mut came.len);
            let datagram = came.bytes.get(..len).unwrap_or_default();
            if let Heard::Store { at: of } = transfer.handle(Instant::ZERO, datagram) {
                (at, came.len) = (of, len);
            }
        } else {
            return None;
        }
    }
}

/// The stack that `work` takes, in bytes. It is not inlined, or a part of it would be above.
#[inline(never)]
fn measure(work: &mut dyn FnMut()) -> usize {
    let top = cpu::stack_pointer();
    let bottom = top - PAINTED;
    for at in (bottom..top - 64).step_by(4) {
        // SAFETY: it is below the stack pointer, so nothing is there; the memory is the stack's, of
        // which much more is free. The 64 bytes next to the pointer are for this loop.
        unsafe { (at as *mut u32).write_volatile(PAINT) }
    }
    work();
    let mut used = bottom;
    // SAFETY: as above; it is only read.
    while used < top && unsafe { (used as *const u32).read_volatile() } == PAINT {
        used += 4;
    }
    top - used
}

/// Says how much it was, and whether that is too much.
fn is_too_much(name: &str, bytes: usize, most: usize) -> bool {
    println!("{}: {} bytes", name, bytes);
    bytes > most
}

/// Ends the image if a machine failed.
fn ends_well(name: &str, how: Result<(), Fault>) {
    if let Err(fault) = how {
        println!("{}: {}", name, fault);
        cpu::exit(1);
    }
}

/// Runs a client and a server against each other. Returns whether one of them took too much, beside
/// the loop.
fn transfers(
    names: [&str; 2],
    client: &mut dyn Transfer,
    server: &mut dyn Transfer,
    lent: &mut Lent,
    of_loop: usize,
) -> bool {
    let Lent { to_server, to_client, head } = lent;
    (to_server.len, to_client.len) = (0, 0);
    let (mut most, mut ended) = ([0; 2], [None; 2]);
    for _ in 0..TURNS_MAX {
        let bytes = measure(&mut || ended[0] = turn(client, to_client, to_server, head));
        most[0] = bytes.max(most[0]);
        let bytes = measure(&mut || ended[1] = turn(server, to_server, to_client, head));
        most[1] = bytes.max(most[1]);
        if ended[0].is_some() {
            break;
        }
    }
    let [client, server] = ended;
    ends_well(names[0], client.unwrap_or(Err(Fault::Aborted)));
    ends_well(names[1], server.unwrap_or(Ok(())));
    let [client, server] = most.map(|bytes| bytes.saturating_sub(of_loop));
    is_too_much(names[0], client, STACK_MAX) | is_too_much(names[1], server, STACK_MAX)
}

#[entry]
fn main() -> ! {
    // So that the log has the time.
    let _uart = board::start();
    let (mut rx, mut tx) = ([0; 64], [0; 64]);
    let (to_server, to_client) = (Datagram::NONE, Datagram::NONE);
    let mut lent = Lent { to_server, to_client, head: [0; HEAD_MAX] };
    let mut pump = Pump::new(&mut rx, &mut tx);
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
    let sessions: [(&str, &mut dyn Session, &[u8]); 5] = [
        ("upper", &mut Upper::new(), b"hello"),
        ("time client", &mut TimeClient::new(), b"1700000000\n"),
        ("time server", &mut TimeServer::new(Stamp(1_700_000_000)), b""),
        ("files client", &mut FilesClient::new(request, &mut of_client[..]), &answer),
        ("files server", &mut FilesServer::new(&mut of_server[..]), request),
    ];
    let mut over = Upper::new();
    over.abort(Fault::Aborted);
    let of_loop = measure(&mut || _ = run(&mut over, &mut pump, b""));
    let mut fails = is_too_much("the loop of a session", of_loop, LOOP_MAX);
    for (name, session, input) in sessions {
        pump.reset();
        let mut how = Ok(());
        let bytes = measure(&mut || how = run(session, &mut pump, input));
        ends_well(name, how);
        fails |= is_too_much(name, bytes.saturating_sub(of_loop), STACK_MAX);
    }
    let Lent { to_server, to_client, head } = &mut lent;
    let of_loop = measure(&mut || _ = turn(&mut Over, to_client, to_server, head));
    fails |= is_too_much("the loop of a transfer", of_loop, LOOP_MAX);
    fails |= transfers(
        ["TFTP client that reads", "TFTP server that sends"],
        &mut TftpGet::new(&b"image"[..], Offer::DEFAULT, &Timing::CLIENT),
        &mut TftpServer::<64>::new(Config::DEFAULT),
        &mut lent,
        of_loop,
    );
    fails |= transfers(
        ["TFTP client that writes", "TFTP server that receives"],
        &mut TftpPut::new(&b"image"[..], FILE, Offer::DEFAULT, &Timing::CLIENT),
        &mut TftpServer::<64>::new(Config { writes: true, ..Config::DEFAULT }),
        &mut lent,
        of_loop,
    );
    fails |= transfers(
        ["xfer client", "xfer server"],
        &mut XferClient::new(&b"image"[..], &Timing::CLIENT),
        &mut XferServer::<64>::new(Timing::SERVER),
        &mut lent,
        of_loop,
    );
    let mut datagram = [0; Score::LEN_MAX];
    let bytes = measure(&mut || {
        let len = Score::render(1, 2, b"device", &mut datagram).map_or(0, <[u8]>::len);
        let mut receiver = ScoreReceiver::new(|_, (): &(), score: &Score<'_>| {
            black_box(score.math());
        });
        let _ = black_box(receiver.datagram(Instant::ZERO, &(), &mut datagram, len));
    });
    fails |= is_too_much("score, sent and received", bytes, STACK_MAX);
    cpu::exit(u8::from(fails))
}
