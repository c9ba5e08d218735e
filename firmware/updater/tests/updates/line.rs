//! A device and a server, with a line between them, in virtual time.

use std::collections::VecDeque;

use windlass_core::crc::Crc32;
use windlass_core::driver::Linked;
use windlass_core::fault::{Fault, StorageFault};
use windlass_core::file::{Answer, Digest, Digests, Extent, Op, Refusal, Storage};
use windlass_core::frame::link::{Link, Timing};
use windlass_core::pump::{Need, Pump};
use windlass_core::session::{FilesClient, FilesServer, Session};
use windlass_core::time::{Instant, Wake};
use windlass_updater::{Flash, Harm, Nor, Updater, Verdict};

/// Bytes of a slot.
pub(crate) const SLOT: u32 = 64 * 1024;

/// The bits per second of the line.
const BAUD: u32 = 115_200;

/// The largest payload of a packet: of longer ones, more are damaged by the same noise.
const PAYLOAD: usize = 24;

const TIMING: Timing = Timing::of_line(BAUD, PAYLOAD, 2_000);

/// Bytes of the flash.
pub(crate) const FLASH: usize = Updater::<Nor<Vec<u8>>>::flash_len(SLOT) as usize;

/// An image: its bytes follow from the number.
pub(crate) fn image(number: u32, len: usize) -> Vec<u8> {
    let mut random = Random(u64::from(number) + 1);
    (0..len).map(|_| random.next().to_le_bytes()[7]).collect()
}

/// Numbers that follow from a seed.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// `SplitMix64` (Steele, Lea, Flood 2014).
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// What the line and the server do to an update.
#[derive(Clone, Copy, Default)]
pub(crate) struct Conditions {
    /// Of a thousand bytes so many are dropped, and so many have a bit flipped.
    pub(crate) dropped: u64,
    pub(crate) flipped: u64,
    pub(crate) seed: u64,
    /// After so many bytes in both directions nothing arrives any more.
    pub(crate) cut_after: Option<usize>,
    /// The server tells a digest that is not the image's.
    pub(crate) lies: bool,
    /// The server has no such file.
    pub(crate) refuses: bool,
}

/// The result of an update.
pub(crate) struct Outcome {
    pub(crate) verdict: Verdict,
    /// Virtual time, in microseconds.
    pub(crate) took_us: u64,
    /// Bytes of the image that were stored.
    pub(crate) stored: u32,
    /// Operations that the flash began.
    pub(crate) operations: u32,
    /// Power has failed.
    pub(crate) is_off: bool,
}

/// One direction of the line.
struct Wire {
    on_its_way: VecDeque<(u64, Vec<u8>)>,
    busy_until: u64,
}

/// Both directions.
struct Line {
    wires: [Wire; 2],
    random: Random,
    moved: usize,
    conditions: Conditions,
}

impl Line {
    fn new(conditions: Conditions) -> Self {
        let wire = || Wire { on_its_way: VecDeque::new(), busy_until: 0 };
        let random = Random(conditions.seed);
        Self { wires: [wire(), wire()], random, moved: 0, conditions }
    }

    /// Sends bytes from an end, which is possible when its wire is free. Ten bits each.
    fn send(&mut self, end: usize, now: u64, bytes: &[u8]) {
        let mut arriving = Vec::new();
        for byte in bytes {
            self.moved += 1;
            let dice = if self.conditions.seed > 0 { self.random.next() % 1000 } else { 1000 };
            let is_cut = self.conditions.cut_after.is_some_and(|after| self.moved > after);
            if is_cut || dice < self.conditions.dropped {
                continue;
            }
            let is_flipped = dice < self.conditions.dropped + self.conditions.flipped;
            arriving.push(if is_flipped { byte ^ (1 << (self.random.next() % 8)) } else { *byte });
        }
        let wire = &mut self.wires[end];
        wire.busy_until = now + bytes.len() as u64 * 10_000_000 / u64::from(BAUD);
        wire.on_its_way.push_back((wire.busy_until, arriving));
    }

