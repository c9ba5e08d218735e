//! The turn of a buffered stream.

use super::Token;
use super::buffered::{Buffered, Conversation, Direction, OutputEnd, Stage, StreamEvent};
use super::context::{Context, Leave};
use crate::drive::{BUDGET, Buffer, LINGER_US, Last, READ_SIZE, Received, discard};
use crate::sys::Errno;

/// What it takes from the budget to tell that the output has drained: a callback that writes more each
/// time does not keep the loop to itself.
const DRAINED_COST: usize = 16 * 1024;

/// The next step after a step of a turn.
pub(super) enum Step {
    /// There may be more.
    Again,
    /// Nothing, until something happens.
    Wait,
    /// The budget of the turn is used up: other sources have their turn first.
    Yield,
}

impl<S> Conversation<S, Context<S>> {
    /// Moves what can be moved, and tells of it.
    pub(super) fn turn(&mut self, state: &mut S, cx: &mut Context<S>, token: Token) -> Step {
        if let Stage::Connecting { until } = self.io.stage {
            if self.io.readiness.is_writable() {
                self.connected(state, cx);
            } else if until.is_some_and(|until| until <= cx.woke) {
                self.fail(state, cx, Errno::ETIMEDOUT);
            }
        }
        self.io.flush();
        let mut budget = BUDGET;
        let mut step = Step::Again;
        // Each call may have removed it.
        while matches!(step, Step::Again) && cx.contains(token) {
            step = self.step(state, cx, &mut budget);
            if matches!(step, Step::Again) {
                continue;
            }
            // After all calls: the time that they took is not the peer's silence.
            self.io.start_waits(|| cx.next());
            // What the call for a timeout changed takes effect at once.
            if cx.leave != Leave::AtOnce && cx.contains(token) && self.time_out(state, cx) {
                step = Step::Again;
            }
        }
        if self.io.stage == Stage::Gone {
            cx.remove(token);
        }
        self.io.input.buffer.give_back(&mut cx.spare);
        self.io.output.buffer.give_back(&mut cx.spare);
        step
    }

    fn step(&mut self, state: &mut S, cx: &mut Context<S>, budget: &mut usize) -> Step {
        if cx.leave == Leave::AtOnce {
            // The run ends after the last call; the rest is for the next one.
            return Step::Yield;
        }
        match self.io.stage {
            Stage::Connecting { .. } | Stage::Gone => return Step::Wait,
            Stage::Closing { .. } => return self.close(cx, budget),
            Stage::Lingering { until } if until <= cx.woke => {
                self.io.stage = Stage::Gone;
                return Step::Wait;
            }
            Stage::Lingering { .. } => return self.linger(cx, budget, true),
            Stage::Open => {}
        }
        let (input, output) = (&self.io.input, &self.io.output);
        if output.untold && output.buffer.len() <= output.low && self.io.broken().is_none() {
            if *budget == 0 {
                return Step::Yield;
            }
            *budget = budget.saturating_sub(DRAINED_COST);
            self.io.output.untold = false;
            self.report(state, cx, StreamEvent::Drained);
        } else if input.untold && input.is_on && input.buffer.len() >= input.low {
            self.io.input.untold = false;
            self.report(state, cx, StreamEvent::Input);
        } else if let Some(errno) =
            self.io.broken().filter(|_| self.io.readiness.has_ended() || !input.is_on)
        {
            // The program does not read the input that came before the failure.
            self.fail(state, cx, errno);
        } else if self.io.channel.fault().is_some() {
            self.fail(state, cx, Errno::EPROTO);
        } else if self.io.channel.has_ended() && self.io.wants_input() {
            self.io.readiness.end();
            self.report(state, cx, StreamEvent::Eof);
        } else if !self.io.wants_input() || !self.io.readiness.is_readable() {
            return Step::Wait;
        } else if *budget == 0 {
            return Step::Yield;
        } else {
            self.read(state, cx, budget);
        }
        Step::Again
    }

    /// Calls, and sends what the call wrote.
    fn report(&mut self, state: &mut S, cx: &mut Context<S>, event: StreamEvent) {
        self.io.output.buffer.lend(&mut cx.spare);
        (self.callback)(&mut self.io, state, cx, event);
        if !matches!(self.io.stage, Stage::Connecting { .. }) {
            self.io.flush();
        }
    }

    fn connected(&mut self, state: &mut S, cx: &mut Context<S>) {
        match self.io.channel.stream().connected() {
            Ok(()) => {
                self.io.stage = Stage::Open;
                self.io.input.silence.restart();
                self.io.output.silence.restart();
                self.report(state, cx, StreamEvent::Connected);
            }
            Err(errno) => self.fail(state, cx, errno),
        }
    }

