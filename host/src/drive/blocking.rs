//! Serves one connection, in a thread or process that does nothing else.

use std::os::fd::{AsFd, BorrowedFd};

use windlass_core::fault::Fault;
use windlass_core::time::Instant;

use super::access_log;
use super::buffers::Buffers;
use super::turns::{Next, Turns};
use crate::sys::ready::{Interest, Ready};
use crate::sys::{clock, poll};

/// How a wait for one connection ended.
#[derive(Debug, Clone, Copy)]
pub enum Woken {
    /// The socket is ready.
    Ready(Ready),
    /// The deadline came, or a signal: check the state.
    Look,
    /// The server stops: what never ends by itself ends. The socket is not looked at.
    Drain,
    /// The server stops now: give the connection up.
    Cut,
}

/// Serves one connection to its end, or until it [only repeats](Turns::only_repeats) its last answer. `wait` waits
/// for the socket, the deadline and whatever else concerns the caller.
///
/// # Errors
/// The fault that ended the connection before its session was done.
pub fn run(
    job: &mut dyn Turns,
    buffers: &mut Buffers,
    mut wait: impl FnMut(BorrowedFd<'_>, Interest, Option<Instant>) -> Woken,
) -> Result<(), Fault> {
    let end = End::IsWhole;
    serve(job, buffers, end, |job, _, interest, deadline| wait(job.as_fd(), interest, deadline))
}

/// When a job is not served any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// It is over.
    IsOver,
    /// It is over, or only repeats its last answer.
    IsWhole,
}

/// Waits with what the job gives: itself, and the memory that is lent to it.
fn serve(
    job: &mut dyn Turns,
    buffers: &mut Buffers,
    end: End,
    mut wait: impl FnMut(&mut dyn Turns, &mut Buffers, Interest, Option<Instant>) -> Woken,
) -> Result<(), Fault> {
    let mut ready = Ready::NONE;
    loop {
        let next = match job.turn(ready, clock::now(), buffers) {
            Next::Wait(_) if end == End::IsWhole && job.only_repeats() => Next::Closed(Ok(())),
            next => next,
        };
        let (interest, deadline) = match next {
            Next::Wait(interest) => (interest, look_at(job, buffers)),
            // The connection could go on at once. Check in between, so that a peer that never
            // pauses does not keep the caller from noticing the order to stop.
            Next::Again => (Interest::NONE, Some(Instant::ZERO)),
            Next::Closed(how) => {
                access_log::flush();
                return how;
            }
        };
        access_log::flush();
        ready = match wait(job, buffers, interest, deadline) {
            Woken::Ready(ready) => ready,
            Woken::Look => Ready::NONE,
            Woken::Drain => {
                job.drain();
                Ready::NONE
            }
            Woken::Cut => {
                job.abort(Fault::Aborted);
                job.given_up(Fault::Aborted, clock::now(), buffers);
                return Err(Fault::Aborted);
            }
        };
    }
}

/// When to look at the connection, or whether others wait for it to end.
fn look_at(job: &dyn Turns, buffers: &Buffers) -> Option<Instant> {
    let deadline = job.deadline(buffers);
    let look_us = job.look_every_us(buffers);
    let look = look_us.map(|us| clock::now().after(us));
    deadline.into_iter().chain(look).min()
}

/// [`run`] for a caller that waits for nothing else.
///
/// # Errors
/// As [`run`].
pub fn run_alone(job: &mut dyn Turns, buffers: &mut Buffers) -> Result<(), Fault> {
    run_until(job, buffers, || false)
}

/// As [`run_alone`], until `is_cut`: then the server stops now, and another thread has shut the socket down, so that
/// no wait goes on.
///
/// # Errors
/// As [`run`].
pub fn run_until(
    job: &mut dyn Turns,
    buffers: &mut Buffers,
    is_cut: impl Fn() -> bool,
) -> Result<(), Fault> {
    serve_alone(job, buffers, End::IsWhole, is_cut)
}

/// Serves what only repeats its last answer to its end, or until `is_cut` as [`run_until`].
pub fn repeat_until(job: &mut dyn Turns, buffers: &mut Buffers, is_cut: impl Fn() -> bool) {
    // It is whole, however it ends.
    let _ = serve_alone(job, buffers, End::IsOver, is_cut);
}

fn serve_alone(
    job: &mut dyn Turns,
    buffers: &mut Buffers,
    end: End,
    is_cut: impl Fn() -> bool,
) -> Result<(), Fault> {
    serve(job, buffers, end, |job, buffers, interest, deadline| {
        let waits_in_call = interest == Interest::READ;
        let woken = match deadline {
            Some(until) if waits_in_call && job.wait_for_input(until, buffers) => Woken::Look,
            _ => match poll::wait(job.as_fd(), interest, None, deadline) {
                poll::Woken::Ready(ready) => Woken::Ready(ready),
                poll::Woken::Other | poll::Woken::TimedOut | poll::Woken::Interrupted => {
                    Woken::Look
                }
            },
        };
        if is_cut() { Woken::Cut } else { woken }
    })
}
