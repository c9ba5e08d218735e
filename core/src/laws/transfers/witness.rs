//! A transfer that is watched at each call.

use core::cell::Cell;

use super::law::TransferLaw;
use super::trial::Trial;
use crate::fault::Fault;
use crate::file::FileUser;
use crate::time::Instant;
use crate::transfer::{HEAD_MAX, Heard, Transfer, Tx};
use crate::want::{Close, Want};

/// Looks at each call whether a law is broken, and makes the calls more difficult.
pub(super) struct Witness<'t> {
    transfer: &'t mut dyn Transfer,
    end: usize,
    trial: Trial,
    calls: u32,
    aborted: bool,
    /// Datagrams that left after it was done.
    last_words: usize,
    close: Cell<Close>,
    broken: Cell<Option<TransferLaw>>,
}

/// What can be seen of a transfer from outside.
#[derive(PartialEq)]
struct Seen {
    want: Want,
    first: Option<(Tx, [u8; HEAD_MAX])>,
}

/// Datagrams of neither protocol: too short, or of a kind that there is not.
const NOISE: [&[u8]; 6] =
    [b"", b"\0", b"\0\0\0", b"\0\0\xff\xff\0\0\0\0", b"\x01\x01abc\0octet\0", &[0xff; 600]];

impl<'t> Witness<'t> {
    pub(super) fn new(transfer: &'t mut dyn Transfer, end: usize, trial: Trial) -> Self {
        Self {
            transfer,
            end,
            trial,
            calls: 0,
            aborted: false,
            last_words: 0,
            close: Cell::new(Close::Open),
            broken: Cell::new(None),
        }
    }

    /// The first law that was broken.
    pub(super) fn broken(&self) -> Option<TransferLaw> {
        self.broken.get()
    }

    /// Calls that can change something.
    pub(super) const fn calls(&self) -> u32 {
        self.calls
    }

    fn hold(&self, law: TransferLaw, holds: bool) {
        if !holds && self.broken.get().is_none() {
            self.broken.set(Some(law));
        }
    }

    fn render_of(&self, now: Instant, nth: usize) -> Option<(Tx, [u8; HEAD_MAX])> {
        let mut head = [0; HEAD_MAX];
        self.transfer.render(now, nth, &mut head).map(|tx| (tx, head))
    }

    fn see(&self, now: Instant) -> Seen {
        Seen { want: self.transfer.want(), first: self.render_of(now, 0) }
    }

    /// Before a call that can change something: it comes when the shell likes, and after others that must
    /// change nothing.
    fn before(&mut self, now: Instant) -> Instant {
        let steps_back = self.trial == Trial::ClockStepsBack && self.calls % 2 == 1;
        let now = if steps_back { Instant::ZERO } else { now };
        let seen = self.see(now);
        if !seen.want.wake.is_due(now) {
            self.transfer.tick(now);
            self.hold(TransferLaw::EarlyTicks, self.see(now) == seen);
        }
        if self.trial == Trial::Noise && seen.want.read {
            for datagram in NOISE {
                let heard = self.transfer.handle(now, datagram);
                let is_noise = matches!(heard, Heard::Malformed(_) | Heard::Ignored);
                self.hold(TransferLaw::Malformed, is_noise && self.see(now) == seen);
            }
        }
        if (self.trial == Trial::Aborted { end: self.end, after: self.calls }) {
            let was_done = self.transfer.want().close.is_done();
            self.transfer.abort(Fault::Aborted);
            let close = self.transfer.want().close;
            self.hold(TransferLaw::Aborts, was_done || close == Close::Done(Err(Fault::Aborted)));
            self.aborted = true;
        }
        self.calls = self.calls.saturating_add(1);
        now
    }
}

impl Transfer for Witness<'_> {
    fn handle(&mut self, now: Instant, datagram: &[u8]) -> Heard {
        // A server that is free is not asked anything by noise: its first datagram is its request.
        let is_first = self.calls == 0 && self.end == 1;
        let trial = self.trial;
        if is_first && trial == Trial::Noise {
            self.trial = Trial::Plain;
        }
        let now = self.before(now);
        self.trial = trial;
        self.transfer.handle(now, datagram)
    }

    fn render(&self, now: Instant, nth: usize, head: &mut [u8]) -> Option<Tx> {
        let seen = self.see(now);
        let rendered = self.render_of(now, nth);
        let tx = self.transfer.render(now, nth, head);
        let is_same = match (rendered, tx) {
            (Some((tx, bytes)), Some(again)) => {
                tx == again && bytes.get(..tx.head) == head.get(..again.head)
            }
            (None, None) => true,
            _ => false,
        };
        self.hold(TransferLaw::Pure, is_same && self.see(now) == seen);
        tx
    }

    fn sent(&mut self, now: Instant, count: usize) {
        if self.transfer.want().close.is_done() {
            self.last_words = self.last_words.saturating_add(count);
            self.hold(TransferLaw::Aborts, self.last_words <= 1);
        }
        let now = self.before(now);
        self.transfer.sent(now, count);
    }

    fn tick(&mut self, now: Instant) {
        let is_back = self.trial == Trial::ClockStepsBack;
        self.transfer.tick(now);
        self.hold(TransferLaw::NoSpin, is_back || !self.transfer.want().wake.is_due(now));
    }

    fn want(&self) -> Want {
        let want = self.transfer.want();
        let is_forward = match (self.close.get(), want.close) {
            (Close::Open, _) | (Close::WriteHalf, Close::WriteHalf | Close::Done(_)) => true,
            (Close::Done(a), Close::Done(b)) => a == b,
            (Close::WriteHalf | Close::Done(_), Close::Open)
            | (Close::Done(_), Close::WriteHalf) => false,
        };
        let is_silent = !want.close.is_done() || (!want.read && !want.file);
        self.hold(TransferLaw::ClosesForward, is_forward && is_silent);
        self.close.set(want.close);
        let now = Instant::ZERO;
        self.hold(TransferLaw::NoSpin, want.write == self.render_of(now, 0).is_some());
        self.hold(TransferLaw::KeepsFirst, !want.file || (!want.read && !want.write));
        want
    }

    fn abort(&mut self, why: Fault) {
        self.transfer.abort(why);
    }

    fn storage(&mut self) -> Option<&mut dyn FileUser> {
        if self.transfer.want().file {
            let has_op = self.transfer.storage().is_some_and(|file| file.op().is_some());
            self.hold(TransferLaw::NoSpin, has_op);
        }
        self.transfer.storage()
    }
}
