//! Every order of events of a small transfer, breadth first, over the real code: a channel in each direction
//! that loses, doubles and reorders, and timers that expire in between.
//!
//! From each state every step is taken: any datagram on its way arrives, arrives and stays on its way, or is
//! lost; or time passes to the next timer. States that differ in nothing but how long ago something was, beyond
//! near and far, are one. In each state what is kept is a prefix of the file, and no end is done before the
//! file is valid; and from each state a network that behaves well leads to the whole file.

use std::collections::HashSet;
use std::collections::VecDeque;
use std::fmt::Debug;
use std::hash::{DefaultHasher, Hash, Hasher};

use windlass_core::file::{Answer, Op};
use windlass_core::rtt::Bounds;
use windlass_core::time::{Instant, Wake};
use windlass_core::transfer::tftp::{Config, Offer, TftpGet, TftpPut, TftpServer};
use windlass_core::transfer::xfer::{XferClient, XferServer};
use windlass_core::transfer::{HEAD_MAX, Heard, REQUEST_COPIES_US, Timing, Transfer};
use windlass_core::want::Close;

/// Timeouts that do not double: how often a timer expired is no part of the state. They are longer than the time in
/// which a request is taken for a copy.
const RTO_US: u32 = 100_000;
const TIMING: Timing = Timing {
    rto: &Bounds { initial_us: RTO_US, min_us: RTO_US, max_us: RTO_US },
    give_up_us: u32::MAX,
    linger_us: 0,
};

/// What one step takes.
const STEP_US: u64 = 10_000;

/// Datagrams on their way in each direction at most; what is more is lost.
const ON_ITS_WAY: usize = 2;

/// Datagrams that arrive twice in one run at most.
const DOUBLES: u8 = 1;

#[derive(Clone, Debug)]
struct World<C, S> {
    client: C,
    server: S,
    now: Instant,
    /// To the client, and to the server.
    channels: [Vec<Vec<u8>>; 2],
    doubles: u8,
    kept: Vec<u8>,
    is_valid: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    Arrives { to: usize, nth: usize, stays: bool },
    Lost { to: usize, nth: usize },
    Timer,
}

/// What does not change: how a server is made, and the file.
struct Setting<S> {
    fresh: fn() -> S,
    file: &'static [u8],
    is_upload: bool,
}

impl<C: Transfer + Clone + Debug, S: Transfer + Clone + Debug> World<C, S> {
    fn new(client: C, setting: &Setting<S>) -> Self {
        let mut world = Self {
            client,
            server: (setting.fresh)(),
            now: Instant::from_micros(1),
            channels: [Vec::new(), Vec::new()],
            doubles: DOUBLES,
            kept: Vec::new(),
            is_valid: false,
        };
        world.settle(setting);
        world
    }

    /// Storage answers at once, and what is owed leaves.
    fn settle(&mut self, setting: &Setting<S>) {
        for end in [0, 1] {
            let transfer: &mut dyn Transfer =
                if end == 0 { &mut self.client } else { &mut self.server };
            let mut head = [0; HEAD_MAX];
            while transfer.want().write {
                let tx = transfer.render(self.now, 0, &mut head).expect("it wants to write");
                let mut bytes = head[..tx.head].to_vec();
                let at = usize::try_from(tx.body.offset).unwrap();
                bytes.extend(&setting.file[at..][..usize::try_from(tx.body.len).unwrap()]);
                transfer.sent(self.now, 1);
                let channel = &mut self.channels[1 - end];
                if channel.len() < ON_ITS_WAY {
                    channel.push(bytes);
                }
            }
        }
    }

    /// Storage answers at once.
    fn store(&mut self, end: usize, setting: &Setting<S>, mut block: &[u8]) {
        let transfer: &mut dyn Transfer =
            if end == 0 { &mut self.client } else { &mut self.server };
        while transfer.want().file {
            let file = transfer.storage().expect("it waits for storage");
            let answer = match file.op().expect("it waits for an operation") {
                Op::Open(_) => Answer::Opened(setting.file.len() as u64),
                Op::Create(head) => {
                    // A server that begins anew keeps beside what is valid.
                    self.kept.truncate(usize::try_from(head.offset).unwrap());
                    Answer::Done
                }
                Op::Store(extent) => {
                    assert_eq!(extent.offset, self.kept.len() as u64, "in order");
                    // Half of it now, half of it later.
                    let n = block.len().div_ceil(2);
                    let (now, later) = block.split_at(n);
                    self.kept.extend_from_slice(now);
                    block = later;
                    Answer::Kept(n)
                }
                Op::Commit(_) => {
                    assert_eq!(self.kept, setting.file, "valid and not whole");
                    self.is_valid = true;
                    Answer::Done
                }
                op => panic!("{op:?}"),
            };
            file.answer(self.now, answer);
        }
    }

