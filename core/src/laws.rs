//! The conformance laws of [`Session`], as a harness for any session, also for one of your own.
//!
//! ```
//! use windlass_core::{laws::Lab, session::Upper};
//! Lab::<256>::new().check(Upper::new, b"every chunking, every short write").unwrap();
//! ```
//!
//! The lab is a small shell: it lends memory, moves time and checks each call. It runs the session
//! again and again on the same input and changes one thing in each run; the output must not change.
//! It does not allocate, so it also runs on a device. The work grows with the square of the
//! input: use a few hundred bytes that reach every state, not a large file.

mod datagrams;
mod law;
mod store;
#[cfg(feature = "transfer")]
mod transfers;
mod watch;

use crate::bytes::{after, fill, first};
use crate::fault::Fault;
use crate::file::{Answer, Op, Storage};
use crate::pump::{Need, Pump};
use crate::session::{Out, Session};
use crate::time::{Instant, Wake};
use crate::want::{Close, Want};
pub use datagrams::{BrokenDatagram, DATAGRAM_MAX, DatagramLaw, responder};
use law::Plan;
pub use law::{Broken, Law};
use store::{Kept, LabStorage};
#[cfg(feature = "transfer")]
pub use transfers::{BrokenTransfer, TransferLaw, Trial, transfers};
use watch::Watch;

/// A small shell; `N` is the largest input and output of a run, in bytes.
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Lab<const N: usize> {
    /// The output that every run is compared with.
    reference: [u8; N],
    reference_len: usize,
    /// The bytes of a file that were kept in that run.
    kept: Kept,
    /// The memory lent to the session.
    piece: [u8; N],
    out: [u8; N],
    /// The length of the only file, which is found under any name.
    file: Option<u64>,
}

impl<const N: usize> Default for Lab<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> Lab<N> {
    /// A lab of three buffers of `N` bytes.
    pub const fn new() -> Self {
        Self {
            reference: [0; N],
            reference_len: 0,
            kept: Kept::NONE,
            piece: [0; N],
            out: [0; N],
            file: None,
        }
    }

    /// Adds a file of `len` bytes, which is found under any name. Its byte `n` is `n % 251`. Its
    /// digest is the number of digested bytes, in its first eight bytes, little-endian.
    #[must_use]
    pub const fn with_file(self, len: u64) -> Self {
        Self { file: Some(len), ..self }
    }

    /// Runs equal sessions, made by `make`, on `input` under every law.
    ///
    /// # Errors
    /// The first law that is broken, with the run that broke it.
    pub fn check<S: Session>(
        &mut self,
        mut make: impl FnMut() -> S,
        input: &[u8],
    ) -> Result<(), Broken> {
        let plain = Plan {
            chunk: input.len().max(1),
            room: N,
            end: input.len(),
            spurious: false,
            clock_steps_back: false,
            slow_storage: false,
        };
        if input.len() > N || N == 0 {
            return Err(plain.breaks(Law::LabTooSmall));
        }
        for end in (0..=input.len()).rev() {
            let plain = Plan { end, ..plain };
            self.record(&mut make(), input, plain)?;
            let by_byte = Plan { chunk: 1, ..plain };
            self.compare(&mut make(), input, by_byte, Law::Chunking)?;
            self.abort(&mut make(), input, plain)?;
            self.expire(&mut make(), input, plain)?;
            if end < input.len() {
                continue;
            }
            for chunk in 2..input.len() {
                self.compare(&mut make(), input, Plan { chunk, ..plain }, Law::Chunking)?;
            }
            for room in 1..=self.reference_len.min(N) {
                let short = Plan { room, ..plain };
                self.compare(&mut make(), input, short, Law::ShortWrites)?;
                let both = Plan { chunk: 1, ..short };
                self.compare(&mut make(), input, both, Law::ShortWrites)?;
            }
            for plan in [plain, by_byte] {
                let spurious = Plan { spurious: true, ..plan };
                self.compare(&mut make(), input, spurious, Law::SpuriousCalls)?;
                let back = Plan { clock_steps_back: true, ..plan };
                self.run(&mut make(), input, back, |_| Ok(()))?;
                let slow = Plan { slow_storage: true, ..plan };
                self.compare(&mut make(), input, slow, Law::Stores)?;
            }
            for size in [1, 2, 3, 7, N] {
                let small = Plan { chunk: size, room: size, ..plain };
                self.pump(&mut make(), input, small)?;
                self.pump(&mut make(), input, Plan { slow_storage: true, ..small })?;
            }
        }
        Ok(())
    }

