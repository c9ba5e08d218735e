//! Each machine of a transfer under any datagrams, at any times, with any answers of storage.
//!
//! The input: a byte that chooses the machine, then steps, each of a kind, a number, and the bytes of a datagram.
#![no_main]

use libfuzzer_sys::fuzz_target;
use windlass_core::fault::{Fault, StorageFault};
use windlass_core::file::{Answer, Digest, DigestKind, Op, Refusal};
use windlass_core::time::Instant;
use windlass_core::transfer::tftp::{Config, Offer, TftpGet, TftpPut, TftpServer};
use windlass_core::transfer::xfer::{XferClient, XferServer};
use windlass_core::transfer::{HEAD_MAX, Heard, Timing, Transfer, Tx};
use windlass_core::want::{Close, Want};

/// A machine and what is known of it.
struct Watched<'t> {
    transfer: &'t mut dyn Transfer,
    now: Instant,
    /// The length of the datagram that storage is to keep a part of, and where that begins.
    held: (usize, usize),
    is_committed: bool,
    receives: bool,
    close: Close,
    /// Datagrams that left, requests that came, and whether anything else did.
    sent: usize,
    requests: usize,
    is_answered: bool,
}

impl Watched<'_> {
    fn render(&self, nth: usize) -> Option<(Tx, Vec<u8>)> {
        let mut head = [0; HEAD_MAX];
        let tx = self.transfer.render(self.now, nth, &mut head)?;
        Some((tx, head[..tx.head].to_vec()))
    }

    /// What holds between any two steps.
    fn check(&mut self) {
        let want = self.transfer.want();
        assert_eq!(want.write, self.render(0).is_some(), "it has what it wants to send");
        assert_eq!(self.render(0), self.render(0), "to render changes nothing");
        assert!(self.render(1).is_some() <= self.render(0).is_some());
        match (self.close, want.close) {
            (Close::Open, _) | (Close::WriteHalf, Close::WriteHalf | Close::Done(_)) => {}
            (Close::Done(was), Close::Done(is)) => assert_eq!(was, is),
            (was, is) => panic!("{is:?} after {was:?}"),
        }
        let is_well = matches!(want.close, Close::WriteHalf | Close::Done(Ok(())));
        assert!(!is_well || !self.receives || self.is_committed, "done before it was valid");
        assert!(!want.close.is_done() || !(want.read || want.file));
        assert!(!want.file || !(want.read || want.write), "it waits for storage");
        self.close = want.close;
        // An address from which nothing but requests came gets three datagrams for each.
        let is_server = self.requests > 0;
        assert!(!is_server || self.is_answered || self.sent <= 3 * self.requests);
    }

    fn hear(&mut self, datagram: &[u8]) {
        if !self.transfer.want().read {
            return;
        }
        match datagram {
            [0, 1 | 2, ..] | [0, 0, 0, 1, ..] => self.requests += 1,
            _ => self.is_answered = true,
        }
        match self.transfer.handle(self.now, datagram) {
            Heard::Store { at } => {
                assert!(at < datagram.len());
                self.held = (datagram.len(), at);
            }
            Heard::Ended { at, len, .. } => assert!(at + len <= datagram.len()),
            Heard::Taken | Heard::Ignored | Heard::Malformed(_) | Heard::Replaced => {}
        }
    }

    fn store(&mut self, number: u8) {
        if !self.transfer.want().file {
            return;
        }
        let file = self.transfer.storage().expect("it waits for storage");
        let op = file.op().expect("it waits for an operation");
        let well = match op {
            Op::Open(name) => {
                assert!(!name.is_empty());
                Answer::Opened(u64::from(number) << (number % 57))
            }
            Op::Create(_) => Answer::Done,
            Op::Store(extent) => {
                let (len, at) = self.held;
                let left = usize::try_from(extent.len).unwrap();
                assert!((1..=len - at).contains(&left), "of the datagram that is held");
                Answer::Kept(left.min(1 + usize::from(number)))
            }
            Op::Commit(_) => {
                self.is_committed = number < 250;
                Answer::Done
            }
            Op::Digest { extent, .. } => Answer::Digested(extent.len),
            Op::FinishDigest(DigestKind::Crc32) => Answer::Digest(Digest::Crc32(number.into())),
            Op::FinishDigest(DigestKind::Blake3) => Answer::Digest(Digest::Blake3([number; 32])),
            Op::FinishDigest(DigestKind::Sha256) | Op::Read { .. } | Op::Examine | Op::Close => {
                panic!("no transfer asks for this")
            }
        };
        let answer = match number {
            250 | 251 => Answer::Refused(Refusal::NoRoom),
            252.. => Answer::Failed(StorageFault::Failed.into()),
            _ => well,
        };
        if let Answer::Kept(kept) = answer {
            self.held.1 += kept;
        }
        file.answer(self.now, answer);
    }

    fn step(&mut self, kind: u8, number: u8, datagram: &[u8]) {
        match kind % 8 {
            0..=3 => self.hear(datagram),
            4 => {
                self.now = self.now.after(1 << (number % 26));
                self.transfer.tick(self.now);
                assert!(!self.transfer.want().wake.is_due(self.now), "a tick leaves nothing due");
            }
            5 => self.store(number),
            _ => {
                let owed = (0..=usize::from(number)).take_while(|&nth| self.render(nth).is_some());
                let count = owed.count();
                self.transfer.sent(self.now, count);
                self.sent += count;
            }
        }
    }
}

