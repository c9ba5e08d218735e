//! Each example runs to its end, and its output is as it claims.
//!
//! `cargo test --workspace` builds them, beside the tests. A child that an example left behind would
//! hold its standard output open, and [`Program::run`] would not return.

use std::fs::File;
use std::io::{Seek, Write};
use std::path::PathBuf;

use windlass_tests::{Feed, Program, has};

/// Where cargo puts examples: `target/PROFILE/examples`, beside the `deps` that this program is in.
fn built(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the path of this test");
    let profile = test.ancestors().nth(2).expect("it is in target/PROFILE/deps");
    let path = profile.join("examples").join(name);
    assert!(
        path.is_file(),
        "{} is missing: run `cargo test --workspace`, or first \
         `cargo build --package windlass --examples`",
        path.display()
    );
    path
}

/// Runs an example to its end, and returns what it printed.
#[track_caller]
fn output_of(name: &str, feed: Feed) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let outcome = Program::new("env")
        .arg(format!("TMPDIR={}", folder.path().display()))
        .arg(built(name))
        .feed(feed)
        .run();
    outcome.succeeds();
    let left: Vec<_> = folder.path().read_dir().expect("the folder").flatten().collect();
    assert!(left.is_empty(), "{name} left {left:?} behind");
    String::from_utf8(outcome.stdout).expect("text")
}

/// Runs an example, which is to print each of these lines.
#[track_caller]
fn prints(name: &str, lines: &[&str]) {
    let output = output_of(name, Feed::Nothing);
    for line in lines {
        assert!(output.lines().any(|printed| printed == *line), "no {line:?} in:\n{output}");
    }
}

/// The number behind `words`.
#[track_caller]
fn number(output: &str, words: &str) -> u64 {
    let (_, rest) = output.split_once(words).unwrap_or_else(|| panic!("no {words:?}:\n{output}"));
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
    digits.parse().unwrap_or_else(|_| panic!("no number behind {words:?}:\n{output}"))
}

#[test]
fn each_example_has_a_test() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../host/examples");
    for entry in std::fs::read_dir(folder).expect("host/examples").flatten() {
        let path = entry.path();
        let name = path.file_stem().and_then(|name| name.to_str()).expect("a name");
        assert!(include_str!("examples.rs").contains(&format!("\"{name}\"")), "no test of {name}");
    }
}

#[test]
fn the_program_in_reactor_md_is_the_one_that_is_compiled() {
    let page = include_str!("../../docs/REACTOR.md");
    let module = include_str!("../../host/src/reactor/mod.rs");
    let (_, block) = page.split_once("```rust\n").expect("a program");
    let (block, _) = block.split_once("```").expect("its end");
    // In the module's documentation, hidden lines stand between them.
    let mut lines = module.lines();
    for line in block.lines() {
        let documented = format!("//! {line}");
        let found = lines.any(|there| there == documented.trim_end());
        assert!(found, "not in the module's documentation, or not in its place: {line}");
    }
}

#[test]
fn alarm_has_a_deadline_and_ticks_that_do_not_drift() {
    let output = output_of("alarm", Feed::Nothing);
    assert!(output.contains("the deadline cut it off, "), "{output}");
    assert_eq!(number(&output, "every: the next tick is "), 0, "{output}");
    assert!(number(&output, "every: ten ticks took ") >= 100, "{output}");
    // 10 ms before each of ten pieces of work that take 3.
    assert!(number(&output, "set again after each call: they took ") >= 130, "{output}");
}

#[test]
fn echo_answers_each_message_however_it_came() {
    prints("echo", &["1: ONE", "2: TWO", "3: THREE", "4: FOUR", "messages: 4"]);
}

#[test]
fn fifo_hears_every_writer_and_does_not_spin_between_them() {
    let output = output_of("fifo", Feed::Nothing);
    let messages = r#"messages: ["hello", "hello again", "and again", "goodbye"]"#;
    assert!(output.contains(messages), "{output}");
    assert!(number(&output, "rounds of the loop: ") < 50, "{output}");
}

#[test]
fn gather_goes_on_where_a_short_write_stopped() {
    prints("gather", &["helloworld", "as they were sent: true"]);
    let output = output_of("gather", Feed::Nothing);
    assert!(number(&output, "16777223 bytes in ") >= 2, "{output}");
}

#[test]
fn half_close_ends_one_direction_and_shutdown_ends_all_holders() {
    prints(
        "half_close",
        &[
            "closed here, held there: ended: false",
            "shut down here, held there: ended: true",
            "closed by the last holder: ended: true",
            "half-closed: 9 bytes came",
        ],
    );
}

#[test]
fn pass_fd_gives_a_child_the_same_open_file() {
    prints(
        "pass_fd",
        &[
            "client: hello from the child",
            "parent: the offset is 11",
            "the child exited with status 0",
            r#"the file holds "nihao world""#,
        ],
    );
    let output = output_of("pass_fd", Feed::Nothing);
    let [parents, childs] = ["parent: the file is ", "child: the file is "];
    assert_ne!(number(&output, parents), number(&output, childs), "{output}");
}

#[test]
fn pipe_ends_when_the_last_copy_is_closed() {
    prints(
        "pipe",
        &[
            "the child exited with status 0",
            "a copy of its pipe is open, and the end was seen: false",
            "the end came behind 1048576 upper-case bytes",
        ],
    );
}

#[test]
fn reap_reports_every_child_and_leaves_no_zombie() {
    prints(
        "reap",
        &[
            "child 0 exited with status 0",
            "child 8 exited with status 8",
            "child 9 was killed by SIGKILL",
            "10 children were reported, 1 of them killed",
            "SIGCHLD came less often: true",
            "zombies left: 0",
        ],
    );
}

#[test]
fn reset_loses_what_a_lingering_close_does_not() {
    prints(
        "reset",
        &[
            "closed: a part is lost, Connection reset by peer (os error 104)",
            "closed by the loop: all of it came: true",
        ],
    );
}

#[test]
fn stdin_is_read_to_its_end_whatever_it_is() {
    let text = b"half a page\n".repeat(100_000);
    let counted = "1200000 bytes, 100000 lines, 1 end\n";
    let file = |bytes: &[u8]| {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(bytes).and_then(|()| file.rewind()).expect("write the file");
        Feed::File(file)
    };
    let null = || Feed::File(File::open("/dev/null").expect("/dev/null"));
    for (what, feed, expected) in [
        ("nothing", null(), "0 bytes, 0 lines, 1 end\n"),
        ("an empty pipe", Feed::Pipe(Vec::new()), "0 bytes, 0 lines, 1 end\n"),
        ("an empty file", file(b""), "0 bytes, 0 lines, 1 end\n"),
        ("a pipe without a last LF", Feed::Pipe(b"a\nb".to_vec()), "3 bytes, 1 lines, 1 end\n"),
        ("a file", file(&text), counted),
        ("a pipe", Feed::Pipe(text.clone()), counted),
    ] {
        assert_eq!(output_of("stdin", feed), expected, "{what}");
    }
}

#[test]
fn stdin_may_be_a_terminal() {
    // script(1) gives it one, and types what it reads itself.
    if !has("script") {
        return;
    }
    let outcome = Program::new("script")
        .words("--quiet --return --echo never --log-out /dev/null --command")
        .arg(built("stdin"))
        .feed(Feed::Pipe(b"typed\n".to_vec()))
        .run();
    let output = String::from_utf8_lossy(&outcome.stdout);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert!(output.contains("6 bytes, 1 lines, 1 end"), "{output:?}");
}
