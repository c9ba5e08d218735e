//! A NOR flash in memory: the times, the bits and the power failures of a real one.

use windlass_core::time::{Instant, Wake};

use crate::flash::{Failed, Flash, PAGE, SECTOR};

const ERASE_US: u64 = 20_000;
const PROGRAM_US: u64 = 1_000;

/// What happens to an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Harm {
    /// Power fails before it.
    CutBefore,
    /// Power fails when half of its bytes have changed.
    CutHalfway,
    /// Power fails when each bit that it changes has changed or not, by this seed.
    CutAnywhere(u32),
    /// Power fails after it.
    CutAfter,
    /// It changes nothing, as in a flash that is worn out.
    Worn,
}

/// A NOR flash in the memory `M`. The first half of an operation is done when it begins and the second when it
/// ends, so a power failure that stops the program tears it.
#[derive(Debug)]
pub struct Nor<M> {
    memory: M,
    /// The operation of which the second half is to be done, and when.
    doing: Option<(Instant, Operation)>,
    /// The bytes to program.
    page: [u8; PAGE as usize],
    /// Operations that were begun.
    begun: u32,
    /// What happens to which operation.
    harm: Option<(u32, Harm)>,
    is_off: bool,
}

/// It changes `len` bytes from `at` on.
#[derive(Debug, Clone, Copy)]
struct Operation {
    at: usize,
    len: usize,
    erases: bool,
}

impl<M: AsRef<[u8]> + AsMut<[u8]>> Nor<M> {
    /// A flash with what is in the memory.
    pub const fn new(memory: M) -> Self {
        Self { memory, doing: None, page: [0; PAGE as usize], begun: 0, harm: None, is_off: false }
    }

    /// Harms the operation with this number; they are counted from 0.
    #[must_use]
    pub const fn harmed(mut self, nth: u32, harm: Harm) -> Self {
        self.harm = Some((nth, harm));
        self
    }

    /// Operations that were begun.
    pub const fn begun(&self) -> u32 {
        self.begun
    }

    /// Whether power has failed: nothing works any more.
    pub const fn is_off(&self) -> bool {
        self.is_off
    }

    fn begin(&mut self, until: Instant, operation: Operation) -> Result<(), Failed> {
        let Operation { at, len, .. } = operation;
        let is_there = at.checked_add(len).is_some_and(|to| to <= self.memory.as_ref().len());
        if self.is_off || self.doing.is_some() || !is_there {
            return Err(Failed);
        }
        let nth = self.begun;
        self.begun += 1;
        let Some((_, harm)) = self.harm.filter(|(harmed, _)| *harmed == nth) else {
            self.change(operation, 0, len / 2, || 0xff);
            self.doing = Some((until, operation));
            return Ok(());
        };
        match harm {
            Harm::CutBefore | Harm::Worn => {}
            Harm::CutHalfway => self.change(operation, 0, len / 2, || 0xff),
            Harm::CutAnywhere(seed) => {
                let mut bits = seed | 1;
                self.change(operation, 0, len, || {
                    // Xorshift (Marsaglia 2003).
                    bits ^= bits << 13;
                    bits ^= bits >> 17;
                    bits ^= bits << 5;
                    bits.to_le_bytes()[0]
                });
            }
            Harm::CutAfter => self.change(operation, 0, len, || 0xff),
        }
        self.is_off = harm != Harm::Worn;
        Ok(())
    }

    /// Does the operation for the bytes `from..to` of it, and there for the bits of the next `mask`.
    fn change(&mut self, on: Operation, from: usize, to: usize, mut mask: impl FnMut() -> u8) {
        let cells = self.memory.as_mut().get_mut(on.at + from..on.at + to).unwrap_or_default();
        for (nth, cell) in (from..to).zip(cells) {
            let programmed = self.page.get(nth).copied().unwrap_or_default();
            let done = if on.erases { 0xff } else { *cell & programmed };
            let mask = mask();
            *cell = (*cell & !mask) | (done & mask);
        }
    }
}

impl<M: AsRef<[u8]> + AsMut<[u8]>> Flash for Nor<M> {
    fn read(&mut self, at: u32, to: &mut [u8]) -> Result<(), Failed> {
        let from = at as usize;
        let bytes = self.memory.as_ref().get(from..from.saturating_add(to.len())).ok_or(Failed)?;
        if self.is_off || self.doing.is_some() {
            return Err(Failed);
        }
        for (to, byte) in to.iter_mut().zip(bytes) {
            *to = *byte;
        }
        Ok(())
    }

    fn erase(&mut self, now: Instant, at: u32) -> Result<(), Failed> {
        let (at, len) = ((at - at % SECTOR) as usize, SECTOR as usize);
        self.begin(now.after(ERASE_US), Operation { at, len, erases: true })
    }

    fn program(&mut self, now: Instant, at: u32, bytes: &[u8]) -> Result<(), Failed> {
        let (at, len) = (at as usize, bytes.len());
        if at % self.page.len() + len > self.page.len() || self.doing.is_some() {
            return Err(Failed);
        }
        for (to, byte) in self.page.iter_mut().zip(bytes) {
            *to = *byte;
        }
        self.begin(now.after(PROGRAM_US), Operation { at, len, erases: false })
    }

    fn busy(&mut self, now: Instant) -> Result<Option<Wake>, Failed> {
        if self.is_off {
            return Err(Failed);
        }
        match self.doing {
            Some((until, _)) if now < until => return Ok(Some(Wake::At(until))),
            Some((_, operation)) => {
                self.doing = None;
                self.change(operation, operation.len / 2, operation.len, || 0xff);
            }
            None => {}
        }
        Ok(None)
    }
}
