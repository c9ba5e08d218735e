//! Inboxes: the handler of a signal notes the signal in the inbox of each queue that has it.
//!
//! ```text
//! kernel ─▶ handler ─▶ inbox: a bit for each signal, its sender ─▶ bell (eventfd) ─▶ a loop that waits
//! ```
//!
//! The handler runs at any moment, in any thread, between any two instructions. So it takes no lock and
//! allocates nothing: it walks a list of inboxes that are never freed, only given to the next queue.

use std::os::fd::{AsFd, AsRawFd};
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU32, AtomicU64};
use std::{hint, ptr};

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal};

use super::super::event::Event;

/// Signals are numbered from 1 to 64.
const NUMBERS: usize = 65;

/// The signals that arrived for one queue.
#[derive(Debug)]
pub(super) struct Inbox {
    is_taken: AtomicBool,
    /// The signals that its queue wants: bit n for signal n. (Bit 0 stands for 64, which has no name.)
    wanted: AtomicU64,
    came: AtomicU64,
    senders: [AtomicU32; NUMBERS],
    /// The descriptor of its queue's bell, or -1.
    bell: AtomicI32,
    /// Handlers that may be about to ring that bell.
    inside: AtomicU32,
    /// Set before the inbox is in the list, and never again.
    next: *const Inbox,
}

// SAFETY: all of it is atomic but `next`, which does not change; its target is never freed.
unsafe impl Sync for Inbox {}
// SAFETY: as above.
unsafe impl Send for Inbox {}

/// The first inbox of the list.
static FIRST: AtomicPtr<Inbox> = AtomicPtr::new(ptr::null_mut());

/// The process of the handlers that ring. In a child that was forked the bells are those of the parent.
static OWNER: AtomicI32 = AtomicI32::new(0);

impl Inbox {
    /// An empty inbox, which rings `bell`.
    pub(super) fn take(bell: &Event) -> &'static Self {
        own();
        let free = all().find(|inbox| !inbox.is_taken.swap(true, SeqCst));
        let inbox = free.unwrap_or_else(Self::add);
        inbox.came.store(0, SeqCst);
        inbox.bell.store(bell.as_fd().as_raw_fd(), SeqCst);
        inbox
    }

    fn add() -> &'static Self {
        let mut inbox = Box::new(Self {
            is_taken: AtomicBool::new(true),
            wanted: AtomicU64::new(0),
            came: AtomicU64::new(0),
            senders: [const { AtomicU32::new(0) }; NUMBERS],
            bell: AtomicI32::new(-1),
            inside: AtomicU32::new(0),
            next: ptr::null(),
        });
        let mut first = FIRST.load(SeqCst);
        loop {
            inbox.next = first;
            let new = Box::into_raw(inbox);
            match FIRST.compare_exchange(first, new, SeqCst, SeqCst) {
                // SAFETY: it is in the list now, and never freed.
                Ok(_) => return unsafe { &*new },
                Err(other) => first = other,
            }
            // SAFETY: it did not get into the list, so it is still only ours.
            inbox = unsafe { Box::from_raw(new) };
        }
    }

    /// In a forked child: the inbox rings `bell` from now on, which is the child's own.
    pub(super) fn renew(&self, bell: &Event, wanted: &SigSet) {
        own();
        self.bell.store(bell.as_fd().as_raw_fd(), SeqCst);
        self.wanted.store(bits(wanted), SeqCst);
    }

    pub(super) fn want(&self, signal: Signal) {
        self.wanted.fetch_or(bit(signal as i32), SeqCst);
    }

    /// A pending one is dropped.
    pub(super) fn refuse(&self, signal: Signal) {
        self.wanted.fetch_and(!bit(signal as i32), SeqCst);
        self.came.fetch_and(!bit(signal as i32), SeqCst);
    }

    /// The lowest signal that came, and its sender.
    pub(super) fn next(&self) -> Option<(Signal, u32)> {
        let came = self.came.load(SeqCst);
        let number = came.trailing_zeros().cast_signed();
        let signal = Signal::try_from(number).ok()?;
        self.came.fetch_and(!bit(number), SeqCst);
        // Read after its bit is taken: a signal that comes now sets the bit again.
        Some((signal, self.senders[number as usize].load(SeqCst)))
    }

    /// Releases the inbox: its queue closes the bell next.
    pub(super) fn give_back(&self) {
        self.wanted.store(0, SeqCst);
        self.bell.store(-1, SeqCst);
        // Another thread may be in its handler, and have the number of the bell already. In a forked
        // child there is no such thread, whatever the parent's counter said.
        while is_owner() && self.inside.load(SeqCst) > 0 {
            hint::spin_loop();
            std::thread::yield_now();
        }
        self.is_taken.store(false, SeqCst);
    }

    fn ring(&self, number: i32, sender: u32) {
        self.inside.fetch_add(1, SeqCst);
        if self.wanted.load(SeqCst) & bit(number) != 0 {
            self.senders[number as usize].store(sender, SeqCst);
            self.came.fetch_or(bit(number), SeqCst);
            let bell = self.bell.load(SeqCst);
            let one = 1_u64;
            if bell >= 0 {
                // SAFETY: the bell is open while `inside` is not zero; eight bytes are read. write(2)
                // may be called by a handler. A counter at its top rings already.
                unsafe { libc::write(bell, (&raw const one).cast(), size_of::<u64>()) };
            }
        }
        self.inside.fetch_sub(1, SeqCst);
    }
}

