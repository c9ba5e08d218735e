//! What Embassy needs of the board: its clock, the UART and the TCP socket as ports of
//! `embedded-io-async`, and a transfer as a future.
//!
//! The network is polled, so every future asks again each time that the executor comes round. On a chip
//! with an interrupt for its network, they would register wakers.

use core::cell::{Cell, RefCell};
use core::convert::Infallible;
use core::task::Waker;

use critical_section::Mutex;
use embassy_futures::yield_now;
use embassy_time_driver::Driver;
use embassy_time_queue_utils::Queue;
use embedded_io_async::{ErrorType, Read, Write};
use smoltcp::wire::IpEndpoint;
use windlass_core::fault::Fault;
use windlass_core::file::Storage;
use windlass_core::transfer::Transfer;

use crate::clock;
use crate::ether::net::{Net, Running};
use crate::port::Port;

/// The clock of `embassy-time`.
struct Clock(Mutex<RefCell<Queue>>);

embassy_time_driver::time_driver_impl!(static CLOCK: Clock = Clock(Mutex::new(RefCell::new(Queue::new()))));

impl Driver for Clock {
    fn now(&self) -> u64 {
        clock::now().as_micros()
    }

    fn schedule_wake(&self, at: u64, waker: &Waker) {
        critical_section::with(|cs| self.0.borrow_ref_mut(cs).schedule_wake(at, waker));
    }
}

/// Wakes the futures that wait for a time which has come.
fn expire() {
    critical_section::with(|cs| {
        let _ = CLOCK.0.borrow_ref_mut(cs).next_expiration(clock::now().as_micros());
    });
}

/// Returns what `ask` returns, as soon as that is something.
async fn until<T>(mut ask: impl FnMut() -> Option<T>) -> T {
    loop {
        if let Some(it) = ask() {
            return it;
        }
        yield_now().await;
    }
}

/// Moves frames and time. It does not end.
pub async fn serve(net: &RefCell<Net>) -> ! {
    loop {
        expire();
        net.borrow_mut().poll();
        yield_now().await;
    }
}

/// Runs a transfer with a server. If the future is dropped, the transfer can only begin anew.
///
/// # Errors
/// The fault with which it ended.
pub async fn transfer(
    net: &RefCell<Net>,
    transfer: &mut dyn Transfer,
    storage: &mut dyn Storage,
    server: IpEndpoint,
) -> Result<(), Fault> {
    let mut running = Running::new(&mut net.borrow_mut(), transfer, storage, server);
    until(|| running.turn(&mut net.borrow_mut(), clock::now())).await
}

/// One direction of the UART. A read or a write that is dropped has moved nothing.
#[derive(Debug)]
pub struct Console<'c, P> {
    /// The UART.
    pub port: &'c RefCell<P>,
    /// The bytes that were sent.
    pub sent: &'c Cell<usize>,
}

impl<P> ErrorType for Console<'_, P> {
    type Error = Infallible;
}

impl<P: Port> Read for Console<'_, P> {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, Infallible> {
        Ok(until(|| Some(self.port.borrow_mut().read(buf)).filter(|&n| n > 0)).await)
    }
}

impl<P: Port> Write for Console<'_, P> {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        let n = until(|| Some(self.port.borrow_mut().write(bytes)).filter(|&n| n > 0)).await;
        self.sent.set(self.sent.get() + n);
        Ok(n)
    }

    async fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// One direction of the TCP socket. A read or a write that is dropped has moved nothing.
#[expect(missing_debug_implementations, reason = "the network has none")]
pub struct Tcp<'c>(pub &'c RefCell<Net>);

impl ErrorType for Tcp<'_> {
    type Error = Infallible;
}

impl Read for Tcp<'_> {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, Infallible> {
        let received = until(|| {
            let mut net = self.0.borrow_mut();
            let socket = net.tcp();
            let is_over = !socket.is_open() || socket.may_send() && !socket.may_recv();
            if socket.can_recv() { socket.recv_slice(buf).ok() } else { is_over.then_some(0) }
        });
        Ok(received.await)
    }
}

impl Write for Tcp<'_> {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        let sent = until(|| {
            let mut net = self.0.borrow_mut();
            let socket = net.tcp();
            let is_over = !socket.is_open();
            if socket.can_send() { socket.send_slice(bytes).ok() } else { is_over.then_some(0) }
        });
        Ok(sent.await)
    }

    async fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}