    fn hears(&mut self, to: usize, setting: &Setting<S>, datagram: &[u8]) {
        if to == 1 && self.server.want().close.is_done() {
            // The shell makes a machine for what may be a request.
            self.server = (setting.fresh)();
        }
        let transfer: &mut dyn Transfer = if to == 0 { &mut self.client } else { &mut self.server };
        if !transfer.want().read {
            return;
        }
        let at = match transfer.handle(self.now, datagram) {
            Heard::Store { at } => at,
            Heard::Replaced => {
                self.server = (setting.fresh)();
                let _ = self.server.handle(self.now, datagram);
                0
            }
            Heard::Malformed(why) => panic!("{why}"),
            Heard::Taken | Heard::Ignored | Heard::Ended { .. } => 0,
        };
        self.store(to, setting, &datagram[at..]);
    }

    fn wake(&self) -> Option<Instant> {
        match self.client.want().wake.min(self.server.want().wake) {
            Wake::At(at) => Some(at),
            Wake::Now => panic!("a wake without a time"),
            Wake::Never => None,
        }
    }

    fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        for (to, channel) in self.channels.iter().enumerate() {
            for nth in 0..channel.len() {
                steps.push(Step::Arrives { to, nth, stays: false });
                steps.push(Step::Lost { to, nth });
                if self.doubles > 0 {
                    steps.push(Step::Arrives { to, nth, stays: true });
                }
            }
        }
        if self.wake().is_some() {
            steps.push(Step::Timer);
        }
        steps
    }

    fn take(&mut self, step: Step, setting: &Setting<S>) {
        match step {
            Step::Arrives { to, nth, stays } => {
                self.now = self.now.after(STEP_US);
                let datagram = self.channels[to][nth].clone();
                if stays {
                    self.doubles -= 1;
                } else {
                    self.channels[to].remove(nth);
                }
                self.hears(to, setting, &datagram);
            }
            Step::Lost { to, nth } => {
                self.channels[to].remove(nth);
            }
            Step::Timer => {
                self.now = self.wake().unwrap_or(self.now).max(self.now);
                for transfer in [&mut self.client as &mut dyn Transfer, &mut self.server] {
                    if transfer.want().wake.is_due(self.now) {
                        transfer.tick(self.now);
                        assert!(
                            !transfer.want().wake.is_due(self.now),
                            "a tick leaves nothing due"
                        );
                    }
                }
            }
        }
        self.settle(setting);
    }

    /// What must hold in each state.
    fn check(&self, setting: &Setting<S>) {
        assert!(setting.file.starts_with(&self.kept), "other bytes: {self:?}");
        for close in [self.client.want().close, self.server.want().close] {
            // The other end is done with what it said, or is free again.
            assert!(close != Close::Done(Ok(())) || self.is_valid, "done before it was: {self:?}");
            assert!(close != Close::WriteHalf || self.is_valid, "done before it was: {self:?}");
        }
        if let Close::Done(Err(why)) = self.client.want().close {
            assert!(setting.is_upload && self.is_valid, "the client ended with {why}: {self:?}");
        }
    }

    /// With a network that behaves well the file comes. In so many steps.
    fn way_home(&self, setting: &Setting<S>) -> usize {
        let mut world = self.clone();
        for steps in 0..100 {
            if world.is_valid {
                return steps;
            }
            let to = [0, 1].into_iter().find(|&to| !world.channels[to].is_empty());
            let step = match to {
                Some(to) => Step::Arrives { to, nth: 0, stays: false },
                None => Step::Timer,
            };
            world.take(step, setting);
        }
        panic!("no way home: {self:?}");
    }

    /// States that are alike have one of these: how long ago something was, and how long a round trip takes, count
    /// as near or far, and the time of a clock does not count.
    fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        let ends = format!("{:?} {:?}", self.client, self.server);
        let mut rest = ends.as_str();
        while let Some((at, word)) = next(rest, &["Instant(", "Span(", "Rtt {"]) {
            let (before, behind) = rest.split_at(at);
            before.hash(&mut hasher);
            let end = if word == "Rtt {" { "rto_us" } else { ")" };
            let (inside, behind) = behind[word.len()..].split_once(end).expect("it ends");
            if word == "Rtt {" {
                assert!(inside.contains("srtt_8: "), "the estimate has another form: {inside}");
                // Whether something was measured.
                inside.contains("srtt_8: 0,").hash(&mut hasher);
            } else if word == "Span(" {
                let us: u32 = inside.parse().expect("a number");
                (us >= REQUEST_COPIES_US, us > 0, us == u32::MAX).hash(&mut hasher);
            }
            rest = behind;
        }
        rest.hash(&mut hasher);
        (&self.channels, self.doubles, &self.kept, self.is_valid).hash(&mut hasher);
        hasher.finish()
    }
}

