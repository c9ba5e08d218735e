//! Files of more blocks than there are numbers, in both directions, without a network between.

use windlass_core::file::{Answer, Extent, Op};
use windlass_core::time::Instant;
use windlass_core::transfer::tftp::{Config, Offer, TftpGet, TftpPut, TftpServer};
use windlass_core::transfer::{HEAD_MAX, Heard, Timing, Transfer};
use windlass_core::want::Close;

/// One end, and the storage that takes or gives any bytes of a file of so many.
struct End<'t> {
    machine: &'t mut dyn Transfer,
    size: u64,
    /// Bytes that were kept.
    kept: u64,
    /// The file is whole.
    committed: bool,
}

impl End<'_> {
    /// Moves what it can, and gives each datagram to the other end: how many.
    fn turn(&mut self, now: Instant, other: &mut End<'_>) -> usize {
        self.store(now);
        let mut datagram = [0; HEAD_MAX + 1500];
        let mut count = 0;
        while let Some(tx) = self.machine.render(now, count, &mut datagram) {
            assert!(tx.body.offset + tx.body.len <= self.size, "a block behind the end");
            other.hear(now, &datagram[..tx.head + tx.body.len as usize]);
            count += 1;
        }
        self.machine.sent(now, count);
        count
    }

    fn hear(&mut self, now: Instant, datagram: &[u8]) {
        self.store(now);
        if self.machine.want().read {
            let heard = self.machine.handle(now, datagram);
            assert!(!matches!(heard, Heard::Ended { .. } | Heard::Malformed(_)), "{heard:?}");
        }
        self.store(now);
    }

    fn store(&mut self, now: Instant) {
        while self.machine.want().file {
            let user = self.machine.storage().expect("a file");
            let answer = match user.op().expect("an operation") {
                Op::Open(_) => Answer::Opened(self.size),
                Op::Create(_) => Answer::Done,
                Op::Store(Extent { offset, len }) => {
                    assert_eq!(offset, self.kept, "in order");
                    self.kept += len;
                    Answer::Kept(len as usize)
                }
                Op::Commit(_) => {
                    self.committed = true;
                    Answer::Done
                }
                other => panic!("{other:?}"),
            };
            user.answer(now, answer);
        }
    }
}

/// Both ends take turns until the file is whole.
fn runs(sender: (&mut dyn Transfer, u64), receiver: &mut dyn Transfer) {
    let (machine, size) = sender;
    let mut sender = End { machine, size, kept: 0, committed: false };
    let mut receiver = End { machine: receiver, size: 0, kept: 0, committed: false };
    let mut now = Instant::ZERO;
    while !receiver.committed {
        now = now.after(100);
        let moved = sender.turn(now, &mut receiver) + receiver.turn(now, &mut sender);
        assert!(moved > 0, "it hangs after {} bytes", receiver.kept);
    }
    receiver.turn(now, &mut sender);
    assert_eq!(receiver.kept, size);
    assert_eq!(sender.machine.want().close, Close::Done(Ok(())));
}

fn fetched(size: u64, block: u16, window: u16) {
    let offer = Offer { block: Some(block), window: Some(window), ..Offer::DEFAULT };
    let mut client = TftpGet::new("file", offer, &Timing::CLIENT);
    let mut server = TftpServer::<64>::new(Config::DEFAULT);
    // The request comes first.
    let mut request = [0; HEAD_MAX];
    let tx = client.render(Instant::ZERO, 0, &mut request).expect("a request");
    let _ = server.handle(Instant::ZERO, &request[..tx.head]);
    client.sent(Instant::ZERO, 1);
    runs((&mut server, size), &mut client);
}

fn stored(size: u64, block: u16, window: u16) {
    let offer = Offer { block: Some(block), window: Some(window), ..Offer::DEFAULT };
    let mut client = TftpPut::new("file", size, offer, &Timing::CLIENT);
    let mut server = TftpServer::<64>::new(Config { writes: true, ..Config::DEFAULT });
    runs((&mut client, size), &mut server);
}

/// Two numbers more than there are, and one byte more than in the last of those blocks.
const ROLLS: u64 = 512 * (0xffff + 2) + 1;

#[test]
fn sixty_four_mebibytes_in_blocks_of_512_pass_the_last_number_twice() {
    for window in [1, 64] {
        for size in [ROLLS, 64 << 20] {
            fetched(size, 512, window);
            stored(size, 512, window);
        }
    }
}

#[test]
fn five_gibibytes_in_blocks_of_1428_are_whole() {
    fetched(5 << 30, 1428, 64);
    stored((5 << 30) + 1, 1428, 64);
}