    /// Reads once, and reports what was read.
    fn read(&mut self, state: &mut S, cx: &mut Context<S>, budget: &mut usize) {
        let mut buf = cx.buffers.take_input();
        let Buffered { channel, readiness, .. } = &mut self.io;
        let received = channel.receive(&mut buf, READ_SIZE, readiness);
        if let Ok(received) = received
            && received.wire > 0
        {
            *budget = budget.saturating_sub(received.wire);
            self.io.input.silence.restart();
        }
        match received {
            Ok(Received { bytes: n @ 1.., .. }) => {
                if self.io.input.buffer.is_empty() && n >= self.io.input.low {
                    buf = self.report_input(state, cx, buf, n);
                    cx.buffers.give_back_input(buf);
                    return;
                }
                self.io.input.untold = true;
                self.io.input.buffer.lend(&mut cx.spare);
                self.io.input.buffer.append(&buf[..n]);
            }
            Ok(Received { end: true, .. }) if self.io.broken().is_none() => {
                self.report(state, cx, StreamEvent::Eof);
            }
            // What was received may let output go.
            Ok(_) => self.io.flush(),
            Err(errno) => self.fail(state, cx, self.io.broken().unwrap_or(errno)),
        }
        cx.buffers.give_back_input(buf);
    }

    /// Tells of `n` bytes where the kernel put them, and gives the buffer back: only what the call
    /// leaves is copied.
    fn report_input(
        &mut self,
        state: &mut S,
        cx: &mut Context<S>,
        buf: Vec<u8>,
        n: usize,
    ) -> Vec<u8> {
        self.io.input.buffer.give_back(&mut cx.spare);
        self.io.input.buffer = Buffer::filled(buf, n);
        self.report(state, cx, StreamEvent::Input);
        let lent = std::mem::take(&mut self.io.input.buffer);
        if !lent.is_empty() {
            self.io.input.buffer.lend(&mut cx.spare);
            self.io.input.buffer.append(lent.data());
        }
        lent.into_inner()
    }

    /// The output goes out, then the end, and then the stream is gone, unless the peer still talks.
    fn close(&mut self, cx: &mut Context<S>, budget: &mut usize) -> Step {
        if self.io.has_output() {
            return Step::Wait;
        }
        if *budget == 0 {
            // To close without a look would be a reset, if there is anything.
            return Step::Yield;
        }
        if !self.io.readiness.is_socket() || self.io.broken().is_some() {
            self.io.stage = Stage::Gone;
            return Step::Wait;
        }
        if !self.io.readiness.has_ended() && !self.io.end_output() {
            return Step::Wait;
        }
        self.linger(cx, budget, false)
    }

    /// Hears out a peer that still talks. `talks`: it did before.
    fn linger(&mut self, cx: &mut Context<S>, budget: &mut usize, talks: bool) -> Step {
        let Buffered { channel, readiness, .. } = &mut self.io;
        let last = discard(channel.stream(), readiness, talks, cx.buffers.input(), budget);
        if last == Last::Gone {
            self.io.stage = Stage::Gone;
        } else if !talks {
            self.io.stage = Stage::Lingering { until: cx.next().after(LINGER_US) };
        }
        if last == Last::Again { Step::Yield } else { Step::Wait }
    }

    /// Tells of one direction that took too long, if there is one.
    fn time_out(&mut self, state: &mut S, cx: &mut Context<S>) -> bool {
        let write = self.io.is_stuck(cx.woke);
        let late = match self.io.stage {
            Stage::Closing { until } if write || until.is_some_and(|until| until <= cx.woke) => {
                self.io.stage = Stage::Gone;
                return false;
            }
            Stage::Connecting { .. }
            | Stage::Closing { .. }
            | Stage::Lingering { .. }
            | Stage::Gone => {
                return false;
            }
            Stage::Open if self.io.is_silent(cx.woke) => {
                self.io.input.is_on = false;
                Direction::Read
            }
            Stage::Open if write => {
                self.io.output.silence.restart();
                Direction::Write
            }
            Stage::Open => return false,
        };
        self.report(state, cx, StreamEvent::TimedOut(late));
        true
    }

    fn fail(&mut self, state: &mut S, cx: &mut Context<S>, errno: Errno) {
        self.io.output_end = OutputEnd::Broken(errno);
        (self.callback)(&mut self.io, state, cx, StreamEvent::Failed(errno));
        self.io.stage = Stage::Gone;
    }
}

#[cfg(test)]
mod tests;
