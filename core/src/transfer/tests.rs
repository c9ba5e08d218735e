//! One end in the hands of a test, which is its network, its clock and its storage.

extern crate std;

use std::vec::Vec;

use super::tftp::{Config, TftpServer};
use super::xfer::XferServer;
use super::{HEAD_MAX, Heard, REQUEST_COPIES_US, Timing, Transfer};
use crate::fault::Fault;
use crate::file::{Answer, Op, Storage};
use crate::sim::Disk;
use crate::time::{Instant, Wake};
use crate::want::Close;

pub(super) struct Rig<T> {
    pub(super) transfer: T,
    pub(super) disk: Disk<Vec<u8>>,
    pub(super) now: Instant,
    held: Vec<u8>,
}

/// Byte `n` is `n % 251`.
pub(super) fn image(len: usize) -> Vec<u8> {
    (0..len).map(|n| u8::try_from(n % 251).unwrap()).collect()
}

impl<T: Transfer> Rig<T> {
    /// With a file of so many bytes, or room for one.
    pub(super) fn new(transfer: T, file: Vec<u8>) -> Self {
        Self { transfer, disk: Disk::new(file), now: Instant::from_micros(1), held: Vec::new() }
    }

    /// A datagram comes. Its block, if it has one, waits for storage.
    pub(super) fn hears(&mut self, datagram: &[u8]) -> Heard {
        assert!(self.transfer.want().read, "it takes a datagram");
        let heard = self.transfer.handle(self.now, datagram);
        if let Heard::Store { at } = heard {
            self.held = datagram[at..].to_vec();
        }
        heard
    }

    /// Storage does all that it is asked for.
    pub(super) fn stores(&mut self) {
        while self.transfer.want().file {
            self.stores_once(usize::MAX);
        }
    }

    /// Storage does one operation, on so many bytes at most.
    pub(super) fn stores_once(&mut self, most: usize) {
        let file = self.transfer.storage().unwrap();
        let op = file.op().unwrap();
        let len = if let Op::Store(extent) = op { extent.len.try_into().unwrap() } else { 0 };
        assert!(len <= self.held.len(), "no more is stored than came");
        let answer = self.disk.perform(self.now, op, &mut self.held[..len.min(most)]);
        if let Answer::Kept(n) = answer {
            self.held.drain(..n);
        }
        file.answer(self.now, answer);
    }

    /// What it is asked by storage now.
    pub(super) fn answers(&mut self, answer: Answer) {
        self.transfer.storage().unwrap().answer(self.now, answer);
    }

    /// All that it owes leaves.
    pub(super) fn says(&mut self) -> Vec<Vec<u8>> {
        self.stores();
        let mut all = Vec::new();
        let mut head = [0; HEAD_MAX];
        while let Some(tx) = self.transfer.render(self.now, all.len(), &mut head) {
            let mut datagram = head[..tx.head].to_vec();
            let (at, len) = (tx.body.offset, tx.body.len);
            let file = self.disk.kept();
            datagram.extend(&file[at.try_into().unwrap()..(at + len).try_into().unwrap()]);
            all.push(datagram);
        }
        assert_eq!(all.is_empty(), !self.transfer.want().write, "it says what it wants to say");
        self.transfer.sent(self.now, all.len());
        all
    }

    /// It says one datagram.
    pub(super) fn says_one(&mut self) -> Vec<u8> {
        let mut all = self.says();
        assert_eq!(all.len(), 1, "{all:?}");
        all.pop().unwrap()
    }

    /// It says nothing.
    pub(super) fn is_silent(&mut self) {
        let all = self.says();
        assert!(all.is_empty(), "{all:?}");
    }

    /// Time passes, with the ticks that are due in it.
    pub(super) fn waits(&mut self, us: u64) {
        let until = self.now.after(us);
        while let Wake::At(at) = self.transfer.want().wake
            && at <= until
        {
            self.now = at;
            self.transfer.tick(at);
        }
        self.now = until;
    }

    /// Until its timer is due.
    pub(super) fn waits_for_its_timer(&mut self) {
        let us = self.transfer.want().wake.wait_us(self.now).expect("a timer");
        self.waits(us);
    }

    /// How it ended, if it did.
    pub(super) fn how(&self) -> Option<Result<(), Fault>> {
        match self.transfer.want().close {
            Close::Done(how) => Some(how),
            Close::Open | Close::WriteHalf => None,
        }
    }
}

/// After the first answer of a server, copies of its request come.
fn answers_a_copy_only_late(server: impl Transfer, request: &[u8]) {
    let mut rig = Rig::new(server, image(700));
    assert_eq!(rig.hears(request), Heard::Taken);
    let first = rig.says_one();
    for (us, is_answered) in [(0, false), (REQUEST_COPIES_US - 1, false), (1, true), (1, false)] {
        rig.waits(us.into());
        assert_eq!(rig.hears(request), Heard::Taken, "{us} {request:?}");
        let again = if is_answered { std::vec![first.clone()] } else { std::vec![] };
        assert_eq!(rig.says(), again, "{us} {request:?}");
    }
}

#[test]
fn a_copy_of_a_request_draws_no_answer_just_behind_the_first_one() {
    let config = Config { writes: true, ..Config::DEFAULT };
    for options in ["", "blksize\x00100\0windowsize\x008\0"] {
        for word in [1, 2] {
            let request = [&[0, word][..], b"image\0octet\0", options.as_bytes()].concat();
            answers_a_copy_only_late(TftpServer::<16>::new(config), &request);
        }
    }
    answers_a_copy_only_late(XferServer::<16>::new(Timing::SERVER), b"\0\0\0\x01image\0");
}
