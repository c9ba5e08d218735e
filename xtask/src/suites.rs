//! Runs every test program of the workspace and prints a line with the result of each.
//!
//! `cargo test` prints a line for each of more than a thousand tests, and what failed is somewhere among
//! them. Here the output of a suite is kept in a file and shown only if the suite failed, after all
//! others have run.

use std::collections::VecDeque;
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::run::{Result, captured, cargo, output, root};

/// A suite that takes longer than this hangs. The slowest one takes half a minute on a machine at rest.
const SUITE_MAX: Duration = Duration::from_secs(900);

/// A test program.
struct Suite {
    name: String,
    command: Command,
    /// What repeats it alone.
    repeat: String,
}

/// The result of one program.
struct Outcome {
    name: String,
    repeat: String,
    /// Tests that passed, as the program counted them.
    passed: usize,
    took: Duration,
    /// What it printed, if it failed.
    failure: Option<String>,
}

/// Suites that run side by side. Many tests wait, for a deadline or for another process: two suites use
/// the time in which one waits.
const AT_ONCE: usize = 2;

/// Builds the tests, runs all suites with these environment variables, and sums up.
pub(crate) fn run_all(variables: &[(&str, &str)]) -> Result<()> {
    println!("building the tests");
    let begin = Instant::now();
    let mut suites = built()?;
    let built = begin.elapsed();
    let mut examples = cargo();
    examples.args(["test", "--workspace", "--doc", "--no-fail-fast", "--quiet"]);
    let repeat = "cargo test --workspace --doc".to_owned();
    suites.push_front(Suite { name: "examples in comments".into(), command: examples, repeat });
    for suite in &mut suites {
        suite.command.envs(variables.iter().copied());
    }
    let count = suites.len();
    println!("built in {:.0} s; running {count} suites\n", built.as_secs_f64());
    println!("result      time   tests  suite");

    let begin = Instant::now();
    let (queue, outcomes) = (Mutex::new(suites), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().ok().and_then(|mut queue| queue.pop_front());
                    let Some(suite) = next else { return };
                    let outcome = perform(suite);
                    println!("{}", line(&outcome));
                    if let Ok(mut outcomes) = outcomes.lock() {
                        outcomes.push(outcome);
                    }
                }
            });
        }
    });
    let outcomes = outcomes.into_inner().map_err(|_| "a thread of the run panicked".to_owned())?;
    sum_up(&outcomes, begin.elapsed())
}

/// Prints what failed, and how it all went.
fn sum_up(outcomes: &[Outcome], took: Duration) -> Result<()> {
    let failed: Vec<_> = outcomes.iter().filter(|outcome| outcome.failure.is_some()).collect();
    for outcome in &failed {
        println!("\n-- {} --\n{}", outcome.name, outcome.failure.as_deref().unwrap_or_default());
    }
    let passed: usize = outcomes.iter().map(|outcome| outcome.passed).sum();
    println!("\n{passed} tests passed, in {:.0} s", took.as_secs_f64());
    if failed.is_empty() {
        return Ok(());
    }
    for outcome in &failed {
        println!("FAILED  {}; to repeat it: {}", outcome.name, outcome.repeat);
    }
    Err(format!("{} of {} suites failed", failed.len(), outcomes.len()))
}

fn line(outcome: &Outcome) -> String {
    let result = if outcome.failure.is_some() { "FAILED" } else { "ok" };
    let seconds = outcome.took.as_secs_f64();
    format!("{result:6} {seconds:7.1} s {:7}  {}", outcome.passed, outcome.name)
}

/// Has cargo build all tests, and takes from its messages where they are.
fn built() -> Result<VecDeque<Suite>> {
    let messages = output(cargo().args([
        "test",
        "--workspace",
        "--no-run",
        "--message-format=json-render-diagnostics",
    ]))?;
    let mut suites = VecDeque::new();
    for message in messages.lines() {
        let message: Value = serde_json::from_str(message)
            .map_err(|error| format!("cargo prints what is no JSON: {error}: {message}"))?;
        suites.extend(suite(&message));
    }
    Ok(suites)
}

