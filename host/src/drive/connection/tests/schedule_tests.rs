//! Any order of sends, reads, events and turns.

use proptest::prelude::*;

use super::*;
use crate::sys::epoll::Epoll;

/// One step of the world around a connection.
#[derive(Debug, Clone)]
enum Step {
    PeerSends(usize),
    PeerReads(usize),
    /// The loop gives a turn, if it has a reason.
    Turn,
    /// An event that says nothing true; epoll promises none of its events to be.
    FalseEvent(bool, bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (1..60_000_usize).prop_map(Step::PeerSends),
        2 => (1..60_000_usize).prop_map(Step::PeerReads),
        4 => Just(Step::Turn),
        1 => any::<(bool, bool)>().prop_map(|(read, write)| Step::FalseEvent(read, write)),
    ];
    proptest::collection::vec(step, 0..80)
}

/// A loop around one connection: how events reach it, and what it waits for.
struct Driver {
    /// `Some`: edge-triggered.
    epoll: Option<Epoll>,
    next: Next,
    /// Edge-triggered: there is a reason for a turn.
    promised: bool,
}

impl Driver {
    fn new(rig: &Rig<Upper>, edge: bool) -> Self {
        let epoll = edge.then(|| {
            let epoll = Epoll::new().unwrap();
            epoll.add_edge(&rig.connection, Token { index: 0, generation: 0 }).unwrap();
            epoll
        });
        Self { epoll, next: Next::Wait(Interest::READ), promised: true }
    }

    /// Gives a turn if there is a reason. Whether there was.
    fn drive(&mut self, rig: &mut Rig<Upper>) -> bool {
        let ready = match (&mut self.epoll, self.next) {
            (_, Next::Closed(_)) => return false,
            (Some(epoll), _) => {
                for index in 0..epoll.wait(Some(0)).unwrap() {
                    rig.connection.note(epoll.event(index).1);
                    self.promised = true;
                }
                if !std::mem::take(&mut self.promised) {
                    return false;
                }
                Ready::NONE
            }
            (None, Next::Again) => look(&rig.connection, Interest::READ),
            (None, Next::Wait(interest)) => match look(&rig.connection, interest) {
                Ready::NONE => return false,
                ready => ready,
            },
        };
        self.next = rig.turn(ready);
        self.promised = self.next == Next::Again;
        true
    }
}

fn any_schedule_keeps_the_stream(
    steps: Vec<Step>,
    edge: bool,
    input: usize,
    budget: usize,
) -> Result<(), TestCaseError> {
    let bytes = pattern(80 * 60_000);
    let mut rig = Rig::new(unix_pair(), Upper::new(), buffers(input, 16, budget, None));
    let mut driver = Driver::new(&rig, edge);
    let (mut sent, mut heard) = (0, Vec::new());
    for step in steps {
        match step {
            Step::PeerSends(n) => sent += rig.try_say(&bytes[sent..sent + n]),
            Step::PeerReads(n) => {
                let mut buf = vec![0; n];
                if let Ok(Read::Moved(n)) = rig.peer.recv(&mut buf) {
                    heard.extend_from_slice(&buf[..n.get()]);
                }
            }
            Step::Turn => {
                driver.drive(&mut rig);
            }
            Step::FalseEvent(read, write) => {
                rig.connection.note(Ready { read, write, ..Ready::NONE });
            }
        }
    }
    rig.peer.shutdown_write();
    while !matches!(driver.next, Next::Closed(_)) {
        let (more, _) = rig.hear();
        let moved = driver.drive(&mut rig) || !more.is_empty();
        heard.extend(more);
        prop_assert!(moved, "stranded after {} of {sent} bytes", heard.len());
    }
    heard.extend(rig.hear().0);
    prop_assert_eq!(driver.next, Next::Closed(Ok(())));
    prop_assert!(heard == bytes[..sent].to_ascii_uppercase(), "{} of {} bytes", heard.len(), sent);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn level_triggered_any_schedule_keeps_the_stream(
        steps in steps(), input in 1..20_000_usize, budget in 1..100_000_usize,
    ) {
        any_schedule_keeps_the_stream(steps, false, input.max(64), budget)?;
    }

    #[test]
    fn edge_triggered_any_schedule_keeps_the_stream(
        steps in steps(), input in 1..20_000_usize, budget in 1..100_000_usize,
    ) {
        any_schedule_keeps_the_stream(steps, true, input.max(64), budget)?;
    }
}
