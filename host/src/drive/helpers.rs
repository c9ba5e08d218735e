//! Threads that do what could block an event loop: open a file, or read bytes that are not in the
//! page cache.
//!
//! ```text
//!   loop: a job asks ──▶ queue ──▶ helper, at most 8 ──▶ done ──▶ bell
//!     ▲                                                          │
//!     └────────── the job has its answer, and a turn ◀───────────┘
//! ```
//!
//! A job asks for one thing at a time, so the queue has at most one entry for each job. The
//! question of a job that is gone by now is dropped.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::Builder;

use tracing::warn;

use crate::sys::Errno;
use crate::sys::event::Event;
use crate::sys::ready::Token;

/// The largest number of threads. A few keep a disk busy; the others are for file systems that hang.
const THREADS_MAX: usize = 8;

/// The stack of a thread in bytes.
const STACK: usize = 128 * 1024;

/// The largest number of answers that wait for the loop; each may have a buffer. At the limit
/// helpers pause.
const DONE_MAX: usize = 16;

/// Held by a job that has asked a question. If the job drops it, the work is not done.
pub(super) type Ticket = Arc<()>;

/// The helpers of one loop. `A` is the type of their answers.
pub(super) struct Helpers<A> {
    shared: Arc<Shared<A>>,
    /// The job that has its turn.
    pub(super) current: Token,
    /// The part of that job that has its turn, and what marks an answer as the part's.
    pub(super) part: Option<Part<A>>,
    /// The process that has the threads.
    process: u32,
}

/// A part of a job, which may have many.
pub(super) type Part<A> = (Token, fn(Token, A) -> A);

type Work<A> = Box<dyn FnOnce() -> A + Send>;

struct Request<A> {
    token: Token,
    ticket: Weak<()>,
    work: Work<A>,
}

struct Shared<A> {
    state: Mutex<State<A>>,
    /// Signalled when there is work, when there is room for an answer, or when the loop is gone.
    changed: Condvar,
    /// The bell: rung for an answer if no other one waits.
    bell: Event,
}

struct State<A> {
    queue: VecDeque<Request<A>>,
    done: Vec<(Token, A)>,
    threads: usize,
    idle: usize,
    closed: bool,
}

impl<A: Send + 'static> Helpers<A> {
    /// Without threads: each is started when it is needed.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`.
    pub(super) fn new() -> Result<Self, Errno> {
        let state =
            State { queue: VecDeque::new(), done: Vec::new(), threads: 0, idle: 0, closed: false };
        let shared =
            Shared { state: Mutex::new(state), changed: Condvar::new(), bell: Event::new()? };
        let (current, process) = (Token::HELPERS, std::process::id());
        Ok(Self { shared: Arc::new(shared), current, part: None, process })
    }

    /// The descriptor that is readable when there are answers.
    pub(super) fn bell(&self) -> BorrowedFd<'_> {
        self.shared.bell.as_fd()
    }

    /// Lets a helper do the work for the job that has its turn, while the job holds the ticket.
    pub(super) fn ask(&self, work: impl FnOnce() -> A + Send + 'static) -> Ticket {
        let ticket = Ticket::default();
        let work: Work<A> = match self.part {
            Some((part, mark)) => Box::new(move || mark(part, work())),
            None => Box::new(work),
        };
        let request = Request { token: self.current, ticket: Arc::downgrade(&ticket), work };
        let mut state = self.shared.lock();
        if state.queue.len() == state.queue.capacity() {
            // Before it grows, questions of jobs that are gone are removed.
            state.queue.retain(|request| request.ticket.strong_count() > 0);
        }
        state.queue.push_back(request);
        if state.idle < state.queue.len() && state.threads < THREADS_MAX {
            let shared = Arc::clone(&self.shared);
            let helper = Builder::new().name("windlass-helper".into()).stack_size(STACK);
            match helper.spawn(move || shared.help()) {
                Ok(_) => state.threads += 1,
                Err(error) if state.threads > 0 => warn!("start a thread to read files: {error}"),
                Err(error) => {
                    warn!(
                        "start a thread to read files: {error}; the event loop reads files itself"
                    );
                    let request = state.queue.pop_back();
                    drop(state);
                    if let Some(Request { token, work, .. }) = request {
                        let answer = work();
                        self.shared.answer(&mut self.shared.lock(), token, answer);
                    }
                    return ticket;
                }
            }
        }
        drop(state);
        self.shared.changed.notify_one();
        ticket
    }

    /// Takes the answers, and resets the bell.
    pub(super) fn answers(&self) -> Vec<(Token, A)> {
        self.shared.bell.take();
        let done = std::mem::take(&mut self.shared.lock().done);
        if done.len() >= DONE_MAX {
            self.shared.changed.notify_all();
        }
        done
    }
}

impl<A> Drop for Helpers<A> {
    fn drop(&mut self) {
        if self.process != std::process::id() {
            // In a forked child there are no threads, and one of them may have held the lock.
            return;
        }
        let mut state = self.shared.lock();
        state.closed = true;
        state.queue.clear();
        drop(state);
        // A thread that hangs in a system call is left behind.
        self.shared.changed.notify_all();
    }
}

impl<A> Shared<A> {
    fn lock(&self) -> MutexGuard<'_, State<A>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The work of a helper until the loop is gone.
    fn help(&self) {
        let mut state = self.lock();
        while !state.closed {
            let request = match state.done.len() {
                0..DONE_MAX => state.queue.pop_front(),
                _ => None,
            };
            let Some(request) = request else {
                state.idle += 1;
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.idle -= 1;
                continue;
            };
            if request.ticket.strong_count() == 0 {
                continue;
            }
            drop(state);
            let answer = (request.work)();
            state = self.lock();
            self.answer(&mut state, request.token, answer);
        }
    }

    fn answer(&self, state: &mut State<A>, token: Token, answer: A) {
        state.done.push((token, answer));
        if state.done.len() == 1 {
            self.bell.raise();
        }
    }
}

#[cfg(test)]
mod tests;