    fn recv(&mut self, end: usize, now: u64) -> Option<Vec<u8>> {
        let wire = &mut self.wires[1 - end];
        wire.on_its_way.front().filter(|(at, _)| *at <= now)?;
        wire.on_its_way.pop_front().map(|(_, bytes)| bytes)
    }

    /// When bytes arrive at an end.
    fn arrives_at(&self, end: usize) -> u64 {
        self.wires[1 - end].on_its_way.front().map_or(u64::MAX, |(at, _)| *at)
    }
}

/// Moves what an end can: how it ended, or when it goes on without input.
fn turn<S: Session>(
    end: usize,
    linked: &mut Linked<'_, '_>,
    session: &mut S,
    storage: &mut impl Storage,
    line: &mut Line,
    now_us: u64,
) -> Result<Result<(), Fault>, u64> {
    let now = Instant::from_micros(now_us);
    let later = |until: Wake| until.wait_us(now).map_or(u64::MAX, |us| now_us + us.max(1));
    loop {
        match linked.next(session, now) {
            Need::Send { bytes, .. } => {
                let free_at = line.wires[end].busy_until;
                if free_at > now_us {
                    return Err(free_at);
                }
                let n = bytes.len().min(64);
                line.send(end, now_us, &bytes[..n]);
                linked.sent(n);
            }
            Need::Recv { buf, until } => {
                let Some(bytes) = line.recv(end, now_us) else {
                    return Err(later(until).min(line.arrives_at(end)));
                };
                buf[..bytes.len()].copy_from_slice(&bytes);
                linked.received(bytes.len());
            }
            Need::File { op, memory } => {
                let answer = storage.perform(now, op, memory);
                linked.answer(session, now, answer);
            }
            Need::Wait(Wake::Now) => {}
            Need::Wait(until) => return Err(later(until)),
            Need::Over(how) => return Ok(how),
            Need::Shutdown => unreachable!("a link has no half-close of the line"),
        }
    }
}

/// The file of the server.
struct Served<'f> {
    file: &'f [u8],
    crc: Crc32,
    conditions: Conditions,
}

impl Served<'_> {
    fn part(&self, extent: Extent) -> &[u8] {
        let from = usize::try_from(extent.offset).unwrap();
        &self.file[from..from + usize::try_from(extent.len).unwrap()]
    }
}

impl Storage for Served<'_> {
    fn perform(&mut self, _: Instant, op: Op<'_>, memory: &mut [u8]) -> Answer {
        match op {
            Op::Open(_) if self.conditions.refuses => Answer::Refused(Refusal::NotFound),
            Op::Open(_) => Answer::Opened(self.file.len() as u64),
            Op::Read { extent, .. } => {
                memory.copy_from_slice(self.part(Extent { len: memory.len() as u64, ..extent }));
                if extent.offset == 0 {
                    self.crc = Crc32::new();
                }
                self.crc.update(memory);
                Answer::Read(memory.len())
            }
            Op::Digest { extent, .. } => {
                let mut crc = if extent.offset == 0 { Crc32::new() } else { self.crc };
                crc.update(self.part(extent));
                self.crc = crc;
                Answer::Digested(extent.len)
            }
            Op::FinishDigest(_) => {
                let lie = u32::from(self.conditions.lies);
                Answer::Digest(Digest::Crc32(self.crc.finish() ^ lie))
            }
            Op::Examine | Op::Close | Op::Create(_) | Op::Store(_) | Op::Commit(_) => {
                Answer::Failed(StorageFault::Unsupported.into())
            }
        }
    }
}

/// Counts what an updater keeps.
struct Counted<'u, F> {
    updater: &'u mut Updater<F>,
    stored: u32,
}

