//! What is drawn, as text, on terminals of several sizes.

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Cell;

use super::*;
use crate::client::top::model::Key;
use crate::status::{Counters, Limits, Queue};

fn at(seconds: u64) -> Instant {
    Instant::from_micros(seconds * 1_000_000)
}

fn worker(slot: u16, state: State) -> WorkerStatus {
    WorkerStatus {
        slot,
        epoch: 1,
        pid: 100 + u32::from(slot),
        state,
        client: state == State::Busy,
        since_us: 2_500_000,
        requests: u64::from(slot) * 10,
        cpu_us: Some(12_000),
        private_bytes: Some(64 * 1024),
    }
}

fn status(seconds: u64, connections: u64) -> Status {
    Status {
        pid: 99,
        service: "upper".into(),
        model: "prefork".into(),
        address: "tcp:127.0.0.1:9527".into(),
        uptime_us: seconds * 1_000_000,
        limits: Limits { max_workers: 6, ..Limits::default() },
        counters: Counters { connections, spawned: 5, crashed: 1, ..Counters::default() },
        queue: Some(Queue { waiting: 2, limit: 128 }),
        workers: [State::Idle, State::Busy, State::Starting, State::Draining, State::Killed]
            .into_iter()
            .zip(0..)
            .map(|(state, slot)| worker(slot, state))
            .collect(),
        ..Status::default()
    }
}

/// Lines of the screen, without the blanks at their ends.
fn screen(model: &mut Model, width: u16, height: u16, now: Instant) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, model, now)).unwrap();
    let cells = terminal.backend().buffer().content();
    let line = |cells: &[Cell]| cells.iter().map(Cell::symbol).collect();
    let lines = cells.chunks(usize::from(width)).map(line);
    lines.map(|line: String| line.trim_end().to_owned()).collect()
}

fn model() -> Model {
    let mut model = Model::new();
    for (second, connections) in [(60, 0), (61, 10), (62, 50), (63, 70)] {
        model.take(at(second), Ok(status(second, connections)));
    }
    model
}

#[test]
fn everything_is_on_a_usual_terminal() {
    let lines = screen(&mut model(), 80, 24, at(63));
    let expected = [
        "upper prefork  tcp:127.0.0.1:9527  pid 99  up 1m 3s  generation 0",
        "connections  70 served  0 redispatched  0 lost  0 shed",
        "workers      5 started  1 crashed  0 killed  0 not started  0 reloads",
        "20.0/s  at most 40/s  busy 1 of 5  accept queue 2 of 128",
        "  █",
        "  █▄",
        " ▆██",
        ".XSDK_",
        "slot  epoch  pid      state     for      served       cpu       private",
        "0     1      100      idle      2.5s     0            12ms      64 KiB",
        "1     1      101      busy      2.5s     10           12ms      64 KiB",
        "2     1      102      starting  2.5s     20           12ms      64 KiB",
        "3     1      103      draining  2.5s     30           12ms      64 KiB",
        "4     1      104      killed    2.5s     40           12ms      64 KiB",
    ];
    assert_eq!(lines[..expected.len()], expected, "{lines:#?}");
    assert_eq!(lines[23], "q quit  p pause  s sort (by slot)  arrows scroll");
}

#[test]
fn a_small_terminal_shows_what_fits_and_scrolls() {
    let mut model = model();
    model.press(Key::Down(1));
    let lines = screen(&mut model, 40, 9, at(63));
    assert_eq!(lines[4], ".XSDK_");
    assert!(lines[6].starts_with("1    1    101  busy"), "{lines:#?}");
    assert!(lines[7].starts_with("2    1    102  start"), "{lines:#?}");
    // No size is too small, and none too large.
    for (width, height) in [(1, 1), (1, 50), (1024, 1), (3, 2), (5, 8), (300, 3), (300, 200)] {
        screen(&mut model, width, height, at(63));
    }
}

#[test]
fn a_wide_pool_wraps() {
    let mut model = Model::new();
    let limits = Limits { max_workers: 25, ..Limits::default() };
    let workers = (0..25).map(|slot| worker(slot, State::Idle)).collect();
    model.take(at(1), Ok(Status { limits, workers, ..Status::default() }));
    let lines = screen(&mut model, 10, 12, at(1));
    assert_eq!(lines[4..7], ["..........", "..........", "....."]);
}

#[test]
fn a_missing_server_is_waited_for() {
    let mut model = Model::new();
    assert_eq!(screen(&mut model, 40, 4, at(0))[2], "asking");
    model.take(at(1), Err("connection refused".into()));
    let lines = screen(&mut model, 60, 4, at(3));
    assert_eq!(lines[2], "gone for 2.0s, waiting for it: connection refused");
    model.take(at(4), Ok(status(1, 7)));
    model.take(at(5), Err("connection refused".into()));
    let lines = screen(&mut model, 80, 20, at(5));
    assert!(lines[1].contains("7 served"), "what was seen last stays: {lines:#?}");
    assert!(lines[3].starts_with("-/s"), "and there is no rate: {lines:#?}");
    assert_eq!(lines[19], "gone for 0us, waiting for it: connection refused");
    model.press(Key::Pause);
    model.take(at(6), Ok(status(2, 8)));
    assert!(screen(&mut model, 80, 20, at(6))[19].starts_with("PAUSED  q quit"));
}

#[test]
fn what_a_server_says_moves_no_cursor() {
    let mut model = Model::new();
    model.take(at(1), Ok(Status { service: "\u{1b}[2Jx\r\n".into(), ..status(1, 1) }));
    let lines = screen(&mut model, 80, 20, at(1));
    assert!(!lines.concat().contains(char::is_control), "{lines:#?}");
}