    /// The output of this run becomes the reference.
    fn record(
        &mut self,
        session: &mut dyn Session,
        input: &[u8],
        plan: Plan,
    ) -> Result<(), Broken> {
        let mut reference = self.reference;
        let mut len = 0;
        self.kept = self.run(session, input, plan, |bytes| {
            let room = reference.get_mut(len..).unwrap_or_default();
            if fill(room, bytes) < bytes.len() {
                return Err(plan.breaks(Law::LabTooSmall));
            }
            len += bytes.len();
            Ok(())
        })?;
        self.reference = reference;
        self.reference_len = len;
        Ok(())
    }

    /// The output of this run must be the reference.
    fn compare(
        &mut self,
        session: &mut dyn Session,
        input: &[u8],
        plan: Plan,
        law: Law,
    ) -> Result<(), Broken> {
        let (reference, expected) = (self.reference, self.kept);
        let mut rest = first(&reference, self.reference_len);
        let kept = self.run(session, input, plan, |bytes| {
            rest = rest.strip_prefix(bytes).ok_or(plan.breaks(law))?;
            Ok(())
        })?;
        if kept != expected {
            return Err(plan.breaks(Law::Stores));
        }
        if rest.is_empty() { Ok(()) } else { Err(plan.breaks(law)) }
    }

    /// The output under a pump with as much memory as in the plan must be the reference.
    fn pump(&mut self, session: &mut dyn Session, input: &[u8], plan: Plan) -> Result<(), Broken> {
        let broken = plan.breaks(Law::Pumps);
        let mut rest = first(&self.reference, self.reference_len);
        let mut unread = input;
        let mut storage = LabStorage::new(self.file, plan.slow_storage);
        let (rx, tx) = (&mut self.piece, &mut self.out);
        let rx = rx.get_mut(..plan.chunk.min(N)).unwrap_or_default();
        let tx = tx.get_mut(..plan.room.min(N)).unwrap_or_default();
        let mut pump = Pump::new(rx, tx);
        let mut watch = Watch::new(plan);
        loop {
            let now = watch.next_instant(N)?;
            match pump.next(session, now) {
                Need::Send { bytes, .. } => {
                    // The line takes one byte first and then all bytes.
                    let n = if plan.slow_storage { 1 } else { bytes.len() };
                    rest = rest.strip_prefix(first(bytes, n)).ok_or(broken)?;
                    pump.sent(n);
                }
                // The shell may call `eof` at any moment.
                Need::Recv { .. } | Need::Wait(Wake::Never) if unread.is_empty() => pump.eof(),
                Need::Recv { buf, .. } => {
                    let n = fill(buf, unread);
                    unread = after(unread, n);
                    pump.received(n);
                }
                Need::File { op, memory } => {
                    let answer = storage.perform(now, op, memory);
                    pump.answer(session, now, answer);
                }
                Need::Shutdown => {}
                Need::Wait(Wake::At(at)) => watch.now = at,
                Need::Wait(Wake::Now | Wake::Never) => return Err(broken),
                Need::Over(Ok(())) => break,
                Need::Over(Err(_)) => {
                    // The reference run sends output that was rendered before a fault; the pump may
                    // drop it.
                    rest = &[];
                    break;
                }
            }
        }
        if storage.kept() != self.kept {
            return Err(plan.breaks(Law::Stores));
        }
        if rest.is_empty() { Ok(()) } else { Err(broken) }
    }

