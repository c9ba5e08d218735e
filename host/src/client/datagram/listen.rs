//! Listening to datagrams, and showing each of them.
//!
//! ```text
//!   a thread:   receive, wait for one ──▶ show each ──▶ one write for all
//!   the loop:   signals; once a second: what was dropped, the membership
//! ```
//!
//! The thread does nothing else, so it waits in the call that receives: one call for a datagram that comes alone. A
//! loop takes two, and the kernel puts the socket in the queue of the loop for each datagram.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tracing::{info, warn};

use crate::addr::{Address, Transport};
use crate::client::{dies_of, on_ending_signals};
use crate::error::{Error, Result};
use crate::printable::printable;
use crate::reactor::{EventLoop, Remote};
use crate::standard;
use crate::sys::datagram::batch::Batch;
use crate::sys::datagram::{self, Peer};
use crate::sys::listener::{Group, Listener};
use crate::sys::{Errno, Signal};

/// Which datagrams are listened to.
#[derive(Debug, Clone)]
pub struct Listening {
    /// Where.
    pub address: Address,
    /// The group to join.
    pub group: Option<IpAddr>,
    /// The interface, by its name: of the group, or without one, of the socket.
    pub interface: Option<String>,
    /// End after so many that were shown.
    pub count: Option<u64>,
}

/// Datagrams of one call at most.
const BATCH: usize = 64;

/// The receive buffer that is asked for, in bytes. The kernel gives what `net.core.rmem_max` allows.
const ROOM: usize = 1 << 20;

/// What the thread and the loop know.
#[derive(Default)]
struct Shared {
    /// The thread is to end.
    is_over: AtomicBool,
    /// Datagrams that do not follow the protocol, or are too long.
    malformed: AtomicU64,
    /// Datagrams that the kernel dropped, because this program was too slow (`SO_RXQ_OVFL`).
    overflow: AtomicU64,
}

/// The thread's part.
struct Ear<F> {
    socket: Listener,
    /// The longest datagram that is taken, in bytes.
    room: usize,
    left: Option<u64>,
    show: F,
    shared: Arc<Shared>,
}

/// The loop's part.
struct Watch {
    socket: Listener,
    shared: Arc<Shared>,
    /// What was logged last.
    malformed: u64,
    overflow: u64,
    /// The signal that the program dies of.
    ended_by: Option<Signal>,
}

/// Ends the loop when the thread ends.
struct AtEnd(Remote<Watch>);

/// Listens, and prints what `show` appends to a text for each datagram, until a signal comes or enough were shown.
/// If it returns false, the datagram is counted, which is told once a second. `room` is the longest datagram that
/// is taken, in bytes. Returns the signal that the program dies of, if it is none that tells it to end.
///
/// # Errors
/// The socket cannot be opened, there is no such group or interface, or standard output fails.
pub(super) fn listen<F>(what: &Listening, room: usize, show: F) -> Result<Option<Signal>>
where
    F: FnMut(&Peer, &[u8], &mut String) -> bool + Send + 'static,
{
    let mut events = EventLoop::new()?;
    // Before there is a socket file, so that it is removed whenever the program ends.
    on_ending_signals(&mut events, |watch: &mut Watch, cx, caught| {
        watch.ended_by = dies_of(caught.signal);
        cx.exit();
    })?;
    events.every(Duration::from_secs(1), |watch, _| watch.look());
    let socket = open(what)?;
    let group = socket.group().map(|group| format!(", in the group {group}"));
    let line = format!("listening {}{}\n", socket.address(), group.unwrap_or_default());
    let (shared, at_end) = (Arc::new(Shared::default()), AtEnd(events.remote()?));
    let (copy, known) = (socket.share()?, Arc::clone(&shared));
    let mut ear = Ear { socket: copy, room, left: what.count, show, shared: known };
    // Behind the last copy, which makes a socket one that does not block.
    ear.socket.prepare_to_listen(ROOM)?;
    let mut watch = Watch { socket, shared, malformed: 0, overflow: 0, ended_by: None };
    let thread = std::thread::Builder::new().name("receive".into()).spawn(move || {
        let _at_end = at_end;
        ear.hear()
    });
    let thread = thread.map_err(Error::of("start", "a thread"))?;
    standard::print_stderr(&line);
    let run = events.run(&mut watch);
    watch.shared.is_over.store(true, Ordering::SeqCst);
    watch.socket.stop_receiving();
    let outcome = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    // Datagrams that were dropped in the last second are logged too.
    watch.log_dropped();
    let ended_by = watch.ended_by;
    // The socket file goes with the socket.
    drop(watch);
    run.and(outcome).map(|()| ended_by)
}

/// A group that is given, or that the address is one of, is joined.
fn open(what: &Listening) -> Result<Listener> {
    let own = what.address.socket_addr().map(|at| at.ip()).filter(IpAddr::is_multicast);
    let Some(address) = what.group.or(own) else {
        if what.address.transport() != Some(Transport::Datagram) {
            let why = "this is not the address of a datagram socket";
            return Err(Error::new("listen on", &what.address, why));
        }
        let socket = Listener::bind(&what.address, 1)?;
        if let Some(name) = &what.interface {
            datagram::bind_to_device(&socket, name)
                .map_err(Error::of("listen on interface", printable(name)))?;
        }
        return Ok(socket);
    };
    Listener::bind_member(&what.address, Group { address, interface: what.interface.clone() })
}

impl<F: FnMut(&Peer, &[u8], &mut String) -> bool> Ear<F> {
    fn hear(&mut self) -> Result<()> {
        let (mut batch, mut text) = (Batch::new(BATCH, self.room), String::new());
        while self.left != Some(0) {
            let received = batch.wait_and_receive(&self.socket);
            if self.shared.is_over.load(Ordering::SeqCst) {
                break;
            }
            match received {
                Ok(_) => {}
                Err(Errno::EAGAIN | Errno::EINTR) => continue,
                Err(errno) => return Err(Error::new("receive on", self.socket.address(), errno)),
            }
            self.show(&mut batch, &mut text);
            self.shared.overflow.store(batch.overflow().into(), Ordering::Relaxed);
            if !text.is_empty() {
                standard::print(&text)?;
                text.clear();
            }
        }
        Ok(())
    }

    fn show(&mut self, batch: &mut Batch, text: &mut String) {
        for received in batch.iter_mut() {
            if self.left == Some(0) {
                return;
            }
            let fits = !received.cut && received.len <= self.room;
            if fits && (self.show)(received.peer, received.datagram(), text) {
                self.left = self.left.map(|left| left - 1);
            } else {
                self.shared.malformed.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

impl Watch {
    fn look(&mut self) {
        self.log_dropped();
        if self.socket.renew_membership()
            && let Some(group) = self.socket.group()
        {
            info!("joined {group} again");
        }
    }

    /// Says what was dropped since.
    fn log_dropped(&mut self) {
        let now = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let (malformed, overflow) = (now(&self.shared.malformed), now(&self.shared.overflow));
        if (malformed, overflow) != (self.malformed, self.overflow) {
            let since = (malformed - self.malformed, overflow.wrapping_sub(self.overflow));
            warn!(malformed = since.0, overflow = since.1, "datagrams were dropped");
            (self.malformed, self.overflow) = (malformed, overflow);
        }
    }
}

impl Drop for AtEnd {
    fn drop(&mut self) {
        self.0.call(|_, cx| cx.exit());
    }
}
