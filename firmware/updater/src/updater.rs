//! The updater: a storage for the file of an image.

use windlass_core::crc::Crc32;
use windlass_core::fault::{Fault, Peer, StorageFault};
use windlass_core::file::{Answer, Digest, DigestKind, Head, Op, Refusal, Storage};
use windlass_core::session::files::{Options, Request};
use windlass_core::time::{Instant, Wake};

use crate::flash::{Failed, Flash, PAGE, SECTOR};
use crate::log::{Image, LOG_LEN, Log, RECORD, Slot, State};
use crate::verdict::Verdict;

/// Keeps a new image in the slot that is not booted. One value lives as long as the device runs; a session
/// that ends early leaves it ready for the next one.
#[derive(Debug)]
pub struct Updater<F> {
    flash: F,
    /// Bytes of each slot.
    slot_len: u32,
    log: Log,
    /// The state, as the next record of the log has it.
    state: State,
    doing: Doing,
    /// The length of the image that arrives.
    size: u32,
    /// The bytes of it that are in the flash, and are right there.
    at: u32,
    /// The end of the last sector that was erased for it.
    erased: u32,
    /// The bytes behind `at` that have arrived, for one page.
    page: [u8; PAGE as usize],
    filled: usize,
    /// The check of the complete image: the bytes that were read back, and their CRC.
    checked: u32,
    crc: Crc32,
    /// The result of the check of this update; it is recorded, or being recorded.
    result: Option<Result<(), Fault>>,
}

/// The operation that the flash does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doing {
    Nothing,
    /// Erasing a sector of the slot.
    Erase,
    /// Programming the page.
    Page,
    /// Erasing a sector of the log for the next record.
    EraseLog,
    /// Programming the next record.
    Record,
}

impl<F: Flash> Updater<F> {
    /// Reads the log. The flash has [`flash_len`](Self::flash_len) bytes at least, and `slot_len` is a multiple
    /// of [`SECTOR`].
    ///
    /// # Errors
    /// The flash cannot be read.
    pub fn start(mut flash: F, slot_len: u32) -> Result<Self, Failed> {
        let (log, state) = Log::load(&mut flash)?;
        Ok(Self {
            flash,
            slot_len,
            log,
            state,
            doing: Doing::Nothing,
            size: 0,
            at: 0,
            erased: 0,
            page: [0; PAGE as usize],
            filled: 0,
            checked: 0,
            crc: Crc32::new(),
            result: None,
        })
    }

    /// Bytes of flash for the log and two slots.
    pub const fn flash_len(slot_len: u32) -> u32 {
        LOG_LEN + 2 * slot_len
    }

    /// The address of a slot in the flash.
    pub const fn address(&self, slot: Slot) -> u32 {
        match slot {
            Slot::A => LOG_LEN,
            Slot::B => LOG_LEN + self.slot_len,
        }
    }

    /// The flash.
    pub const fn flash(&self) -> &F {
        &self.flash
    }

    /// The verdict of an update of which the session ended in this way, after [`settle`](Self::settle). If the new image is valid, it does not
    /// matter that the line was lost behind its last byte.
    pub fn verdict(&self, how: Result<(), Fault>) -> Verdict {
        match (self.result, how) {
            (Some(Ok(())), _) | (_, Ok(())) => Verdict::Updated,
            (_, Err(fault)) => fault.into(),
        }
    }

    /// The image to boot: the newest one of which the bytes are right. The other one, if the flash has changed
    /// since the newest was verified.
    ///
    /// # Errors
    /// The flash cannot be read.
    pub fn boot(&mut self) -> Result<Option<(Slot, Image)>, Failed> {
        let newest = self.state.target().other();
        for slot in [newest, newest.other()] {
            if let Some(image) = self.state.image(slot)
                && self.crc_of(slot, image.len)? == image.crc
            {
                return Ok(Some((slot, image)));
            }
        }
        Ok(None)
    }

    /// Bytes of a new image that are in the flash and will not be requested again.
    pub const fn kept(&self) -> u32 {
        self.state.kept
    }

