//! Printed text: no control sequences for a terminal except our own where they are wanted, and no
//! panic when printing fails.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::unix::ffi::OsStrExt;

use nix::sys::signal::Signal;
use windlass_tests::{Model, PATIENCE, Pty, proc, serve, windlass, within};

const PROGRAM: &str = env!("CARGO_BIN_EXE_windlass-under-test");

fn full() -> File {
    File::options().write(true).open("/dev/full").expect("/dev/full")
}

/// A measurement that is over at once.
const BENCH: &str = "bench --rounds 1 --seconds 0.05 --connections 1 --sizes 8 --models epoll";

#[test]
fn what_is_asked_for_and_cannot_be_printed_is_a_failure() {
    for line in ["--help", "--version", "help", "serve --help", "time --version", "help serve"] {
        windlass!().words(line).output(full()).run().fails_with(1, &["write standard output"]);
    }
}

#[test]
fn a_full_standard_error_changes_no_exit_code() {
    for (line, code) in [
        ("frobnicate", 2),
        ("", 2),
        ("time unix:/no/such/socket", 1),
        ("serve upper --listen unix:/no/such/folder/socket", 1),
        ("--help", 0),
        (BENCH, 0),
    ] {
        let outcome = windlass!().words(line).errors(full()).run();
        assert_eq!(outcome.code, Some(code), "{line}: {outcome}");
    }
}

#[test]
fn a_server_serves_while_its_log_is_full() {
    let server = serve!("echo", Model::Prefork)
        .under(&["sh", "-c", "exec \"$@\" 2>/dev/full", "sh"])
        .start();
    let outcome = windlass!("talk", server.address()).feed(windlass_tests::Feed::Pipe(b"x".into()));
    let outcome = outcome.run();
    outcome.succeeds();
    assert_eq!(outcome.stdout, b"x");
    assert_eq!(server.stop().code, Some(0));
}

/// An argument that takes a terminal over, turns a line around and is no text.
fn wild(before: &str, after: &str) -> OsString {
    let mut wild = OsString::from(before);
    wild.push(OsStr::from_bytes(b"/\x1b[31m\xe2\x80\xaeb\xff\xc2\x9b2J\n"));
    wild.push(after);
    wild
}

#[test]
fn words_of_others_are_shown_and_not_obeyed() {
    let shown = r"/\u{1b}[31m\u{202e}b\xff\u{9b}2J\n";
    for program in [
        windlass!().words("serve files --listen tcp:127.0.0.1:0 --root").arg(wild("", "")),
        windlass!().words("serve files --listen tcp:127.0.0.1:0 --push").arg(wild("", "/x")),
        windlass!().words("serve --config").arg(wild("", "")),
        windlass!().words("serve --check --config").arg(wild("", "")),
        windlass!().words("fifo read").arg(wild("/no/such", "")),
    ] {
        program.run().fails_with(1, &[shown]);
    }
    // clap takes colors away by itself, and shows what is no text as a replacement character.
    let shown = r"\u{202e}b";
    for program in [
        windlass!().arg(wild("", "")),
        windlass!().words("serve").arg(wild("", "")),
        windlass!().words("time").arg(wild("tcp:", ":1")),
        windlass!().words("time").arg("tcp:/\u{1b}[31m\u{202e}b:1"),
        windlass!().words("get").arg("http://h/\u{1b}[31m\u{202e}b"),
    ] {
        let outcome = program.run();
        outcome.fails_with(2, &[]);
        assert!(outcome.stderr.trim_end().chars().all(|char| !char.is_control()), "{outcome}");
        let is_told = outcome.stderr.contains(shown) || outcome.stderr.contains("UTF-8");
        assert!(is_told && !outcome.stderr.contains('\u{202e}'), "{outcome}");
    }
}

#[test]
fn what_was_meant_is_suggested() {
    for (line, words) in [
        ("serv", &["'serv'", "a similar subcommand exists: 'serve'", "; see --help"][..]),
        ("serve upper --model epol", &["'epol'", "a similar value exists: 'epoll'"]),
        ("serve upper --lisen fd:3", &["'--lisen'", "a similar argument exists: '--listen'"]),
    ] {
        windlass!().words(line).run().fails_with(2, words);
    }
}

/// Starts the program on a terminal, with more in its environment.
fn on_a_terminal(env: &[&str], line: &str) -> Pty {
    let words = env.iter().copied().chain([PROGRAM]).chain(line.split_whitespace());
    let words: Vec<&OsStr> = words.map(OsStr::new).collect();
    Pty::start("env", &words, 24, 80)
}

#[test]
fn no_color_and_a_dumb_terminal_mean_no_escape_sequence() {
    for env in [&["NO_COLOR=1"][..], &["TERM=dumb"], &["-u", "TERM"]] {
        for (line, code) in [("--help", 0), ("frobnicate", 2), ("", 2), (BENCH, 0)] {
            let mut terminal = on_a_terminal(env, line);
            assert_eq!(terminal.wait(), Ok(code), "{env:?} {line}");
            within(PATIENCE, "something is written", || !terminal.written().is_empty());
            let written = terminal.written();
            assert!(!written.contains('\u{1b}'), "{env:?} {line}: {written:?}");
        }
        let mut server = on_a_terminal(env, "serve upper --listen tcp:127.0.0.1:0");
        server.until("listening");
        server.signal(Signal::SIGTERM);
        assert_eq!(server.wait(), Ok(0));
        assert!(!server.written().contains('\u{1b}'), "{:?}", server.written());
    }
    // Where they are wanted they are there.
    let mut terminal = on_a_terminal(&[], "--help");
    assert_eq!(terminal.wait(), Ok(0));
    within(PATIENCE, "a style", || terminal.written().contains('\u{1b}'));
}

#[test]
fn top_keeps_to_what_the_terminal_can() {
    let mut top = on_a_terminal(&["TERM=dumb"], "top /no/such/socket");
    assert_eq!(top.wait(), Ok(1));
    top.until("TERM is dumb");
    assert!(!top.written().contains('\u{1b}'), "{:?}", top.written());
    let mut top = on_a_terminal(&["NO_COLOR=1"], "top /no/such/socket");
    top.until("waiting for it");
    top.press(b"q");
    assert_eq!(top.wait(), Ok(0));
    let colors = ["\u{1b}[3", "\u{1b}[9", "\u{1b}[4"];
    let written = top.written();
    assert!(!colors.iter().any(|color| written.contains(&format!("{color}8;"))), "{written:?}");
    assert!(!written.contains("38;5;1"), "{written:?}");
}

#[test]
fn a_bench_that_is_killed_leaves_no_server() {
    let peer = format!("ours={PROGRAM} serve upper --listen tcp:127.0.0.1:0");
    let line = "bench --rounds 1 --seconds 600 --connections 1 --sizes 8 --models epoll --peer";
    let bench = windlass!().words(line).arg(peer).start();
    let pid = bench.pid();
    within(PATIENCE, "the server serves", || !proc::children(pid).is_empty());
    let servers = proc::children(pid);
    assert_eq!(bench.end_by(Signal::SIGKILL), None);
    within(PATIENCE, "its server ends", || servers.iter().all(|&pid| !proc::runs(pid)));
}
