//! An executor of the test's own: it decides when a port is ready, when time passes and when the
//! driver's future is dropped, from a seed.

extern crate std;

use core::cell::{Cell, RefCell};
use core::convert::Infallible;
use core::task::{Context, Waker};
use std::vec::Vec;

use embedded_io_async::ErrorType;
use proptest::prelude::*;

use super::*;
use crate::bytes::fill;
use crate::fault::{Fault, StorageFault};
use crate::file::{Answer, Op};
use crate::pump::Pump;
use crate::session::files::FilesClient;
use crate::session::{Consumed, Echo, Out, Upper};
use crate::want::{Close, Want};

/// What the ports and the clock share with the executor.
struct World {
    now_us: Cell<u64>,
    random: Cell<u64>,
    input: RefCell<Vec<u8>>,
    output: RefCell<Vec<u8>>,
    /// A byte takes so long on its way out, in microseconds.
    byte_us: u64,
}

impl World {
    fn new(seed: u64, input: &[u8], byte_us: u64) -> Self {
        Self {
            now_us: Cell::new(1),
            random: Cell::new(seed | 1),
            input: RefCell::new(input.to_vec()),
            output: RefCell::default(),
            byte_us,
        }
    }

    /// Xorshift.
    fn below(&self, n: u64) -> u64 {
        let mut x = self.random.get();
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.random.set(x);
        x % n
    }

    /// Polls the future until it is ready, and moves time on between two polls. It is dropped and
    /// `None` returned instead with a chance of one in `drops`.
    fn run<T>(&self, future: impl Future<Output = T>, drops: u64) -> Option<T> {
        let mut future = pin!(future);
        for _ in 0..100_000 {
            let mut cx = Context::from_waker(Waker::noop());
            if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
                return Some(output);
            }
            self.now_us.set(self.now_us.get() + 1 + self.below(50));
            if drops > 0 && self.below(drops) == 0 {
                return None;
            }
        }
        panic!("it is still pending after {} us", self.now_us.get());
    }

    /// Is pending now and then.
    async fn pause(&self) {
        let mut left = self.below(3);
        poll_fn(|_| {
            if left == 0 {
                return Poll::Ready(());
            }
            left -= 1;
            Poll::Pending
        })
        .await;
    }
}

impl Clock for World {
    fn now(&self) -> Instant {
        Instant::from_micros(self.now_us.get())
    }

    async fn at(&self, at: Instant) {
        poll_fn(|_| if self.now() < at { Poll::Pending } else { Poll::Ready(()) }).await;
    }
}

/// Reads what an interrupt has buffered: a dropped read takes nothing.
struct Rx<'w>(&'w World);

/// Writes into a buffer that an interrupt sends: a dropped write has sent nothing.
struct Tx<'w>(&'w World);

/// Works like DMA: the bytes leave while the write is pending, and it is done when all have left.
struct Dma<'w>(&'w World);

impl ErrorType for Rx<'_> {
    type Error = Infallible;
}

impl ErrorType for Tx<'_> {
    type Error = Infallible;
}

impl ErrorType for Dma<'_> {
    type Error = Infallible;
}

impl Read for Rx<'_> {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, Infallible> {
        self.0.pause().await;
        let mut input = self.0.input.borrow_mut();
        let most = usize::try_from(1 + self.0.below(9)).unwrap();
        let n = fill(buf, &input[..input.len().min(most)]);
        input.drain(..n);
        Ok(n)
    }
}

impl Write for Tx<'_> {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        self.0.pause().await;
        let n = bytes.len().min(usize::try_from(1 + self.0.below(9)).unwrap());
        self.0.output.borrow_mut().extend_from_slice(&bytes[..n]);
        Ok(n)
    }

    async fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

impl Write for Dma<'_> {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        for byte in bytes {
            let until = self.0.now_us.get() + self.0.byte_us;
            self.0.at(Instant::from_micros(until)).await;
            self.0.output.borrow_mut().push(*byte);
        }
        Ok(bytes.len())
    }

    async fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

