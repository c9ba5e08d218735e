//! The CPU time of a server is that of all its processes, while they live and afterwards.

use std::process::{Command, Stdio};

use windlass::sys::account::cpu_ns;
use windlass_tests::{PATIENCE, windlass, within};

const SECOND_NS: u64 = 1_000_000_000;

#[test]
fn processor_time_of_a_child_counts_while_it_lives_and_when_it_was_reaped() {
    // The shell's own work is next to nothing: what counts is its child's.
    let mut shell = Command::new("sh")
        .args(["-c", "while :; do :; done & read x; kill $!; wait; read x"])
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("a shell");
    let pid = i32::try_from(shell.id()).expect("a pid");
    let used = || cpu_ns(pid).expect("it runs");
    within(PATIENCE, "its child's work is seen", || used() > SECOND_NS / 5);
    let seen = used();
    let mut stdin = shell.stdin.take().expect("piped");
    std::io::Write::write_all(&mut stdin, b"\n").expect("the shell reads");
    within(PATIENCE, "the child is reaped", || windlass_tests::proc::children(pid).is_empty());
    // Two fields of reaped children, each cut to 10 ms.
    assert!(used() + SECOND_NS / 25 > seen, "{} after {seen}", used());
    drop(stdin);
    shell.wait().expect("its end");
}

#[test]
fn the_bench_sees_the_workers_of_a_pool() {
    let run = windlass!("bench", "connects", "--models", "prefork,iterative")
        .words("--connections 2 --rounds 1 --seconds 0.3")
        .run();
    assert_eq!(run.code, Some(0), "{run}");
    let table = String::from_utf8(run.stdout).expect("text");
    let cost = |model: &str| -> f64 {
        let row = table.lines().find(|line| line.contains(model)).expect("a row for each");
        row.split('|').nth(4).and_then(|cell| cell.trim().parse().ok()).expect("a number")
    };
    // The parent alone does next to nothing.
    assert!(cost("prefork") > cost("iterative") / 4.0, "{table}");
}