fn run(transfer: &mut dyn Transfer, receives: bool, mut steps: &[u8]) {
    let mut watched = Watched {
        transfer,
        now: Instant::from_micros(1),
        held: (0, 0),
        is_committed: false,
        receives,
        close: Close::Open,
        sent: 0,
        requests: 0,
        is_answered: false,
    };
    while let [kind, number, rest @ ..] = steps {
        let len = match kind % 8 {
            0..=2 => usize::from(*number),
            // So that a block of 512 bytes fits.
            3 => 3 * usize::from(*number),
            _ => 0,
        };
        let (datagram, rest) = rest.split_at(len.min(rest.len()));
        watched.step(*kind, *number, datagram);
        watched.check();
        steps = rest;
    }
    // However it was left, it ends.
    for _ in 0..10_000 {
        let want = watched.transfer.want();
        // A server that was asked nothing waits for ever.
        if want.close.is_done() || want == Want::READ {
            break;
        }
        watched.step(7, 255, &[]);
        watched.step(5, 200, &[]);
        watched.step(4, 25, &[]);
        watched.check();
    }
    let want = watched.transfer.want();
    assert!(want.close.is_done() || want == Want::READ, "{want:?}");
    watched.transfer.abort(Fault::Aborted);
    assert!(watched.transfer.want().close.is_done());
}

fuzz_target!(|input: &[u8]| {
    let [machine, steps @ ..] = input else { return };
    let offer = Offer { block: Some(32), window: Some(4), ..Offer::DEFAULT };
    let config = Config { writes: true, ..Config::DEFAULT };
    match machine % 8 {
        0 => run(&mut TftpGet::new(b"image", Offer::NONE, &Timing::CLIENT), true, steps),
        1 => {
            let client = TftpGet::new(b"image", offer, &Timing::CLIENT).digest(DigestKind::Crc32);
            run(&mut client.seek(9), true, steps);
        }
        2 => run(&mut TftpPut::new(b"image", 100, Offer::NONE, &Timing::CLIENT), false, steps),
        3 => run(&mut TftpPut::new(b"image", 100, offer, &Timing::CLIENT), false, steps),
        4 | 5 => run(&mut TftpServer::<16>::new(config), false, steps),
        6 => run(&mut XferClient::new(b"image", &Timing::CLIENT), true, steps),
        _ => run(&mut XferServer::<16>::new(Timing::SERVER), false, steps),
    }
});