/// Every signal that a queue of this process wants.
pub(super) fn wanted() -> SigSet {
    let all = all().fold(0, |all, inbox| all | inbox.wanted.load(SeqCst));
    Signal::iterator().filter(|&signal| all & bit(signal as i32) != 0).collect()
}

/// The handler of every signal that is in a queue.
pub(super) extern "C" fn handle(number: i32, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    let errno = Errno::last_raw();
    if is_owner() {
        // SAFETY: the kernel fills it in for a handler with SA_SIGINFO.
        let sender = unsafe { sender(number, &*info) };
        all().for_each(|inbox| inbox.ring(number, sender));
    } else {
        // A child between fork(2) and execve(2): the signal is the child's own, and does its default as
        // soon as this handler returns.
        // SAFETY: both may be called by a handler; the default runs no code of ours.
        unsafe {
            libc::signal(number, libc::SIG_DFL);
            libc::raise(number);
        }
    }
    Errno::set_raw(errno);
}

/// # Safety
/// `info` is what the kernel told the handler of signal `number`.
unsafe fn sender(number: i32, info: &libc::siginfo_t) -> u32 {
    const SI_USER: i32 = 0;
    const SI_QUEUE: i32 = -1;
    const SI_TKILL: i32 = -6;
    match info.si_code {
        SI_USER | SI_QUEUE | SI_TKILL => {}
        // The kernel's word of a child has its process id.
        _ if number == libc::SIGCHLD => {}
        _ => return 0,
    }
    // SAFETY: with such a code a process is named.
    unsafe { info.si_pid() }.cast_unsigned()
}

fn all() -> impl Iterator<Item = &'static Inbox> {
    // SAFETY: what is in the list is never freed.
    let at = |inbox: *const Inbox| unsafe { inbox.as_ref() };
    std::iter::successors(at(FIRST.load(SeqCst)), move |inbox| at(inbox.next))
}

fn is_owner() -> bool {
    OWNER.load(SeqCst) == std::process::id().cast_signed()
}

/// From now on the handlers of this process ring. The parent's queues stay with the parent.
fn own() {
    let pid = std::process::id().cast_signed();
    if OWNER.swap(pid, SeqCst) != pid {
        for inbox in all() {
            inbox.wanted.store(0, SeqCst);
            inbox.came.store(0, SeqCst);
            inbox.bell.store(-1, SeqCst);
            inbox.inside.store(0, SeqCst);
        }
    }
}

const fn bit(number: i32) -> u64 {
    1_u64.rotate_left(number.cast_unsigned())
}

fn bits(set: &SigSet) -> u64 {
    set.iter().fold(0, |bits, signal| bits | bit(signal as i32))
}
