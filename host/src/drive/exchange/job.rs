//! A transfer as a job: its turns, when it is due, and its end.

use std::os::fd::{AsFd, BorrowedFd};

use windlass_core::fault::{Fault, StorageFault};
use windlass_core::time::{Instant, Wake};
use windlass_core::transfer::{HEAD_MAX, Transfer};
use windlass_core::want::Close;

use super::super::buffers::Buffers;
use super::super::files::Answer;
use super::super::peers::Mark;
use super::super::rules::RulesId;
use super::super::turns::{Next, Turns};
use super::Exchange;
use super::store::Lent;
use crate::sys::ready::{Interest, Ready};

impl<M: Transfer + ?Sized> Exchange<M> {
    pub(super) fn take_turn(&mut self, ready: Ready, now: Instant, lent: &mut Lent<'_>) -> Next {
        self.link.note(ready);
        lent.buffers.file_input();
        self.count_begin(now, lent.buffers);
        let next = match self.advance(now, lent) {
            Ok(Next::Wait(_)) if self.is_stalled(now, lent.buffers) => {
                Next::Closed(Err(StorageFault::Stalled.into()))
            }
            next => next.unwrap_or_else(|fault| Next::Closed(Err(fault))),
        };
        if let Next::Closed(how) = next {
            self.count_end(how, now, lent.buffers);
            return self.end(now, how);
        }
        if self.machine.want().close == Close::WriteHalf {
            // Its last answer may have to be repeated for seconds, and nothing is missing any more.
            self.count_end(Ok(()), now, lent.buffers);
            self.log_end(Ok(()), now);
            self.is_whole = true;
        }
        next
    }

    /// When storage will have taken too long.
    fn stalled_at(&self, buffers: &Buffers) -> Option<Instant> {
        let idle_us = buffers.rules(self.rules).limits.idle_us?;
        Some(self.moved.after(idle_us))
    }

    fn is_stalled(&self, now: Instant, buffers: &Buffers) -> bool {
        self.store.is_awaited() && self.stalled_at(buffers).is_some_and(|at| at <= now)
    }

    /// Sends the last word, if there is one. A server that has not answered has no transfer to end.
    fn say_last_word(&mut self, now: Instant) {
        if self.link.is_unanswered() {
            return;
        }
        let mut head = [0; HEAD_MAX];
        if self.machine.want().write
            && let Some(tx) = self.machine.render(now, 0, &mut head)
            && tx.body.len == 0
        {
            let _ = self.link.socket.send(&head[..tx.head], &[tx.head]);
            self.machine.sent(now, 1);
        }
    }

    /// Logs what became of its file, once.
    fn log_end(&self, how: Result<(), Fault>, now: Instant) {
        if let Some(folder) = self.store.folder.as_ref().filter(|_| !self.is_whole) {
            folder.log(self.peer(), how, &self.link.counts, now.since(self.began));
        }
    }

    /// It is over.
    fn end(&mut self, now: Instant, how: Result<(), Fault>) -> Next {
        let how = if self.is_whole { Ok(()) } else { how };
        if let Err(fault) = how {
            self.machine.abort(fault);
        }
        self.say_last_word(now);
        if !std::mem::replace(&mut self.is_over, true) {
            self.link.counts.replaced |= self.link.mark.as_ref().is_some_and(Mark::is_replaced);
            self.log_end(how, now);
            self.store.close();
            self.link.mark.iter().for_each(Mark::set_over);
        }
        Next::Closed(how)
    }
}

impl<M: Transfer + ?Sized> Turns for Exchange<M> {
    fn note(&mut self, ready: Ready) {
        self.link.note(ready);
    }

    fn turn(&mut self, ready: Ready, now: Instant, buffers: &mut Buffers) -> Next {
        self.take_turn(ready, now, &mut Lent { buffers, storage: None })
    }

    /// There is room as a rule.
    fn rest(&mut self) -> Option<Interest> {
        Some(Interest { read: self.machine.want().read, write: true })
    }

    fn wait_for_input(&mut self, until: Instant, buffers: &mut Buffers) -> bool {
        self.held.is_empty() && self.link.wait_and_receive(buffers.batch(), until)
    }

    fn deadline(&self, buffers: &Buffers) -> Option<Instant> {
        let at = match self.machine.want().wake.min(self.store.wake()) {
            Wake::Now => Some(Instant::ZERO),
            Wake::At(at) => Some(at),
            Wake::Never => None,
        };
        let stalled = self.stalled_at(buffers).filter(|_| self.store.is_awaited());
        at.into_iter().chain(stalled).min()
    }

    fn look_every_us(&self, _: &Buffers) -> Option<u64> {
        None
    }

    fn set_rules(&mut self, rules: RulesId) {
        self.rules = rules;
    }

    fn came(&mut self, answer: Answer) {
        self.store.came(answer);
    }

    fn rested(&mut self, now: Instant) {
        self.moved = now;
    }

    fn dismiss(&mut self) {
        self.is_over = true;
        self.link.mark.iter().for_each(Mark::set_over);
    }

    fn is_whole(&self) -> bool {
        self.is_whole
    }

    fn only_repeats(&self) -> bool {
        self.is_whole && !self.is_over && !self.machine.want().write && self.held.is_empty()
    }

    fn abort(&mut self, why: Fault) {
        let _ = self.end(self.moved, Err(why));
    }

    fn given_up(&mut self, why: Fault, now: Instant, buffers: &Buffers) {
        self.count_begin(now, buffers);
        self.count_end(Err(why), now, buffers);
    }
}

impl<M: Transfer + ?Sized> Drop for Exchange<M> {
    /// The peer of a transfer that is given up is told.
    fn drop(&mut self) {
        if !self.is_over {
            let _ = self.end(self.moved, Err(Fault::Aborted));
        }
    }
}

impl<M: Transfer + ?Sized> AsFd for Exchange<M> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.link.socket.as_fd()
    }
}
