//! Signals that a loop chooses, read from a descriptor.
//!
//! A handler notes them, and nothing is blocked. The other way, to block them and read a `signalfd(2)`,
//! is inherited without a trace: every program that is started meanwhile has them blocked too, for
//! ever, and does not hear SIGTERM.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Mutex, PoisonError};

use nix::errno::Errno;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

use super::super::event::Event;
use super::inbox::{Inbox, handle};

/// A signal that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caught {
    /// The signal.
    pub signal: Signal,
    /// The process that sent it; 0 for the kernel.
    pub sender: u32,
}

/// Signals of the caller's choosing: each is caught while it is in the set, whichever thread the kernel
/// gives it to, and read from one descriptor. Every queue of the process that has it gets it. Standard
/// signals coalesce: of a burst, one may be left.
///
/// A program that is started meanwhile has the defaults and an empty mask, as if there were no queue.
#[derive(Debug)]
pub struct SignalQueue {
    inbox: &'static Inbox,
    bell: Event,
    set: SigSet,
}

type Handler = extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void);

/// For each signal that is caught, the number of queues that have it, and its action before.
static OLD_ACTIONS: Mutex<BTreeMap<i32, OldAction>> = Mutex::new(BTreeMap::new());

struct OldAction {
    queues: usize,
    before: SigAction,
}

thread_local! {
    /// The signals that this thread had blocked before its queues caught them, and how many of them do.
    static BLOCKED: RefCell<BTreeMap<i32, usize>> = const { RefCell::new(BTreeMap::new()) };
}

impl SignalQueue {
    /// A queue for no signal yet.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`.
    pub fn new() -> Result<Self, Errno> {
        let bell = Event::new()?;
        Ok(Self { inbox: Inbox::take(&bell), bell, set: SigSet::empty() })
    }

    /// Queues `signal` from now on, also if it was ignored or blocked.
    ///
    /// # Errors
    /// `EINVAL` for SIGKILL and SIGSTOP, which cannot be caught.
    pub fn add(&mut self, signal: Signal) -> Result<(), Errno> {
        if self.set.contains(signal) {
            return Ok(());
        }
        catch(signal)?;
        self.inbox.want(signal);
        self.set.add(signal);
        unblock(signal)
    }

    /// Queues it no more. One that is waiting is dropped. If no other queue has the signal, the next one
    /// does what it did before.
    pub fn remove(&mut self, signal: Signal) {
        if self.set.contains(signal) {
            self.set.remove(signal);
            self.inbox.refuse(signal);
            release(signal);
        }
    }

    /// The next signal that came, if any.
    pub fn take(&self) -> Option<Caught> {
        self.noted().or_else(|| {
            // One that comes after the bell is silent rings again, and one before is found now.
            self.bell.take();
            self.noted()
        })
    }

    /// The same without a system call. The bell goes on ringing.
    pub fn noted(&self) -> Option<Caught> {
        self.inbox.next().map(|(signal, sender)| Caught { signal, sender })
    }

    /// In a forked child: a bell of its own, since the parent's would wake the parent.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`.
    pub fn renew(&mut self) -> Result<(), Errno> {
        let bell = Event::new()?;
        self.inbox.renew(&bell, &self.set);
        self.bell = bell;
        // As sys::process::fork leaves them.
        self.set.thread_unblock()
    }
}

impl Drop for SignalQueue {
    fn drop(&mut self) {
        for signal in &self.set {
            release(signal);
        }
        self.inbox.give_back();
    }
}

impl AsFd for SignalQueue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}

/// Counts one more queue for this signal.
fn catch(signal: Signal) -> Result<(), Errno> {
    let mut all = OLD_ACTIONS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(entry) = all.get_mut(&(signal as i32)) {
        entry.queues += 1;
        return Ok(());
    }
    // What was in a system call goes on with it. One handler at a time, on the thread's own stack: a frame
    // has kilobytes of registers, and of those that were held back each would get one before the first
    // handler ends. The stack that Rust keeps for handlers has room for one or two.
    let (flags, others) = (SaFlags::SA_RESTART, SigSet::all());
    let ours = SigAction::new(SigHandler::SigAction(handle), flags, others);
    // SAFETY: the handler does only what signal-safety(7) allows.
    let before = unsafe { sigaction(signal, &ours)? };
    all.insert(signal as i32, OldAction { queues: 1, before });
    Ok(())
}

/// Counts one queue less. After the last one the old action is restored, unless it was changed since.
fn release(signal: Signal) {
    let mut all = OLD_ACTIONS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(entry) = all.get_mut(&(signal as i32)) {
        entry.queues -= 1;
        if entry.queues == 0 {
            // SAFETY: it is what was in force before; handlers are never freed.
            if let Ok(now) = unsafe { sigaction(signal, &entry.before) }
                && !matches!(now.handler(), SigHandler::SigAction(it) if std::ptr::fn_addr_eq(it, handle as Handler))
            {
                // SAFETY: it was in force until a moment ago.
                let _ = unsafe { sigaction(signal, &now) };
            }
            all.remove(&(signal as i32));
        }
    }
    drop(all);
    block_again(signal);
}

/// The process that started this one may have left the signal blocked: then it would never come.
fn unblock(signal: Signal) -> Result<(), Errno> {
    BLOCKED.with_borrow_mut(|blocked| {
        if SigSet::thread_get_mask()?.contains(signal) {
            blocked.insert(signal as i32, 0);
        }
        if let Some(queues) = blocked.get_mut(&(signal as i32)) {
            *queues += 1;
        }
        SigSet::from(signal).thread_unblock()
    })
}

fn block_again(signal: Signal) {
    // A thread that ends has no list any more, and no signal to mind.
    let last = BLOCKED.try_with(|blocked| {
        let mut blocked = blocked.borrow_mut();
        let Some(queues) = blocked.get_mut(&(signal as i32)) else { return false };
        *queues -= 1;
        let last = *queues == 0;
        if last {
            blocked.remove(&(signal as i32));
        }
        last
    });
    if last == Ok(true) {
        let _ = SigSet::from(signal).thread_block();
    }
}