proptest! {
    /// Whatever is dropped and whenever, every byte is answered once and in order.
    #[test]
    fn the_driver_may_be_dropped_at_every_await(
        seed: u64, input in proptest::collection::vec(any::<u8>(), 0..200), rx in 1_usize..20,
    ) {
        let world = World::new(seed, &input, 0);
        let (mut rx, mut tx) = (std::vec![0; rx], [0; 3]);
        let mut pump = Pump::new(&mut rx, &mut tx);
        let mut session = Echo::new();
        let how = loop {
            let (mut rx, mut tx, mut storage) = (Rx(&world), Tx(&world), ());
            let future = run(&mut pump, &mut session, &mut storage, (&mut rx, &mut tx), &world);
            if let Some(how) = world.run(future, 4) {
                break how;
            }
        };
        prop_assert_eq!(how, Ok(()));
        prop_assert_eq!(&world.output.borrow()[..], &input[..]);
    }
}

/// Says so many bytes, and is ticked every few microseconds.
struct Talks {
    left: usize,
    next: Instant,
    ticks: usize,
}

impl Session for Talks {
    fn input(&mut self, _: Instant, bytes: &mut [u8], _: &mut Out<'_>) -> Consumed {
        Consumed::bytes(bytes.len())
    }

    fn eof(&mut self, _: Instant) {}

    fn render(&mut self, _: Instant, out: &mut Out<'_>) {
        while self.left > 0 && out.put(&[u8::try_from(self.left).unwrap()]) == 1 {
            self.left -= 1;
        }
    }

    fn tick(&mut self, now: Instant) {
        self.ticks += 1;
        self.next = now.after(7);
    }

    fn want(&self) -> Want {
        match self.left {
            0 => Want::done(Ok(())),
            _ => Want { wake: Wake::At(self.next), ..Want::WRITE },
        }
    }

    fn abort(&mut self, _: Fault) {
        self.left = 0;
    }
}

/// A write that works like DMA is not dropped for a timer: 200 bytes are 200 on the wire.
#[test]
fn time_passes_around_a_write_and_nothing_is_sent_twice() {
    let world = World::new(7, b"", 86);
    let (mut rx, mut tx) = ([0; 1], [0; 64]);
    let mut pump = Pump::new(&mut rx, &mut tx);
    let mut session = Talks { left: 200, next: Instant::ZERO, ticks: 0 };
    let port = (&mut Rx(&world), &mut Dma(&world));
    let how = world.run(run(&mut pump, &mut session, &mut (), port, &world), 0);
    assert_eq!(how, Some(Ok(())));
    let expected: Vec<u8> = (1..=200).rev().collect();
    assert_eq!(world.output.borrow()[..], expected);
    assert!(session.ticks > 100, "{} ticks", session.ticks);
}

/// A peer that takes nothing and one that says nothing end in the same fault.
#[test]
fn the_idle_timeout_ends_a_peer_that_does_not_move() {
    struct Never;
    impl ErrorType for Never {
        type Error = Infallible;
    }
    impl Read for Never {
        async fn read(&mut self, _: &mut [u8]) -> Result<usize, Infallible> {
            pending().await
        }
    }
    impl Write for Never {
        async fn write(&mut self, _: &[u8]) -> Result<usize, Infallible> {
            pending().await
        }
        async fn flush(&mut self) -> Result<(), Infallible> {
            Ok(())
        }
    }
    let world = World::new(3, b"hello", 0);
    let (mut rx, mut tx) = ([0; 8], [0; 8]);
    for takes in [true, false] {
        let mut pump = Pump::new(&mut rx, &mut tx).idle_timeout(10_000);
        let mut session = Upper::new();
        let (silent, deaf) = (&mut Never, &mut Never);
        let how = if takes {
            let port = (silent, &mut Tx(&world));
            world.run(run(&mut pump, &mut session, &mut (), port, &world), 0)
        } else {
            let port = (&mut Rx(&world), deaf);
            world.run(run(&mut pump, &mut session, &mut (), port, &world), 0)
        };
        let Some(Err(Error::Session(Fault::TimedOut { waited_us }))) = how else {
            panic!("{how:?}")
        };
        assert!((10_000..10_100).contains(&waited_us), "{waited_us}");
        assert!(matches!(session.want().close, Close::Done(Err(_))));
    }
}

/// A flash that erases between two pages, and takes a byte at a time: what is kept is the file.
struct Flash<'w> {
    world: &'w World,
    kept: Vec<u8>,
    busy_for_ever: bool,
}