    /// Completes the operation of the flash. Returns when to ask again, or `None` if nothing is left to do.
    ///
    /// # Errors
    /// The flash failed.
    pub fn settle(&mut self, now: Instant) -> Result<Option<Wake>, Failed> {
        let settled = self.advance(now);
        if settled.is_err() {
            self.doing = Doing::Nothing;
            self.result = None;
            // What the log says counts, not what was to be written to it.
            if let Ok((log, state)) = Log::load(&mut self.flash) {
                (self.log, self.state) = (log, state);
            }
        }
        settled
    }

    /// Renders the request for the image `name`, or for the rest of it. To be called after
    /// [`settle`](Self::settle), because it reads the flash.
    ///
    /// # Errors
    /// The name is not one, or the request does not fit.
    pub fn request(&mut self, name: &[u8], to: &mut [u8]) -> Result<usize, Refusal> {
        self.result = None;
        let kept = self.state.kept;
        let mut options = Options { digest: Some(DigestKind::Crc32), ..Options::NONE };
        if kept > 0 {
            let crc = self.crc_of(self.state.target(), kept).map_err(|Failed| Refusal::Failed)?;
            options.offset = Some(kept.into());
            options.prefix = Some(Digest::Crc32(crc));
        }
        Request { name, options }.render(to)
    }

    /// The CRC of the first bytes of a slot.
    fn crc_of(&mut self, slot: Slot, len: u32) -> Result<u32, Failed> {
        let mut crc = Crc32::new();
        self.digest(slot, 0, len.min(self.slot_len), &mut crc)?;
        Ok(crc.finish())
    }

    fn digest(&mut self, slot: Slot, from: u32, to: u32, crc: &mut Crc32) -> Result<(), Failed> {
        let mut at = from;
        while at < to {
            let mut bytes = [0; 64];
            let len = (to - at).min(64);
            let part = bytes.get_mut(..len as usize).unwrap_or_default();
            self.flash.read(self.address(slot) + at, part)?;
            crc.update(part);
            at += len;
        }
        Ok(())
    }

    /// Completes what the flash does, and begins what has to follow.
    fn advance(&mut self, now: Instant) -> Result<Option<Wake>, Failed> {
        loop {
            if let Some(until) = self.flash.busy(now)? {
                return Ok(Some(until));
            }
            match self.doing {
                Doing::Nothing => return Ok(None),
                Doing::Erase => {
                    self.erased += SECTOR;
                    self.doing = Doing::Nothing;
                }
                Doing::Page => {
                    let from = self.address(self.state.target()) + self.at;
                    let mut bytes = [0; PAGE as usize];
                    let bytes = bytes.get_mut(..self.filled).unwrap_or_default();
                    self.flash.read(from, bytes)?;
                    if self.page.get(..self.filled) != Some(bytes) {
                        return Err(Failed);
                    }
                    self.at += self.filled as u32;
                    self.filled = 0;
                    self.doing = Doing::Nothing;
                    if self.at.is_multiple_of(SECTOR) {
                        self.state.kept = self.at;
                        self.record(now)?;
                    }
                }
                Doing::EraseLog => self.program_record(now)?,
                Doing::Record => {
                    let mut bytes = [0; RECORD];
                    self.flash.read(self.log.address(), &mut bytes)?;
                    if bytes != self.log.record(&self.state) {
                        return Err(Failed);
                    }
                    self.log.written();
                    self.doing = Doing::Nothing;
                }
            }
        }
    }

    /// Begins to write the state to the log.
    fn record(&mut self, now: Instant) -> Result<(), Failed> {
        if self.log.is_at_sector() {
            self.doing = Doing::EraseLog;
            return self.flash.erase(now, self.log.address());
        }
        self.program_record(now)
    }

    fn program_record(&mut self, now: Instant) -> Result<(), Failed> {
        self.doing = Doing::Record;
        self.flash.program(now, self.log.address(), &self.log.record(&self.state))
    }

    /// Begins to program the page.
    fn program_page(&mut self, now: Instant) -> Result<(), Failed> {
        self.doing = Doing::Page;
        let to = self.address(self.state.target()) + self.at;
        self.flash.program(now, to, self.page.get(..self.filled).unwrap_or_default())
    }

