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
