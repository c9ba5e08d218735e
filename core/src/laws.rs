//! The conformance laws of [`Session`], as a harness that anyone runs on theirs.
//!
//! ```
//! use windlass_core::{laws::Lab, session::Upper};
//! Lab::<256>::new().check(Upper::new, b"every chunking, every short write").unwrap();
//! ```
//!
//! The lab is a shell in miniature: it lends memory, moves time and watches. It runs the session
//! again and again on the same input and changes one thing at a time; the output must not change.
//! There is no allocation, so it also runs on the target. The work grows with the square of the
//! input: a few hundred bytes that reach every state are better than a large file.

mod watch;

use core::fmt;

use crate::fault::Fault;
use crate::session::files::Task;
use crate::session::{Out, Session};
use crate::time::{Instant, Wake};
use crate::want::{Close, Want};
use watch::Watch;

/// What a session must do whatever its shell does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Law {
    /// The output is the same however the input is cut into pieces.
    Chunking,
    /// The output is the same however little room there is for it.
    ShortWrites,
    /// The input may end at any byte, and the session ends too or says what it waits for.
    EndsAfterEof,
    /// A tick before it is due, and room that was not asked for, change nothing.
    SpuriousCalls,
    /// Every call that was asked for makes progress; after a drain nothing is due.
    NoSpin,
    /// It takes no more than it was lent, and replies with no more than it took.
    Counts,
    /// It never reopens, and sends nothing after it said that no more output will come.
    ClosesForward,
    /// After `abort` it is done with that fault, and silent.
    Aborts,
    /// A clock that steps backwards is survived.
    ClockStepsBack,
    /// The lab is too small for this input or its output: give `Lab` a larger number.
    LabTooSmall,
}

/// A law that a session broke, and the run that showed it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Broken {
    /// The law.
    pub law: Law,
    /// Bytes of input lent at a time.
    pub chunk: usize,
    /// Bytes of room lent at a time.
    pub room: usize,
    /// Where the input ended, or where it was aborted.
    pub end: usize,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { law, chunk, room, end } = self;
        write!(f, "{law:?} is broken: input by {chunk}, room by {room}, ended after {end} bytes")
    }
}

impl core::error::Error for Broken {}

/// How one run differs from the plain one.
#[derive(Clone, Copy)]
struct Plan {
    chunk: usize,
    room: usize,
    end: usize,
    spurious: bool,
    clock_steps_back: bool,
}

impl Plan {
    fn breaks(self, law: Law) -> Broken {
        Broken { law, chunk: self.chunk, room: self.room, end: self.end }
    }
}

/// A shell in miniature; `N` bounds the input and the output of a run, in bytes.
#[derive(Debug)]
pub struct Lab<const N: usize> {
    /// The output that every run is compared with.
    reference: [u8; N],
    reference_len: usize,
    /// The memory lent to the session.
    piece: [u8; N],
    out: [u8; N],
    /// The length of the one file that there is, whatever its name.
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
        Self { reference: [0; N], reference_len: 0, piece: [0; N], out: [0; N], file: None }
    }

    /// With a file of so many bytes, which is found under any name. Its byte `n` is `n % 251`, and its
    /// digest is how many bytes were digested, in the first eight bytes, low ones first.
    #[must_use]
    pub const fn with_file(self, len: u64) -> Self {
        Self { file: Some(len), ..self }
    }

    /// Runs the sessions that `make` makes, all alike, on `input` under every law.
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
                self.run(&mut make(), input, back, |_, _| Ok(()))?;
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
        self.run(session, input, plan, |_, bytes| {
            let room = reference.get_mut(len..len + bytes.len());
            room.ok_or(plan.breaks(Law::LabTooSmall))?.copy_from_slice(bytes);
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
        let reference = self.reference;
        let reference = &reference[..self.reference_len];
        let mut len = 0;
        self.run(session, input, plan, |_, bytes| {
            if reference.get(len..len + bytes.len()) != Some(bytes) {
                return Err(plan.breaks(law));
            }
            len += bytes.len();
            Ok(())
        })?;
        if len == reference.len() { Ok(()) } else { Err(plan.breaks(law)) }
    }

    /// Runs until the session is done, or wants nothing that could still come.
    fn run(
        &mut self,
        session: &mut dyn Session,
        input: &[u8],
        plan: Plan,
        mut sink: impl FnMut(Instant, &[u8]) -> Result<(), Broken>,
    ) -> Result<(), Broken> {
        let mut watch = Watch::new(plan);
        let mut unread = &input[..plan.end];
        let mut eof = false;
        let room = plan.room;
        loop {
            let want = watch.want(session)?;
            let now = watch.next_instant(N)?;
            if plan.spurious && !want.close.is_done() {
                self.spurious(session, want, plan, now)?;
            }
            let mut out = Out::new(&mut self.out[..room]);
            if want.close.is_done() {
                return Ok(());
            } else if want.wake.is_due(now) {
                session.tick(now);
                if session.want().wake.is_due(now) {
                    return Err(plan.breaks(Law::NoSpin));
                }
            } else if want.write
                && session.file_sender().is_some_and(|it| it.task() != Task::Render)
            {
                let Some(sender) = session.file_sender() else { continue };
                let sent = watch.lend_file(sender, self.file, &mut self.out[..room])?;
                sink(now, watch.sent(&self.out[..sent])?)?;
            } else if want.write {
                session.space(now, &mut out);
                if out.rendered().is_empty() && session.want() == want {
                    return Err(plan.breaks(Law::NoSpin));
                }
                sink(now, watch.sent(out.rendered())?)?;
            } else if want.read && !unread.is_empty() {
                let piece = &mut self.piece[..unread.len().min(plan.chunk)];
                piece.copy_from_slice(&unread[..piece.len()]);
                let took = session.input(now, piece, &mut out);
                if took.bytes > piece.len() || took.reply > took.bytes {
                    return Err(plan.breaks(Law::Counts));
                }
                if took.bytes == 0 && out.rendered().is_empty() && session.want() == want {
                    return Err(plan.breaks(Law::NoSpin));
                }
                sink(now, watch.sent(out.rendered())?)?;
                sink(now, watch.sent(&piece[..took.reply])?)?;
                unread = &unread[took.bytes..];
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

    /// Calls that nobody asked for must not be noticed.
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
            session.space(now, &mut out);
        }
        if out.rendered().is_empty() && session.want() == want {
            Ok(())
        } else {
            Err(plan.breaks(Law::SpuriousCalls))
        }
    }

    /// Feeds `plan.end` bytes, aborts, and listens for silence.
    fn abort(&mut self, session: &mut dyn Session, input: &[u8], plan: Plan) -> Result<(), Broken> {
        let now = Instant::from_micros(1);
        let mut fed = 0;
        while fed < plan.end && session.want().read {
            let piece = &mut self.piece[..plan.end - fed];
            piece.copy_from_slice(&input[fed..plan.end]);
            let took = session.input(now, piece, &mut Out::new(&mut self.out)).bytes;
            if took == 0 {
                break;
            }
            fed += took;
        }
        let expected = match session.want().close {
            Close::Open | Close::WriteHalf => Want::done(Err(Fault::Aborted)),
            Close::Done(how) => Want::done(how),
        };
        session.abort(Fault::Aborted);
        let mut out = Out::new(&mut self.out);
        session.tick(now);
        session.space(now, &mut out);
        session.eof(now);
        if session
            .file_sender()
            .is_some_and(|it| it.task() != Task::Render || it.piece(0).is_some())
        {
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