    fn create(&mut self, now: Instant, head: &Head<'_>) -> Result<Answer, Fault> {
        // Without these two, a wrong image could be booted, or be found too large after the flash was erased.
        let (Some(size), Some(DigestKind::Crc32)) = (head.size, head.digest) else {
            return Err(StorageFault::Unsupported.into());
        };
        if size == 0 {
            // There is nothing to boot in it.
            return Err(Peer::WrongSize.into());
        }
        self.size = u32::try_from(size)
            .ok()
            .filter(|&size| size <= self.slot_len)
            .ok_or(StorageFault::Full)?;
        let target = self.state.target();
        if head.offset == 0 && (self.state.kept > 0 || self.state.image(target).is_some()) {
            // From now on nothing that is in the slot counts.
            self.state.kept = 0;
            self.state.set_image(target, None);
            self.record(now)?;
            return Ok(Answer::Busy(Wake::Now));
        }
        if head.offset != u64::from(self.state.kept) {
            return Err(Peer::Malformed.into());
        }
        (self.at, self.erased) = (self.state.kept, self.state.kept);
        (self.filled, self.checked, self.crc, self.result) = (0, 0, Crc32::new(), None);
        Ok(Answer::Done)
    }

    fn store(&mut self, now: Instant, bytes: &[u8]) -> Result<Answer, Fault> {
        let to = self.at.saturating_add(self.filled as u32);
        if to >= self.size {
            return Err(Peer::WrongSize.into());
        }
        if to == self.erased {
            self.doing = Doing::Erase;
            self.flash.erase(now, self.address(self.state.target()) + self.erased)?;
            return Ok(Answer::Busy(Wake::Now));
        }
        let mut n = 0;
        for (to, byte) in self.page.iter_mut().skip(self.filled).zip(bytes) {
            *to = *byte;
            n += 1;
        }
        self.filled += n;
        if self.filled == self.page.len() {
            self.program_page(now)?;
        }
        Ok(Answer::Kept(n))
    }

    fn commit(&mut self, now: Instant, sent: Option<Digest<&[u8; 32]>>) -> Result<Answer, Fault> {
        if let Some(result) = self.result {
            return result.map(|()| Answer::Done);
        }
        if self.filled > 0 {
            self.program_page(now)?;
            return Ok(Answer::Busy(Wake::Now));
        }
        if self.at != self.size {
            return Err(Peer::WrongSize.into());
        }
        let target = self.state.target();
        if self.checked < self.size {
            // A sector at a time, and the line is served between two of them.
            let (from, to) = (self.checked, self.size.min(self.checked.saturating_add(SECTOR)));
            let mut crc = self.crc;
            self.digest(target, from, to, &mut crc)?;
            (self.checked, self.crc) = (to, crc);
            return Ok(Answer::Busy(Wake::Now));
        }
        let crc = self.crc.finish();
        self.state.kept = 0;
        self.result = Some(if sent == Some(Digest::Crc32(crc)) {
            self.state.set_image(target, Some(Image { len: self.size, crc }));
            self.state.newest = Some(target);
            Ok(())
        } else {
            Err(Fault::Integrity)
        });
        self.record(now)?;
        Ok(Answer::Busy(Wake::Now))
    }
}

impl<F: Flash> Storage for Updater<F> {
    fn perform(&mut self, now: Instant, op: Op<'_>, memory: &mut [u8]) -> Answer {
        match self.settle(now) {
            Ok(None) => {}
            Ok(Some(until)) => return Answer::Busy(until),
            Err(Failed) => return Answer::Failed(Failed.into()),
        }
        let answer = match op {
            Op::Create(head) => self.create(now, &head),
            Op::Store(_) => self.store(now, memory),
            Op::Commit(digest) => self.commit(now, digest),
            Op::Open(_)
            | Op::Examine
            | Op::Read { .. }
            | Op::Digest { .. }
            | Op::FinishDigest(_)
            | Op::Close => Err(StorageFault::Unsupported.into()),
        };
        answer.unwrap_or_else(Answer::Failed)
    }
}