    /// Runs until the session is done, or wants nothing that can still happen. Returns the stored
    /// bytes.
    fn run(
        &mut self,
        session: &mut dyn Session,
        input: &[u8],
        plan: Plan,
        mut sink: impl FnMut(&[u8]) -> Result<(), Broken>,
    ) -> Result<Kept, Broken> {
        let mut watch = Watch::new(plan);
        let mut storage = LabStorage::new(self.file, plan.slow_storage);
        let mut unread = first(input, plan.end);
        let mut eof = false;
        // Bytes at the front of the unread ones that the session has seen and not consumed.
        let mut held = 0;
        loop {
            let want = watch.want(session)?;
            let now = watch.next_instant(N)?;
            if plan.spurious && !want.close.is_done() {
                self.spurious(session, want, plan, now)?;
            }
            let room = self.out.get_mut(..plan.room).unwrap_or_default();
            if want.close.is_done() {
                return Ok(storage.kept());
            } else if want.wake.is_due(now) {
                session.tick(now);
                if session.want().wake.is_due(now) {
                    return Err(plan.breaks(Law::NoSpin));
                }
            } else if want.write {
                if let Some(file) = session.file().filter(|file| file.piece(0).is_some()) {
                    let sent = watch.send(file, &mut storage, room)?;
                    sink(watch.sent(first(room, sent))?)?;
                    continue;
                }
                let mut out = Out::new(room);
                session.render(now, &mut out);
                if out.rendered().is_empty() && session.want() == want {
                    return Err(plan.breaks(Law::NoSpin));
                }
                sink(watch.sent(out.rendered())?)?;
            } else if want.file {
                let Some(file) = session.file() else { return Err(plan.breaks(Law::NoSpin)) };
                let Some(op) = file.op() else { return Err(plan.breaks(Law::NoSpin)) };
                let len = match op {
                    Op::Store(extent) => usize::try_from(extent.len).unwrap_or(usize::MAX),
                    _ => 0,
                };
                if len > held {
                    return Err(plan.breaks(Law::Counts));
                }
                let memory = self.piece.get_mut(..len).unwrap_or_default();
                fill(memory, unread);
                let answer = storage.perform(now, op, memory);
                match answer {
                    Answer::Busy(Wake::At(at)) => watch.now = watch.now.max(at),
                    Answer::Busy(Wake::Now | Wake::Never) => {}
                    Answer::Kept(n) => {
                        unread = after(unread, n);
                        held -= n;
                        file.answer(now, answer);
                    }
                    _ => file.answer(now, answer),
                }
            } else if want.read && !unread.is_empty() {
                let len = unread.len().min(plan.chunk.max(held + usize::from(held > 0)));
                let piece = self.piece.get_mut(..len).unwrap_or_default();
                fill(piece, unread);
                let mut out = Out::new(room);
                let consumed = session.input(now, piece, &mut out);
                if consumed.bytes > piece.len() || consumed.reply > consumed.bytes {
                    return Err(plan.breaks(Law::Counts));
                }
                if consumed.bytes == 0 && out.rendered().is_empty() && session.want() == want {
                    return Err(plan.breaks(Law::NoSpin));
                }
                sink(watch.sent(out.rendered())?)?;
                sink(watch.sent(first(piece, consumed.reply))?)?;
                held = len - consumed.bytes;
                unread = after(unread, consumed.bytes);
            } else if !eof && unread.is_empty() {
                eof = true;
                session.eof(now);
            } else if let Wake::At(at) = want.wake {
                watch.now = at;
            } else if want.read && !eof {
                return Err(plan.breaks(Law::NoSpin));
            } else {
                return Err(plan.breaks(Law::EndsAfterEof));
            }
        }
    }

    /// Calls that the session did not want must have no effect.
    fn spurious(
        &mut self,
        session: &mut dyn Session,
        want: Want,
        plan: Plan,
        now: Instant,
    ) -> Result<(), Broken> {
        let mut out = Out::new(&mut self.out);
        if !want.wake.is_due(now) {
            session.tick(now);
        }
        if !want.write {
            session.render(now, &mut out);
        }
        if out.rendered().is_empty() && session.want() == want {
            Ok(())
        } else {
            Err(plan.breaks(Law::SpuriousCalls))
        }
    }

    /// Feeds `plan.end` bytes, as far as the session takes them without an answer.
    fn feed(&mut self, session: &mut dyn Session, input: &[u8], plan: Plan) -> Instant {
        let now = Instant::from_micros(1);
        let mut fed = 0;
        while fed < plan.end && session.want().read {
            let piece = self.piece.get_mut(..plan.end - fed).unwrap_or_default();
            fill(piece, after(input, fed));
            let consumed = session.input(now, piece, &mut Out::new(&mut self.out)).bytes;
            if consumed == 0 {
                break;
            }
            fed += consumed;
        }
        now
    }

    /// Feeds `plan.end` bytes, and ends the time for a request.
    fn expire(
        &mut self,
        session: &mut dyn Session,
        input: &[u8],
        plan: Plan,
    ) -> Result<(), Broken> {
        let now = self.feed(session, input, plan);
        let (before, awaits) = (session.want(), session.awaits_request());
        let is_as_told = if session.expire(now) {
            awaits && session.want().write && !session.awaits_request()
        } else {
            session.want() == before && session.awaits_request() == awaits
        };
        if is_as_told { Ok(()) } else { Err(plan.breaks(Law::Expires)) }
    }

    /// Feeds `plan.end` bytes, aborts, and checks that no output follows.
    fn abort(&mut self, session: &mut dyn Session, input: &[u8], plan: Plan) -> Result<(), Broken> {
        let now = self.feed(session, input, plan);
        let expected = match session.want().close {
            Close::Open | Close::WriteHalf => Want::done(Err(Fault::Aborted)),
            Close::Done(how) => Want::done(how),
        };
        session.abort(Fault::Aborted);
        let mut out = Out::new(&mut self.out);
        session.tick(now);
        session.render(now, &mut out);
        session.eof(now);
        if session.file().is_some_and(|file| file.op().is_some() || file.piece(0).is_some()) {
            return Err(plan.breaks(Law::Aborts));
        }
        let reply = match self.piece.get_mut(..1) {
            Some(piece) => session.input(now, piece, &mut out).reply,
            None => 0,
        };
        if session.want() == expected && out.rendered().is_empty() && reply == 0 {
            Ok(())
        } else {
            Err(plan.breaks(Law::Aborts))
        }
    }
}

#[cfg(test)]
mod tests;
