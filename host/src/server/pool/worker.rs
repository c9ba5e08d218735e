//! A worker in its own process: its orders, its reports, its connections.

use std::os::fd::AsFd;

use windlass_core::pool::processes::{Conn, WorkerId};
use windlass_core::stream::Write;

use crate::drive::{Buffers, Client, NOTE_MAX, Next, OneByOne, Port, Turns, run_alone};
use crate::server::Offer;
use crate::server::children::{Order, Report};
use crate::server::common::log_end;
use crate::sys::pass::{Channel, Received};
use crate::sys::poll::{wait, wait_for_input};
use crate::sys::ready::{Interest, Ready};
use crate::sys::{Errno, clock, quit};

/// The exit status of a worker that ran out of descriptors or memory: more workers would not help.
pub(in crate::server) const NO_RESOURCES: i32 = 3;

/// A worker, in its own process.
pub(in crate::server) struct Worker {
    id: WorkerId,
    channel: Channel,
    /// Clients come to it directly, and not from the parent.
    accepts: bool,
    served: u64,
}

/// The next task of a worker of a static pool.
pub(in crate::server) enum Task {
    /// Serve this connection, which has that name in its reports.
    Serve(Conn, Client),
    /// End.
    Quit,
    /// End, when last answers need not be [repeated](Worker::repeat) any more.
    Drain,
}

impl Worker {
    pub(super) fn new(id: WorkerId, channel: Channel, accepts: bool) -> Result<Self, Errno> {
        quit::on_sigterm()?;
        channel.block()?;
        Ok(Self { id, channel, accepts, served: 0 })
    }

    /// The slot and the epoch of this worker.
    pub(in crate::server) fn id(&self) -> WorkerId {
        self.id
    }

    /// It can serve.
    pub(in crate::server) fn ready(&self) {
        self.report(Report::Ready);
    }

    /// It has served the connection.
    pub(in crate::server) fn done(&self, conn: Conn) {
        self.report(Report::Done(conn));
    }

    /// Waits for the next order.
    pub(in crate::server) fn next_task(&self, one_by_one: &mut OneByOne) -> Task {
        let mut buf = [0; Order::LEN + NOTE_MAX];
        loop {
            // A wait that ends early is followed by one in `recvmsg`, unless there are answers to repeat.
            if let Some(us) = one_by_one.wake().wait_us(clock::now()) {
                let is_there = self.waits_for_order(us);
                one_by_one.look();
                if !is_there {
                    if self.is_left_to_a_signal() {
                        return Task::Quit;
                    }
                    continue;
                }
            }
            let (len, fd) = match self.channel.wait(&mut buf) {
                Ok(Received::Message { len, fd }) => (len, fd),
                Ok(Received::Lost { len }) => (len, None),
                Ok(Received::WouldBlock) if self.is_left_to_a_signal() => return Task::Quit,
                Ok(Received::WouldBlock) => continue,
                // The parent has ended.
                Ok(Received::Eof) | Err(_) => return Task::Quit,
            };
            let (order, note) = buf[..len].split_at(len.min(Order::LEN));
            match (Order::from_bytes(order), fd) {
                (Some(Order::Serve(conn)), Some(fd)) => {
                    if let Some(client) = Client::passed(fd, note) {
                        return Task::Serve(conn, client);
                    }
                    self.report(Report::Returned(conn));
                }
                // It came without its descriptor; the parent has a copy.
                (Some(Order::Serve(conn)), None) => self.report(Report::Returned(conn)),
                (Some(Order::Quit), _) => return Task::Quit,
                (Some(Order::Drain), _) => return Task::Drain,
                (None, _) => {}
            }
        }
    }

    /// It serves no client any more, and repeats last answers while others of its pool serve theirs. The parent tells it
    /// when none does.
    pub(in crate::server) fn repeat(&self, one_by_one: &mut OneByOne) {
        if one_by_one.repeating() > 0 {
            self.report(Report::Repeating);
        }
        while let Some(us) = one_by_one.wake().wait_us(clock::now()) {
            if self.waits_for_order(us) && !self.is_to_drain() {
                break;
            }
            one_by_one.look();
        }
    }

    /// Whether the order that is there is to drain. The parent may also have ended.
    fn is_to_drain(&self) -> bool {
        let mut buf = [0; Order::LEN];
        let Ok(Received::Message { len, .. }) = self.channel.wait(&mut buf) else { return false };
        Order::from_bytes(&buf[..len]) == Some(Order::Drain)
    }

    /// Whether a signal has told it to end, and no order: a signal of the parent comes behind one.
    fn is_left_to_a_signal(&self) -> bool {
        quit::is_asked() && !self.waits_for_order(0)
    }

    /// Whether there is an order, after so many microseconds at most.
    fn waits_for_order(&self, us: u64) -> bool {
        let [is_there, ..] = wait_for_input([Some(self.channel.as_fd()), None, None], Some(us));
        is_there
    }

    /// Serves a connection to its end, and stays busy for `hold_us` more. After `requests` of them it
    /// asks to be replaced, and goes on until it is.
    pub(in crate::server) fn serve(
        &mut self,
        client: Client,
        offer: &Offer,
        one_by_one: &mut OneByOne,
        pool: super::Pool,
    ) {
        if self.accepts {
            one_by_one.buffers().count_accepted();
        }
        let job = offer.open(client, clock::now());
        log_end(one_by_one.serve(job, (), |job, buffers, ()| run_alone(job, buffers)));
        hold(pool.hold_us);
        self.served += 1;
        if pool.requests == Some(self.served) {
            self.report(Report::Retiring);
        }
    }

    /// Answers the datagrams that are there.
    pub(in crate::server) fn answer(
        &mut self,
        port: &mut Port,
        buffers: &mut Buffers,
        pool: super::Pool,
    ) {
        loop {
            match port.turn(Ready::READ, clock::now(), buffers) {
                Next::Again => {}
                // Another worker may answer what comes meanwhile.
                Next::Wait(interest) if interest.write => {
                    wait(port.as_fd(), interest, None, None);
                }
                Next::Wait(_) | Next::Closed(_) => break,
            }
        }
        hold(pool.hold_us);
        let before = std::mem::replace(&mut self.served, port.counts().received);
        // Asked once, when the limit is passed.
        if pool.requests.is_some_and(|limit| before < limit && limit <= self.served) {
            self.report(Report::Retiring);
        }
    }

    fn report(&self, report: Report) {
        // The parent reads as fast as its workers talk; if it is gone, the next order says so.
        while let Ok(Write::WouldBlock) = self.channel.send(&report.to_bytes(), None) {
            wait(self.channel.as_fd(), Interest::WRITE, None, None);
        }
    }
}

fn hold(us: u64) {
    let until = clock::now().after(us);
    // A signal ends a wait early.
    while clock::now() < until {
        wait_for_input([None, None, None], Some(until.since(clock::now())));
    }
}
