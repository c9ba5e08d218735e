//! The client of the `time` service on datagrams: anything that is sent is answered with the stamp.

use std::ops::ControlFlow;
use std::time::Duration;

use windlass_core::fault::Fault;
use windlass_core::wire::Stamp;

use crate::addr::Address;
use crate::client::on_ending_signals;
use crate::error::{Error, Result};
use crate::reactor::{Context, Event, EventLoop, Token, Watch};
use crate::status::brief;
use crate::sys::datagram::{self, Datagrams};
use crate::sys::{Signal, clock};

const OP: &str = "read the time from";

/// The stamp, or the signal that came first.
type Answer = ControlFlow<Signal, Stamp>;

/// Asks a datagram socket.
///
/// # Errors
/// The server is not there, or sends nothing in time, or something else.
pub fn time(address: &Address, timeout_us: u64) -> Result<Answer> {
    let mut events = EventLoop::new()?;
    // Before this end may have a socket file, so that an end at any moment takes it away.
    on_ending_signals(&mut events, |asking: &mut Asking, cx, caught| {
        asking.end(Ok(ControlFlow::Break(caught.signal)), cx);
    })?;
    let socket = datagram::connect(address, clock::now().after(timeout_us))?;
    let socket = events.add(socket, Watch::READ, |socket, asking: &mut Asking, cx, event| {
        if matches!(event, Event::Ready(_)) {
            asking.on_socket(socket, cx);
        }
    })?;
    events.after(Duration::from_micros(timeout_us), |asking, cx| {
        let late = late(&asking.address, asking.timeout_us);
        asking.end(Err(late), cx);
    });
    let again = events.timer(|asking, cx| {
        asking.is_due = true;
        cx.activate(asking.socket);
    });
    events.activate(socket);
    let (address, wait) = (address.clone(), AGAIN);
    let mut asking =
        Asking { address, timeout_us, socket, again, is_due: true, wait, answer: None };
    events.run(&mut asking)?;
    asking.answer.unwrap_or_else(|| Err(late(&asking.address, timeout_us)))
}

/// The question may be lost, and its answer: it is asked again, each time after twice as long.
const AGAIN: Duration = Duration::from_millis(500);

struct Asking {
    address: Address,
    timeout_us: u64,
    socket: Token,
    again: Token,
    /// A question is to be sent.
    is_due: bool,
    /// Until the next one.
    wait: Duration,
    answer: Option<Result<Answer>>,
}

impl Asking {
    fn end(&mut self, answer: Result<Answer>, cx: &mut Context<Self>) {
        self.answer.get_or_insert(answer);
        cx.exit();
    }

    fn on_socket(&mut self, socket: &Datagrams, cx: &mut Context<Self>) {
        match self.turn(socket, cx) {
            Ok(None) => {}
            Ok(Some(stamp)) => self.end(Ok(ControlFlow::Continue(stamp)), cx),
            Err(error) => self.end(Err(error), cx),
        }
    }

    fn turn(&mut self, socket: &Datagrams, cx: &mut Context<Self>) -> Result<Option<Stamp>> {
        let failed = |errno| socket.explain(Error::new(OP, &self.address, errno));
        let mut buf = [0; Stamp::MAX_LEN + 1];
        if let Some(len) = socket.receive(&mut buf).map_err(failed)? {
            let stamp = Stamp::parse(&buf[..len]);
            return stamp.map(Some).map_err(|why| why_not(&self.address, Some(why.into())));
        }
        if std::mem::take(&mut self.is_due) {
            socket.send(b"").map_err(failed)?;
            cx.arm_after(self.again, self.wait);
            self.wait *= 2;
        }
        Ok(None)
    }
}

pub(in crate::client) fn why_not(address: &Address, fault: Option<Fault>) -> Error {
    // A session that is done without a stamp is done with a fault.
    Error::new(OP, address, fault.unwrap_or(Fault::Aborted))
}

pub(in crate::client) fn late(address: &Address, timeout_us: u64) -> Error {
    Error::new(OP, address, format!("no answer within {}", brief(timeout_us)))
}
