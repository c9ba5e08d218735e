//! The sending side of a connection: direct writes, and output that the socket did not take.

use tracing::warn;
use windlass_core::fault::{Fault, Peer};
use windlass_core::time::Instant;

use super::backlog::{Backlog, Spare};
use super::buffer::Buffer;
use super::channel::{Channel, Sent};
use super::moment::{Began, Moment};
use super::pace::Pace;
use super::readiness::Readiness;
use super::rules::TimeLimits;
use crate::sys::Errno;
use crate::sys::stream::Stream;

/// A socket and its pending output.
#[derive(Debug)]
pub(super) struct Outlet<C = Stream> {
    pub(super) channel: C,
    pub(super) backlog: Option<Box<Backlog>>,
    /// When a byte last moved, in either direction.
    last_moved: Moment,
    pub(super) began: Began,
    pub(super) readiness: Readiness,
}

impl<C: Channel> Outlet<C> {
    pub(super) fn new(channel: C, now: Instant) -> Self {
        let (last_moved, began) = (now.into(), Began::new(now));
        Self { channel, backlog: None, last_moved, began, readiness: Readiness::of_socket() }
    }

    /// When a byte last moved, in either direction.
    pub(super) fn last_moved(&self) -> Instant {
        self.last_moved.get()
    }

    /// A byte moved, or the peer waits for work of this side.
    pub(super) fn set_moved(&mut self, now: Instant) {
        self.last_moved = now.into();
    }

    pub(super) fn has_output(&self) -> bool {
        let waits = |backlog: &Backlog| !backlog.output.is_empty();
        self.channel.has_records() || self.backlog.as_deref().is_some_and(waits)
    }

    pub(super) fn has_input(&self) -> bool {
        self.backlog.as_ref().is_some_and(|backlog| !backlog.input.is_empty())
    }

    /// Sends both parts. Bytes that the socket does not take go to the backlog, which had no output
    /// before.
    pub(super) fn send(
        &mut self,
        [mut first, mut then]: [&[u8]; 2],
        now: Instant,
        spare: &mut Spare,
        limits: &TimeLimits,
    ) -> Result<(), Fault> {
        while self.readiness.is_writable() && first.len() + then.len() > 0 {
            let n = self.send_once([first, then], now)?.taken;
            let of_first = n.min(first.len());
            first = &first[of_first..];
            then = &then[n - of_first..];
        }
        if first.len() + then.len() > 0 || self.channel.has_records() {
            let backlog = self.backlog.get_or_insert_with(|| spare.take());
            backlog.output.append(first);
            backlog.output.append(then);
            self.keep_pace(now, limits);
        }
        Ok(())
    }

    /// Writes once.
    pub(super) fn send_once(&mut self, parts: [&[u8]; 2], now: Instant) -> Result<Sent, Fault> {
        let sent = self.channel.transmit(parts, &mut self.readiness).map_err(self.lost(now))?;
        self.moved(now, sent.wire);
        Ok(sent)
    }

    /// Sends the output of the backlog. Returns true if all of it was sent.
    pub(super) fn flush(
        &mut self,
        now: Instant,
        spare: &mut Spare,
        limits: &TimeLimits,
    ) -> Result<bool, Fault> {
        let n = self.channel.flush(&mut self.readiness).map_err(self.lost(now))?;
        self.moved(now, n);
        let lost = self.lost(now);
        if let Some(backlog) = &mut self.backlog {
            let Self { channel, readiness, .. } = self;
            let n = backlog.output.send_to(channel, readiness).map_err(lost)?;
            self.moved(now, n);
        }
        self.keep_pace(now, limits);
        self.give_back(spare);
        Ok(!self.has_output())
    }

    /// Gives back a backlog that has nothing to do. While records wait, it has the pace of the peer.
    pub(super) fn give_back(&mut self, spare: &mut Spare) {
        if self.backlog.as_ref().is_some_and(|it| it.is_empty()) && !self.channel.has_records() {
            spare.give_back(self.backlog.take());
        }
    }

    /// The socket took `n` bytes.
    pub(super) fn moved(&mut self, now: Instant, n: usize) {
        if n > 0 {
            self.set_moved(now);
        }
        if let Some(pace) = self.backlog.as_mut().and_then(|backlog| backlog.pace.as_mut()) {
            pace.sent(n);
        }
    }

    /// Notes how much of the output in the kernel the peer has taken, and that it is waited for from
    /// now on if the socket is full. The kernel reports room when a third of its buffer is free, which a
    /// slow reader may not make in time.
    pub(super) fn keep_pace(&mut self, now: Instant, limits: &TimeLimits) {
        let Some(backlog) = &mut self.backlog else { return };
        if self.readiness.is_writable() && backlog.pace.is_none() {
            return;
        }
        let unsent = self.channel.stream().unsent().unwrap_or(0);
        let pace = backlog.pace.get_or_insert_with(|| Pace::new(limits));
        if self.readiness.is_writable() {
            pace.rest(now, unsent, limits);
        } else {
            pace.wait(now, unsent, limits);
        }
    }

    /// When the peer will have used up its time, if it is waited for.
    pub(super) fn pace_ends(&self, busy: bool) -> Option<Instant> {
        self.backlog.as_ref()?.pace.as_ref()?.end(busy)
    }

    /// Keeps input that the session did not take.
    pub(super) fn hold_input(&mut self, input: &[u8], spare: &mut Spare) {
        if !input.is_empty() {
            self.backlog.get_or_insert_with(|| spare.take()).input.append(input);
        }
    }

    /// Takes the input of the backlog.
    pub(super) fn take_input(&mut self) -> Buffer {
        self.backlog.as_mut().map(|backlog| std::mem::take(&mut backlog.input)).unwrap_or_default()
    }

    /// Puts back what is left of [`take_input`](Self::take_input).
    pub(super) fn return_input(&mut self, input: Buffer, spare: &mut Spare) {
        if let Some(backlog) = &mut self.backlog {
            backlog.input = input;
        }
        self.give_back(spare);
    }

    /// The fault for an error of a call.
    pub(super) fn lost(&self, now: Instant) -> impl Fn(Errno) -> Fault + use<C> {
        let waited_us = now.since(self.last_moved());
        move |errno| match errno {
            Errno::ECONNRESET
            | Errno::EPIPE
            | Errno::ECONNABORTED
            | Errno::ENOTCONN
            | Errno::ESHUTDOWN => Peer::Reset.into(),
            Errno::ECONNREFUSED => Peer::Refused.into(),
            // The kernel has retransmitted without an answer, or found no route.
            Errno::ETIMEDOUT | Errno::EHOSTUNREACH | Errno::ENETUNREACH | Errno::ENETDOWN => {
                Fault::TimedOut { waited_us }
            }
            // ENOBUFS, ENOMEM and other errors of this side.
            _ => {
                warn!("send or receive: {}; the connection is closed", errno.desc());
                Fault::Aborted
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_peer_did_is_the_peers() {
        let (stream, _peer) = Stream::pair().unwrap();
        let outlet = Outlet::new(stream, Instant::ZERO);
        let lost = outlet.lost(Instant::ZERO.after(7));
        for errno in [Errno::ECONNRESET, Errno::EPIPE] {
            assert_eq!(lost(errno), Peer::Reset.into());
        }
        assert_eq!(lost(Errno::ETIMEDOUT), Fault::TimedOut { waited_us: 7 });
        for errno in [Errno::ENOBUFS, Errno::ENOMEM, Errno::EIO] {
            assert_eq!(lost(errno), Fault::Aborted);
        }
    }
}