/// The first of these words in the text, and where it is.
fn next<'w>(text: &str, words: &[&'w str]) -> Option<(usize, &'w str)> {
    words.iter().filter_map(|word| Some((text.find(word)?, *word))).min()
}

/// What a search found.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    states: usize,
    longest_way: usize,
}

/// States that a search visits. An interpreter gets a taste only.
const LIMIT: usize = if cfg!(miri) { 3 } else { usize::MAX };

fn explore<C: Transfer + Clone + Debug, S: Transfer + Clone + Debug>(
    client: C,
    setting: &Setting<S>,
) -> Found {
    let first = World::new(client, setting);
    let mut seen = HashSet::from([first.fingerprint()]);
    let mut queue = VecDeque::from([first]);
    let mut longest_way = 0;
    while let Some(world) = queue.pop_front() {
        world.check(setting);
        longest_way = longest_way.max(world.way_home(setting));
        for step in world.steps() {
            let mut next = world.clone();
            next.take(step, setting);
            if seen.len() < LIMIT && seen.insert(next.fingerprint()) {
                queue.push_back(next);
            }
        }
    }
    Found { states: seen.len(), longest_way }
}

/// A search goes through all that there is: so many states, and none is further from the whole file. A change of
/// a rule changes the numbers: look whether it is the change that was meant.
fn search<C: Transfer + Clone + Debug, S: Transfer + Clone + Debug>(
    client: C,
    setting: &Setting<S>,
    states: usize,
    longest_way: usize,
) {
    let found = explore(client, setting);
    if LIMIT == usize::MAX && !is_full() {
        assert_eq!(found, Found { states, longest_way });
    }
}

fn offer(window: Option<u16>) -> Offer {
    Offer { block: Some(8), window, ..Offer::NONE }
}

/// Whether a longer file is searched, for minutes: `WINDLASS_SEARCH=full`.
fn is_full() -> bool {
    std::env::var_os("WINDLASS_SEARCH").is_some()
}

/// The file of the windows.
fn long() -> &'static [u8] {
    if is_full() { b"0123456789abcdefg" } else { b"0123456789a" }
}

fn tftp() -> TftpServer<8> {
    TftpServer::new(Config { timing: TIMING, writes: true, ..Config::DEFAULT })
}

#[test]
fn stop_and_wait_of_xfer() {
    let setting =
        Setting { fresh: || XferServer::<8>::new(TIMING), file: b"whole", is_upload: false };
    search(XferClient::new(b"image", &TIMING), &setting, 14_380, 10);
}

#[test]
fn stop_and_wait_of_a_download() {
    let setting = Setting { fresh: tftp, file: b"0123456789a", is_upload: false };
    search(TftpGet::new(b"image", offer(None), &TIMING), &setting, 75_015, 11);
}

#[test]
fn stop_and_wait_of_an_upload() {
    let setting = Setting { fresh: tftp, file: b"0123456789a", is_upload: true };
    let client = TftpPut::new(b"image", 11, offer(None), &TIMING);
    search(client, &setting, 28_236, 10);
}

#[test]
fn a_window_of_two_blocks_of_a_download() {
    let setting = Setting { fresh: tftp, file: long(), is_upload: false };
    search(TftpGet::new(b"image", offer(Some(2)), &TIMING), &setting, 245_003, 10);
}

#[test]
fn a_window_of_two_blocks_of_an_upload() {
    let setting = Setting { fresh: tftp, file: long(), is_upload: true };
    let client = TftpPut::new(b"image", setting.file.len() as u64, offer(Some(2)), &TIMING);
    search(client, &setting, 93_234, 9);
}
