//! Lines of threads and of processes that end.

use super::*;

fn ledger() -> Ledger {
    Ledger::new().unwrap()
}

#[test]
fn the_next_owner_of_a_line_goes_on_where_the_last_one_stopped() {
    let ledger = ledger();
    for round in 1..=3 {
        let line = ledger.join();
        assert_eq!(line, 1);
        ledger.writer(line).add(Count::Begun, 1);
        ledger.writer(line).add(Count::Served, 1);
        assert_eq!(ledger.seats().map(|seat| seat.ended).collect::<Vec<_>>(), [1]);
        ledger.leave(line);
        assert_eq!((ledger.totals().served, ledger.totals().now()), (round, 0));
        assert_eq!(ledger.seats().count(), 0);
    }
}

#[test]
fn what_a_thread_leaves_unfinished_was_aborted() {
    let ledger = ledger();
    let line = ledger.join();
    ledger.writer(line).add(Count::Begun, 2);
    assert_eq!(ledger.totals().now(), 2);
    ledger.leave(line);
    assert_eq!((ledger.totals().aborted, ledger.totals().now()), (2, 0));
}

#[test]
fn when_no_line_is_free_many_threads_share_one_and_lose_no_count() {
    let ledger = ledger();
    let lines: Vec<_> = (1..LINES).map(|_| ledger.join()).collect();
    assert!(lines.iter().all(|&line| line > 0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let line = ledger.join();
                assert_eq!(line, 0);
                for _ in 0..1000 {
                    ledger.writer(line).add(Count::BytesIn, 3);
                    ledger.writer(line).duration(70);
                }
                ledger.leave(line);
            });
        }
    });
    let totals = ledger.totals();
    assert_eq!((totals.bytes_in, totals.duration.counts[1]), (12_000, 4000));
    assert_eq!(totals.duration.sum_us, 280_000);
    ledger.leave(lines[7]);
    assert_eq!(ledger.join(), lines[7]);
}

#[test]
fn many_threads_take_and_leave_lines_and_every_count_is_there() {
    let ledger = ledger();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..500 {
                    let line = ledger.join();
                    ledger.writer(line).add(Count::Begun, 1);
                    ledger.writer(line).add(Count::Reset, 1);
                    ledger.leave(line);
                }
            });
        }
    });
    assert_eq!((ledger.totals().reset, ledger.totals().now()), (4000, 0));
}

/// What a process that serves did until it was killed.
fn kill(ledger: &Ledger, does: impl FnOnce(Writer<'_>)) {
    let line = ledger.join();
    does(ledger.writer(line));
    // The test's own number: it is settled for by name.
    ledger.settle(std::process::id().cast_signed(), Left::Lost);
}

#[test]
fn a_client_that_was_accepted_and_not_begun_with_is_lost_with_its_process() {
    let ledger = ledger();
    for round in 1..=3 {
        kill(&ledger, |line| {
            line.add(Count::Accepted, 3);
            line.add(Count::Begun, 2);
            line.add(Count::Served, 1);
        });
        let totals = ledger.totals();
        assert_eq!((totals.accepted, totals.begun, totals.lost), (3 * round, 3 * round, 2 * round));
    }
    // The next owner begins with a client that another process accepted.
    ledger.add(Count::Accepted, 1);
    kill(&ledger, |line| line.add(Count::Begun, 1));
    let totals = ledger.totals();
    assert_eq!((totals.accepted, totals.begun, totals.lost), (10, 10, 7));
}

#[test]
fn clients_that_waited_are_settled_when_no_process_is_left() {
    let ledger = ledger();
    ledger.add(Count::Accepted, 5);
    ledger.add(Count::Unserved, 1);
    kill(&ledger, |line| line.add(Count::Begun, 1));
    assert_eq!(ledger.totals().waiting(), 3);
    ledger.settle_rest(Left::Lost);
    ledger.settle_rest(Left::Lost);
    let totals = ledger.totals();
    assert_eq!((totals.waiting(), totals.begun, totals.lost), (0, 4, 4));
    ledger.add(Count::Accepted, 1);
    ledger.settle_rest(Left::Stopped);
    assert_eq!((ledger.totals().aborted, ledger.totals().lost), (1, 4));
}

/// One thread accepts, and another one serves what it accepted.
#[test]
fn sums_that_are_made_meanwhile_have_no_end_without_its_beginning() {
    let ledger = ledger();
    let (accepts, serves) = (ledger.join(), ledger.join());
    let is_over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (sender, receiver) = std::sync::mpsc::sync_channel(16);
        scope.spawn(|| {
            for () in receiver {
                ledger.writer(serves).add(Count::Begun, 1);
                ledger.writer(serves).add(Count::Served, 1);
            }
            is_over.store(true, Relaxed);
        });
        scope.spawn({
            let ledger = &ledger;
            move || {
                for nth in 0..100_000 {
                    ledger.writer(accepts).add(Count::Accepted, 1);
                    if nth % 2 == 0 {
                        ledger.writer(accepts).add(Count::Begun, 1);
                        ledger.writer(accepts).add(Count::Served, 1);
                    } else {
                        sender.send(()).unwrap();
                    }
                }
            }
        });
        while !is_over.load(Relaxed) {
            let totals = ledger.totals();
            let (accepted, begun, ended) = (totals.accepted, totals.begun, totals.ended());
            assert!(ended <= begun && begun <= accepted, "{accepted} {begun} {ended}");
        }
    });
    let totals = ledger.totals();
    assert_eq!((totals.accepted, totals.begun, totals.ended()), (100_000, 100_000, 100_000));
}
