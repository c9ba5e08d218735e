//! Work that hangs, work of jobs that are gone, a loop that is gone.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use super::*;
use crate::sys::clock;
use crate::sys::poll::wait_for_input;

/// A failure ends by then.
const PATIENCE: Duration = Duration::from_secs(30);

fn helpers() -> Helpers<u32> {
    Helpers::new().unwrap()
}

/// Waits for the bell, and takes what it rang for.
fn answers(helpers: &Helpers<u32>, count: usize) -> Vec<u32> {
    let mut all = Vec::new();
    while all.len() < count {
        let [rang, ..] = wait_for_input([Some(helpers.bell()), None, None], Some(30_000_000));
        assert!(rang, "the bell is silent after {} answers", all.len());
        all.extend(helpers.answers().into_iter().map(|(_, answer)| answer));
    }
    all.sort_unstable();
    all
}

/// Asks for work that begins, says so, and hangs until it is told to end.
fn hang(helpers: &Helpers<u32>) -> (Ticket, Receiver<()>, Sender<()>) {
    let ((begun, has_begun), (end, ended)) = (channel(), channel::<()>());
    let ticket = helpers.ask(move || {
        begun.send(()).unwrap();
        ended.recv_timeout(PATIENCE).unwrap();
        0
    });
    (ticket, has_begun, end)
}

#[test]
fn work_that_hangs_holds_up_one_helper() {
    let helpers = helpers();
    let (_ticket, begun, end) = hang(&helpers);
    begun.recv_timeout(PATIENCE).unwrap();
    let tickets: Vec<_> = (1..=100).map(|n| helpers.ask(move || n)).collect();
    assert_eq!(answers(&helpers, 100), (1..=100).collect::<Vec<_>>());
    end.send(()).unwrap();
    assert_eq!(answers(&helpers, 1), [0]);
    drop(tickets);
}

#[test]
fn what_a_job_asked_for_that_is_gone_is_not_done() {
    let helpers = helpers();
    let hung: Vec<_> = (0..THREADS_MAX).map(|_| hang(&helpers)).collect();
    for (_, begun, _) in &hung {
        begun.recv_timeout(PATIENCE).unwrap();
    }
    for _ in 0..1000 {
        drop(helpers.ask(|| unreachable!("no job holds its ticket")));
    }
    assert!(helpers.shared.lock().queue.len() < 100, "requests of jobs that are gone pile up");
    let _ticket = helpers.ask(|| 7);
    for (_, _, end) in &hung {
        end.send(()).unwrap();
    }
    let expected = [&[0; THREADS_MAX][..], &[7]].concat();
    assert_eq!(answers(&helpers, THREADS_MAX + 1), expected);
}

#[test]
fn helpers_end_with_their_loop() {
    let helpers = helpers();
    let _ticket = helpers.ask(|| 1);
    assert_eq!(answers(&helpers, 1), [1]);
    let shared = Arc::downgrade(&helpers.shared);
    drop(helpers);
    let until = clock::now().after(30_000_000);
    while shared.strong_count() > 0 && clock::now() < until {
        std::thread::yield_now();
    }
    assert_eq!(shared.strong_count(), 0, "a helper is left");
}
