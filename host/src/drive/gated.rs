//! A connection at a gate: whether it is served, and how fast it is sent what it asks for.
//!
//! ```text
//!   Waiting ──▶ admitted ──▶ Open ──── turns of the job, as many bytes as its rate allows
//!      │                       └──▶ held: nothing leaves until what left is paid
//!      ├──▶ Full, and its service has a word for that ──▶ Refusing: it hears it, within 250 ms
//!      └──▶ denied, or nothing can be said ──▶ closed
//! ```

use std::net::{IpAddr, SocketAddr};
use std::ops::DerefMut;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use windlass_core::fault::Fault;
use windlass_core::file::Refusal;
use windlass_core::time::Instant;

use super::access_log::{self, AccessLog, Visit};
use super::buffers::Buffers;
use super::files::Answer;
use super::gate::{Gate, Guest, Verdict};
use super::rules::RulesId;
use super::turns::{Next, Turns, forward};
use crate::sys::ready::{Interest, Ready};
use crate::sys::traffic;

/// A job of a client that came through a gate. `J` is a box, or what is one for any kind of job.
pub struct Gated<J> {
    job: J,
    pass: Pass,
    /// The address of the client.
    peer: Option<SocketAddr>,
    /// What the access log will say of it.
    visit: Option<Box<Visit>>,
    /// Nothing leaves before this.
    held_until: Option<Instant>,
}

/// What a client came through with.
pub(crate) enum Pass {
    /// There is no gate.
    #[cfg(feature = "transfer")]
    Free,
    /// It is served.
    Guest(Guest),
    /// Its request is refused; it has until then to send it.
    Refused {
        /// What it hears.
        why: Refusal,
        /// The end of its time.
        until: Instant,
    },
    /// It is closed at once, for this reason.
    Denied(&'static str),
}

impl Pass {
    /// That of a client with this address. `has_word`: its service has an answer for a client that has as much
    /// as it may have.
    pub(crate) fn of(
        gate: &Arc<Gate>,
        address: Option<IpAddr>,
        has_word: bool,
        now: Instant,
    ) -> Self {
        match gate.admit(address) {
            Verdict::Welcome(guest) => Self::Guest(guest),
            Verdict::Full if has_word => {
                Self::Refused { why: Refusal::Busy, until: now.after(REFUSED_US) }
            }
            Verdict::Full => Self::Denied("full"),
            Verdict::Denied => Self::Denied("denied"),
        }
    }
}

/// How long a client that is refused has for its request, in microseconds: it is on its way with the
/// connection as a rule, and the client has no claim to more.
const REFUSED_US: u64 = 250_000;

impl<J: DerefMut<Target: Turns>> Gated<J> {
    /// A job of a client with this address, which has this.
    pub(crate) fn new(job: J, pass: Pass, peer: Option<SocketAddr>) -> Self {
        Self { job, pass, peer, visit: None, held_until: None }
    }

    /// The access log has a line for it.
    #[must_use]
    pub(crate) fn noted(self, log: Option<&Arc<AccessLog>>, now: Instant) -> Self {
        Self { visit: log.map(|log| Box::new(Visit::new(log, self.peer, now))), ..self }
    }

    fn is_denied(&self) -> bool {
        matches!(self.pass, Pass::Denied(_))
    }

    /// A turn, without what the access log says of it.
    fn act(&mut self, ready: Ready, now: Instant, buffers: &mut Buffers) -> Next {
        match self.pass {
            #[cfg(feature = "transfer")]
            Pass::Free => self.job.turn(ready, now, buffers),
            Pass::Guest(_) => self.serve(ready, now, buffers),
            Pass::Refused { why, until } if now < until => {
                let before = buffers.refusal.replace(why);
                let next = self.job.turn(ready, now, buffers);
                buffers.refusal = before;
                next
            }
            Pass::Refused { .. } | Pass::Denied(_) => {
                self.job.dismiss();
                self.given_up(Fault::Denied, now, buffers);
                Next::Closed(Err(Fault::Denied))
            }
        }
    }

    /// The job, to change it.
    #[cfg(feature = "transfer")]
    pub(crate) fn job_mut(&mut self) -> &mut J::Target {
        &mut self.job
    }

    /// A turn of a client that is served.
    fn serve(&mut self, ready: Ready, now: Instant, buffers: &mut Buffers) -> Next {
        let Pass::Guest(guest) = &mut self.pass else { return Next::Closed(Err(Fault::Denied)) };
        if let Some(until) = self.held_until {
            self.job.note(ready);
            if until > now && !ready.dead {
                return Next::Wait(Interest::NONE);
            }
            self.held_until = None;
            // The time was not the peer's.
            self.job.rested(now);
        }
        if let Some(until) = guest.held_until(now) {
            // Another connection of the client has used it up.
            self.job.note(ready);
            self.held_until = Some(until);
            return Next::Wait(Interest::NONE);
        }
        let (sent, received) = (traffic::sent(), traffic::received());
        let most = guest.bytes_of_a_turn();
        let (budget, was) = (buffers.budget, buffers.most);
        (buffers.budget, buffers.most) = (budget.min(most), was.min(most));
        let next = self.job.turn(ready, now, buffers);
        (buffers.budget, buffers.most) = (budget, was);
        // An upload is limited too; of an echo it is one way that counts.
        let sent = traffic::sent().wrapping_sub(sent);
        let moved = traffic::received().wrapping_sub(received).max(sent);
        if moved > 0 {
            guest.charge(now, moved);
        }
        let is_over = matches!(next, Next::Closed(_));
        if is_over || self.job.is_whole() {
            guest.leave();
        }
        match guest.held_until(now) {
            Some(until) if !is_over => {
                self.held_until = Some(until);
                Next::Wait(Interest::NONE)
            }
            _ => next,
        }
    }
}

impl<J: DerefMut<Target: Turns>> Turns for Gated<J> {
    forward!();

    fn turn(&mut self, ready: Ready, now: Instant, buffers: &mut Buffers) -> Next {
        let mut visit = self.visit.take();
        if let (Pass::Denied(why), Some(visit)) = (&self.pass, visit.take_if(|_| self.is_denied()))
        {
            visit.turned_away(now, why);
        }
        let over = |&(next, is_whole): &(Next, bool)| match next {
            Next::Closed(how) => Some(how),
            Next::Wait(_) | Next::Again => is_whole.then_some(Ok(())),
        };
        buffers.client = self.peer;
        let turn = || (self.act(ready, now, buffers), self.job.is_whole());
        let (next, _) = access_log::during(&mut visit, now, turn, over);
        buffers.client = None;
        self.visit = visit;
        next
    }

    fn wait_for_input(&mut self, until: Instant, buffers: &mut Buffers) -> bool {
        self.job.wait_for_input(until, buffers)
    }

    fn deadline(&self, buffers: &Buffers) -> Option<Instant> {
        match self.pass {
            #[cfg(feature = "transfer")]
            Pass::Free => self.job.deadline(buffers),
            Pass::Guest(_) => self.held_until.or_else(|| self.job.deadline(buffers)),
            Pass::Refused { until, .. } => {
                self.job.deadline(buffers).map_or(Some(until), |at| Some(at.min(until)))
            }
            Pass::Denied(_) => Some(Instant::ZERO),
        }
    }

    fn is_whole(&self) -> bool {
        self.job.is_whole()
    }

    fn only_repeats(&self) -> bool {
        self.job.only_repeats()
    }
}

impl<J: DerefMut<Target: Turns>> AsFd for Gated<J> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.job.as_fd()
    }
}
