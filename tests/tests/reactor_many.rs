//! As many descriptors as a process may have, each delivered exactly once.
//!
//! Alone in its binary: it takes all there are.

use std::rc::Rc;
use std::time::Duration;

use windlass::reactor::{EventLoop, Watch};
use windlass::sys::event::Event;
use windlass::sys::process::raise_nofile;

#[test]
fn every_one_of_twenty_thousand_descriptors_is_delivered_once() {
    let limit = usize::try_from(raise_nofile()).expect("a number of descriptors");
    let mut events = EventLoop::new().expect("a loop");
    let mut all = Vec::new();
    while all.len() < limit {
        // Others of this process, the harness among them, have a few.
        let Ok(event) = Event::new() else { break };
        all.push(Rc::new(event));
    }
    assert!(all.len() + 100 >= limit, "{} of {limit}", all.len());
    assert!(EventLoop::<()>::new().is_err(), "there is none left");
    for (number, event) in all.iter().enumerate() {
        // Those that are level-triggered take the count, the others do not need to.
        let edge = number % 2 == 1;
        let watch = if edge { Watch::READ.edge() } else { Watch::READ };
        let call = move |event: &mut Rc<Event>, calls: &mut Vec<u32>, _: &mut _, _| {
            calls[number] += 1;
            if !edge {
                event.take();
            }
        };
        events.add(Rc::clone(event), watch, call).expect("watched");
    }
    let mut calls = vec![0; all.len()];
    for round in 1..=3 {
        for event in &all {
            event.raise();
        }
        let before = events.stats();
        let mut idle = 0;
        while idle < 2 {
            let made = events.run_once(&mut calls, Some(Duration::ZERO)).expect("a round");
            idle = if made == 0 { idle + 1 } else { 0 };
        }
        assert!(calls.iter().all(|&count| count == round), "{round}");
        let rounds = events.stats().rounds - before.rounds;
        assert!(rounds as usize <= all.len() / 128, "{rounds} rounds");
    }
    assert_eq!((events.stats().stale, events.stats().rebuilt), (0, 0));
}