/// The suite that a message of cargo tells of.
fn suite(message: &Value) -> Option<Suite> {
    if message["reason"] != "compiler-artifact" || message["profile"]["test"] != true {
        return None;
    }
    let program = message["executable"].as_str()?;
    let folder = Path::new(message["manifest_path"].as_str()?).parent()?;
    let target = message["target"]["name"].as_str()?;
    let kind = message["target"]["kind"][0].as_str()?;
    let folder_name = folder.strip_prefix(root()).unwrap_or(folder).display();
    let which = match kind {
        "lib" => "--lib".to_owned(),
        kind => format!("--{kind} {target}"),
    };
    let name = match kind {
        "lib" => format!("{folder_name}, in the library"),
        "bin" => format!("{folder_name}, in the program {target}"),
        _ => format!("{folder_name}/{target}"),
    };
    let mut command = Command::new(program);
    // As cargo runs it.
    command.current_dir(folder).env("CARGO_MANIFEST_DIR", folder);
    let repeat = format!("cargo test --manifest-path {folder_name}/Cargo.toml {which}");
    Some(Suite { name, command, repeat })
}

fn perform(suite: Suite) -> Outcome {
    let Suite { name, mut command, repeat } = suite;
    let begin = Instant::now();
    let (text, status) = match kept(&mut command) {
        Ok((text, status)) => (text, status),
        Err(why) => (why, None),
    };
    let passed = text.lines().filter_map(passed).sum();
    let failure = match status {
        Some(status) if status.success() => None,
        Some(status) => Some(format!("{text}\n{status}")),
        None => Some(text),
    };
    Outcome { name, repeat, passed, took: begin.elapsed(), failure }
}

/// Runs a suite to its end, and returns what it printed; no status if it hung.
pub(crate) fn kept(command: &mut Command) -> Result<(String, Option<ExitStatus>)> {
    let program = Path::new(command.get_program()).display().to_string();
    captured(command, SUITE_MAX).map_err(|error| format!("{program}: {error}"))
}

/// Tests that passed, of a line `test result: ok. 9 passed; …`.
fn passed(line: &str) -> Option<usize> {
    let (_, rest) = line.strip_prefix("test result: ")?.split_once(". ")?;
    rest.split_once(" passed")?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passed_tests_are_counted_from_the_line_that_says_so() {
        let ok = "test result: ok. 9 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out";
        let failed = "test result: FAILED. 120 passed; 1 failed; 0 ignored";
        assert_eq!([ok, failed, "test passed ... ok"].map(passed), [Some(9), Some(120), None]);
    }

    #[test]
    fn a_test_program_is_known_by_the_message_that_it_was_built() {
        let message = serde_json::json!({
            "reason": "compiler-artifact",
            "profile": { "test": true },
            "executable": "/target/debug/deps/faults-1",
            "manifest_path": root().join("tests/Cargo.toml"),
            "target": { "name": "faults", "kind": ["test"] },
        });
        let found = suite(&message).expect("a suite");
        assert_eq!(found.name, "tests/faults");
        assert_eq!(found.repeat, "cargo test --manifest-path tests/Cargo.toml --test faults");
        assert_eq!(found.command.get_current_dir(), Some(&*root().join("tests")));
        let mut plain = message;
        plain["profile"]["test"] = false.into();
        assert!(suite(&plain).is_none(), "a program that others test");
    }

    #[test]
    fn what_a_suite_that_fails_has_printed_is_kept() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo said; echo and on >&2; exit 3"]);
        let suite = Suite { name: "it".into(), command, repeat: "again".into() };
        let outcome = perform(suite);
        assert_eq!(outcome.failure.as_deref(), Some("said\nand on\n\nexit status: 3"));
        let command = Command::new("/nonexistent/program");
        let suite = Suite { name: "it".into(), command, repeat: "again".into() };
        let why = perform(suite).failure.expect("it fails");
        assert_eq!(why, "/nonexistent/program: No such file or directory (os error 2)");
    }
}
