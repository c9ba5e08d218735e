//! Embassy: one task serves lines on a UART, another downloads a file over a second UART, and a
//! timer starts the transfer again.
#![no_std]
#![no_main]
#![expect(unsafe_code, reason = "the runtime wants its interrupt handler declared so")]

use core::cell::RefCell;
use core::task::Waker;

use cortex_m::peripheral::syst::SystClkSource;
use cortex_m_rt::exception;
use critical_section::{CriticalSection, Mutex};
use embassy_executor::Spawner;
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::pipe::Pipe;
use embassy_time::{Duration, with_timeout};
use embassy_time_driver::Driver;
use embassy_time_queue_utils::Queue;
use windlass_core::driver::{EmbassyClock, asynch};
use windlass_core::file::DigestKind;
use windlass_core::pump::Pump;
use windlass_core::session::files::{Options, Request};
use windlass_core::session::{FilesClient, Upper};
use windlass_examples::board::{self, CPU_HZ, Timer, Uart};
use windlass_examples::flash::Nor;

/// What is between an interrupt and a task. A read or a write that is dropped has moved nothing.
type Ring = Pipe<CriticalSectionRawMutex, 64>;

static CONSOLE: (Ring, Ring) = (Ring::new(), Ring::new());
static HOST: (Ring, Ring) = (Ring::new(), Ring::new());

#[embassy_executor::main]
async fn main(spawner: Spawner) {
    let Some(mut board) = cortex_m::Peripherals::take() else { return };
    Timer::start();
    board.SYST.set_clock_source(SystClkSource::Core);
    board.SYST.set_reload(CPU_HZ / 1000 - 1);
    board.SYST.enable_interrupt();
    board.SYST.enable_counter();
    Uart::start(0);
    Uart::start(1);
    board::unmask_uarts(&mut board.NVIC);
    if let (Ok(lines), Ok(file)) = (serve_lines(), fetch_file()) {
        spawner.spawn(lines);
        spawner.spawn(file);
    }
}

#[embassy_executor::task]
async fn serve_lines() {
    let (mut rx, mut tx) = ([0; 64], [0; 16]);
    let mut pump = Pump::new(&mut rx, &mut tx);
    let port = (&mut &CONSOLE.0, &mut &CONSOLE.1);
    let _ = asynch::run(&mut pump, &mut Upper::new(), &mut (), port, &EmbassyClock).await;
}

#[embassy_executor::task]
async fn fetch_file() {
    let mut flash = Nor::<8192>::new();
    let mut request = [0; 64];
    let options = Options { digest: Some(DigestKind::Crc32), ..Options::NONE };
    let len = Request { name: b"image", options }.render(&mut request).unwrap_or_default();
    let request = request.get(..len).unwrap_or_default();

    let (mut rx, mut tx) = ([0; 256], [0; 64]);
    let mut pump = Pump::new(&mut rx, &mut tx).idle_timeout(30_000_000);
    while flash.file().is_none() {
        let mut client = FilesClient::new(request, [0; 64]);
        let port = (&mut &HOST.0, &mut &HOST.1);
        let running = asynch::run(&mut pump, &mut client, &mut flash, port, &EmbassyClock);
        // A transfer has two minutes. The timer drops the future; pump and session are still here, and
        // `run` could go on with them. This program begins anew.
        if with_timeout(Duration::from_secs(120), running).await.is_err() {
            pump.reset();
        }
    }
}

/// Moves bytes between a UART and its rings.
fn serve(number: u8, (received, sending): &(Ring, Ring)) {
    let uart = Uart::of(number);
    while received.free_capacity() > 0
        && let Some(byte) = uart.take()
    {
        let _ = received.try_write(&[byte]);
    }
    let mut byte = [0];
    while uart.has_room() && sending.try_read(&mut byte).is_ok() {
        uart.put(byte[0]);
    }
}

/// The interrupts of the UARTs.
#[exception]
unsafe fn DefaultHandler(_: i16) {
    serve(0, &CONSOLE);
    serve(1, &HOST);
}

/// Every millisecond: wakes tasks that wait for a time, and sends bytes that were put into a ring
/// meanwhile.
#[exception]
fn SysTick() {
    critical_section::with(|cs| CLOCK.expire(cs));
    serve(0, &CONSOLE);
    serve(1, &HOST);
}

/// The clock of `embassy-time`. A chip's HAL has one; this board has none.
struct Clock(Mutex<RefCell<(Timer, Queue)>>);

embassy_time_driver::time_driver_impl!(static CLOCK: Clock = Clock(Mutex::new(RefCell::new((Timer::started(), Queue::new())))));

impl Clock {
    fn expire(&self, cs: CriticalSection<'_>) {
        let (timer, queue) = &mut *self.0.borrow_ref_mut(cs);
        queue.next_expiration(timer.now().as_micros());
    }
}

impl Driver for Clock {
    fn now(&self) -> u64 {
        critical_section::with(|cs| self.0.borrow_ref_mut(cs).0.now().as_micros())
    }

    fn schedule_wake(&self, at: u64, waker: &Waker) {
        critical_section::with(|cs| {
            self.0.borrow_ref_mut(cs).1.schedule_wake(at, waker);
        });
    }
}