impl Storage for Flash<'_> {
    fn perform(&mut self, now: Instant, op: Op<'_>, memory: &mut [u8]) -> Answer {
        match op {
            _ if self.busy_for_ever => Answer::Busy(Wake::At(now.after(100))),
            _ if self.world.below(2) == 0 => Answer::Busy(Wake::At(now.after(20_000))),
            Op::Store(extent) => {
                assert_eq!(extent.offset, self.kept.len() as u64);
                self.kept.push(memory[0]);
                Answer::Kept(1)
            }
            Op::Create(_) | Op::Commit(_) => Answer::Done,
            Op::Open(_)
            | Op::Examine
            | Op::Read { .. }
            | Op::Digest { .. }
            | Op::FinishDigest(_)
            | Op::Close => {
                panic!("a client asked for {op:?}")
            }
        }
    }
}

#[test]
fn a_file_goes_to_a_storage_that_is_busy() {
    let stream = b"\0\0\0\x04file\0\0\0\x0bhello,world\0\0\0\x02ab\0\0\0\0";
    let world = World::new(11, stream, 0);
    let (mut rx, mut tx) = ([0; 5], [0; 5]);
    for drops in [0, 3] {
        world.input.replace(stream.to_vec());
        let mut pump = Pump::new(&mut rx, &mut tx).idle_timeout(1_000_000);
        let mut session = FilesClient::new(b"request", [0; 8]);
        let mut flash = Flash { world: &world, kept: Vec::new(), busy_for_ever: false };
        let how = loop {
            let (mut rx, mut tx) = (Rx(&world), Tx(&world));
            let future = run(&mut pump, &mut session, &mut flash, (&mut rx, &mut tx), &world);
            if let Some(how) = world.run(future, drops) {
                break how;
            }
        };
        assert_eq!(how, Ok(()));
        assert_eq!(flash.kept, b"hello,worldab");
    }
}

/// Copies what it is to keep, and says some time later how much of it is kept: nothing asks it again.
struct Background<'w> {
    world: &'w World,
    kept: Vec<u8>,
    done: Option<(Instant, Answer)>,
}

impl Storage for Background<'_> {
    fn perform(&mut self, now: Instant, op: Op<'_>, memory: &mut [u8]) -> Answer {
        assert_eq!(self.done, None, "it was asked again");
        let answer = match op {
            Op::Store(_) => {
                let n = usize::try_from(1 + self.world.below(memory.len() as u64)).unwrap();
                self.kept.extend_from_slice(&memory[..n]);
                Answer::Kept(n)
            }
            _ => Answer::Done,
        };
        self.done = Some((now.after(self.world.below(500)), answer));
        Answer::Busy(Wake::Never)
    }

    fn poll_answer(&mut self, _: &mut Context<'_>) -> Poll<Answer> {
        match self.done {
            Some((at, answer)) if self.world.now() >= at => {
                self.done = None;
                Poll::Ready(answer)
            }
            _ => Poll::Pending,
        }
    }
}

proptest! {
    #[test]
    fn a_storage_answers_unasked(seed: u64, drops in 0_u64..6) {
        let stream = b"\0\0\0\x04file\0\0\0\x0bhello,world\0\0\0\x02ab\0\0\0\0";
        let world = World::new(seed, stream, 0);
        let (mut rx, mut tx) = ([0; 5], [0; 5]);
        let mut pump = Pump::new(&mut rx, &mut tx).idle_timeout(1_000_000);
        let mut session = FilesClient::new(b"request", [0; 8]);
        let mut storage = Background { world: &world, kept: Vec::new(), done: None };
        let how = loop {
            let (mut rx, mut tx) = (Rx(&world), Tx(&world));
            let future = run(&mut pump, &mut session, &mut storage, (&mut rx, &mut tx), &world);
            // One poll in two is no chance to come anywhere.
            if let Some(how) = world.run(future, if drops < 2 { 0 } else { drops }) {
                break how;
            }
        };
        prop_assert_eq!(how, Ok(()));
        prop_assert_eq!(&storage.kept[..], b"hello,worldab");
    }
}

#[test]
fn a_storage_that_is_busy_for_ever_is_named() {
    let world = World::new(5, b"\0\0\0\x04file", 0);
    let (mut rx, mut tx) = ([0; 8], [0; 8]);
    let mut pump = Pump::new(&mut rx, &mut tx).idle_timeout(30_000);
    let mut session = FilesClient::new(b"", [0; 8]);
    let mut flash = Flash { world: &world, kept: Vec::new(), busy_for_ever: true };
    let port = (&mut Rx(&world), &mut Tx(&world));
    let how = world.run(run(&mut pump, &mut session, &mut flash, port, &world), 0);
    assert_eq!(how, Some(Err(Error::Session(Fault::Storage(StorageFault::Stalled)))));
}