impl<F: Flash> Storage for Counted<'_, F> {
    fn perform(&mut self, now: Instant, op: Op<'_>, memory: &mut [u8]) -> Answer {
        let answer = self.updater.perform(now, op, memory);
        if let Answer::Kept(n) = answer {
            self.stored += u32::try_from(n).unwrap();
        }
        answer
    }
}

/// The memory of an end.
struct Memory {
    rx: [u8; 64],
    tx: [u8; 64],
    line: [u8; 64],
    link_rx: [u8; Link::rx_len(PAYLOAD)],
    link_tx: [u8; Link::tx_len(PAYLOAD)],
}

impl Memory {
    fn new() -> Self {
        let (rx, tx, line) = ([0; 64], [0; 64], [0; 64]);
        Self {
            rx,
            tx,
            line,
            link_rx: [0; Link::rx_len(PAYLOAD)],
            link_tx: [0; Link::tx_len(PAYLOAD)],
        }
    }
}

/// A device with this flash starts, and requests the file of the server once.
pub(crate) fn update(
    flash: &mut [u8],
    file: &[u8],
    conditions: Conditions,
    harm: Option<(u32, Harm)>,
) -> Outcome {
    let mut nor = Nor::new(flash);
    if let Some((nth, harm)) = harm {
        nor = nor.harmed(nth, harm);
    }
    let mut updater = Updater::start(nor, SLOT).unwrap();
    let mut request = [0; 96];
    let len = updater.request(b"image", &mut request).unwrap();
    let mut client = FilesClient::new(&request[..len], [0; 96]);
    let mut server = FilesServer::new([0; 96]).offering(Digests::CRC32);

    let (mut ours, mut theirs) = (Memory::new(), Memory::new());
    let mut opener = Link::connect(&mut ours.link_rx, &mut ours.link_tx, 3).with_timing(&TIMING);
    let mut listener = Link::listen(&mut theirs.link_rx, &mut theirs.link_tx).with_timing(&TIMING);
    let pump = |rx, tx| Pump::new(rx, tx).idle_timeout(30_000_000);
    let pumps = (pump(&mut ours.rx, &mut ours.tx), pump(&mut theirs.rx, &mut theirs.tx));
    let mut device = Linked::new(pumps.0, &mut opener, &mut ours.line);
    let mut host = Linked::new(pumps.1, &mut listener, &mut theirs.line);

    let mut counted = Counted { updater: &mut updater, stored: 0 };
    let mut offered = Served { file, crc: Crc32::new(), conditions };
    let mut line = Line::new(conditions);
    let (mut now, mut host_is_over) = (1, false);
    let how = loop {
        let mut next = u64::MAX;
        match turn(0, &mut device, &mut client, &mut counted, &mut line, now) {
            Ok(how) => break how,
            Err(at) => next = next.min(at),
        }
        if !host_is_over {
            match turn(1, &mut host, &mut server, &mut offered, &mut line, now) {
                Ok(_) => host_is_over = true,
                Err(at) => next = next.min(at),
            }
        }
        // What the host has sent just now.
        next = next.min(line.arrives_at(0));
        assert!(next < 600_000_000, "no end after {now} us: {device:?} {host:?}");
        now = next.max(now + 1);
    };
    let stored = counted.stored;
    while let Ok(Some(until)) = updater.settle(Instant::from_micros(now)) {
        now += until.wait_us(Instant::from_micros(now)).unwrap();
    }
    let (operations, is_off) = (updater.flash().begun(), updater.flash().is_off());
    Outcome { verdict: updater.verdict(how), took_us: now, stored, operations, is_off }
}

/// The bytes that a device with this flash would boot now.
pub(crate) fn booted(flash: &mut [u8]) -> Option<Vec<u8>> {
    let mut updater = Updater::start(Nor::new(&mut *flash), SLOT).unwrap();
    let (slot, image) = updater.boot().unwrap()?;
    let from = updater.address(slot) as usize;
    Some(flash[from..from + image.len as usize].to_vec())
}
