//! A driver over `embedded-io-async`, for any executor.
//!
//! # Cancel safety
//!
//! `embedded-io-async` promises none: only the port knows which bytes a dropped future of a read or
//! a write has moved. So this driver does not drop them because of time. A read or a write is
//! pinned, and while it is pending the driver calls the session's `tick`. There are exceptions. A
//! read is dropped when a tick made the session want something else, when the idle timeout is over,
//! and when a link has to send again: the link repairs the loss. A write is dropped when the idle
//! timeout is over, and the session with it.
//!
//! The future of [`run`] itself may be dropped at every await, and called again with the same engine
//! and session: unsent output, unconsumed input and operations are in those. Such a
//! drop loses only what the port loses of the pending operation: nothing if the port
//! buffers in interrupts, as Embassy's `BufferedUart` does. If a write by DMA is dropped in the
//! middle, the pump does not know how many bytes were sent, and sends them again.

use core::future::{Future, pending, poll_fn};
use core::pin::{Pin, pin};
use core::task::Poll;

use embedded_io_async::{Read, Write};

use super::{Engine, Error};
use crate::fault::Peer;
use crate::file::{Answer, Storage};
use crate::pump::Need;
use crate::session::Session;
use crate::time::{Instant, Wake};

/// The clock of an executor.
#[expect(async_fn_in_trait, reason = "whether a future is Send is the executor's matter")]
pub trait Clock {
    /// The time.
    fn now(&self) -> Instant;

    /// Returns at this instant or later.
    async fn at(&self, at: Instant);
}

/// Runs `session` to its end over the two halves of a port. Files are in `storage`; `()` has none.
/// While the driver waits, it takes the answers of [`Storage::poll_answer`].
///
/// # Errors
/// The session's fault, or the port's error.
pub async fn run<E, S, R, W>(
    engine: &mut E,
    session: &mut S,
    storage: &mut impl Storage,
    (rx, tx): (&mut R, &mut W),
    clock: &impl Clock,
) -> Result<(), Error<R::Error>>
where
    E: Engine,
    S: Session + ?Sized,
    R: Read,
    W: Write<Error = R::Error>,
{
    loop {
        let now = clock.now();
        let idle_deadline = engine.idle_deadline(now);
        let moved = match engine.next(session, now) {
            Need::Send { bytes, .. } => {
                let writing = tx.write(bytes);
                // The engine owns the bytes: an answer of the storage is taken after they were sent.
                let sent =
                    while_time_passes(writing, session, &mut (), idle_deadline, clock, true).await;
                match sent {
                    Event::Moved(Ok(0)) => session.abort(Peer::Reset.into()),
                    Event::Moved(Ok(n)) => engine.sent(n),
                    Event::Moved(Err(_)) | Event::Answered(_) | Event::Time => {}
                }
                sent.error()
            }
            Need::Recv { buf, until } => {
                let reading = rx.read(buf);
                let deadline = if E::KEEPS_TIME { until } else { idle_deadline };
                let received =
                    while_time_passes(reading, session, storage, deadline, clock, false).await;
                match received {
                    Event::Moved(Ok(0)) => engine.eof(),
                    Event::Moved(Ok(n)) => engine.received(n),
                    Event::Answered(answer) => engine.answer(session, clock.now(), answer),
                    Event::Moved(Err(_)) | Event::Time => {}
                }
                received.error()
            }
            Need::File { op, memory } => {
                let answer = storage.perform(now, op, memory);
                engine.answer(session, now, answer);
                Ok(())
            }
            Need::Shutdown => tx.flush().await,
            Need::Wait(until) => {
                let timer = pin!(wait(until, clock));
                if let Event::Answered(answer) =
                    first_of(pin!(pending::<()>()), storage, timer).await
                {
                    engine.answer(session, clock.now(), answer);
                }
                Ok(())
            }
            Need::Over(how) => match tx.flush().await {
                Ok(()) => return how.map_err(Error::Session),
                Err(error) => Err(error),
            },
        };
        if let Err(error) = moved {
            session.abort(Peer::Reset.into());
            return Err(Error::Port(error));
        }
    }
}

/// The event that ended a wait.
enum Event<O> {
    /// The port has moved bytes, or failed.
    Moved(O),
    /// The storage has its answer.
    Answered(Answer),
    /// A deadline came.
    Time,
}

impl<E> Event<Result<usize, E>> {
    /// The port's error.
    fn error(self) -> Result<(), E> {
        match self {
            Self::Moved(Err(error)) => Err(error),
            Self::Moved(Ok(_)) | Self::Answered(_) | Self::Time => Ok(()),
        }
    }
}

/// Waits for `moved` or an answer of the storage, and ticks the session meanwhile. [`Event::Time`]
/// when the idle timeout is over, or, unless it is to be `finished`, when the session wants
/// something else by now.
async fn while_time_passes<F: Future, S: Session + ?Sized>(
    moved: F,
    session: &mut S,
    storage: &mut impl Storage,
    idle_deadline: Wake,
    clock: &impl Clock,
    finished: bool,
) -> Event<F::Output> {
    let mut moved = pin!(moved);
    loop {
        let wanted = session.want();
        let timer = pin!(wait(wanted.wake.min(idle_deadline), clock));
        match first_of(moved.as_mut(), storage, timer).await {
            Event::Time => {}
            event @ (Event::Moved(_) | Event::Answered(_)) => return event,
        }
        let now = clock.now();
        if wanted.wake.is_due(now) {
            session.tick(now);
        }
        let wants = session.want();
        let is_stuck = wants.wake.is_due(now);
        let is_other =
            wants.write != wanted.write || wants.file != wanted.file || wants.close != wanted.close;
        if idle_deadline.is_due(now) || is_stuck || (is_other && !finished) {
            return Event::Time;
        }
    }
}

async fn wait(until: Wake, clock: &impl Clock) {
    match until {
        Wake::Now => {}
        Wake::At(at) => clock.at(at).await,
        Wake::Never => pending().await,
    }
}

/// The first event: the output of `moved`, an answer, or the end of `timer`.
async fn first_of<F: Future, T: Future<Output = ()>>(
    mut moved: Pin<&mut F>,
    storage: &mut impl Storage,
    mut timer: Pin<&mut T>,
) -> Event<F::Output> {
    poll_fn(|cx| {
        if let Poll::Ready(output) = moved.as_mut().poll(cx) {
            return Poll::Ready(Event::Moved(output));
        }
        if let Poll::Ready(answer) = storage.poll_answer(cx) {
            return Poll::Ready(Event::Answered(answer));
        }
        timer.as_mut().poll(cx).map(|()| Event::Time)
    })
    .await
}

#[cfg(test)]
mod tests;
