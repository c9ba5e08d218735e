//! Fuzzes every parser of bytes that a peer sends: the targets of `fuzz/`, each for some seconds.
//!
//! By hand each run goes its own way and keeps what it found for the next one. CI begins with the kept corpus and one
//! seed: it says the same twice about the same code, and blames a change for nothing that it did not do.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs;
use std::sync::Mutex;
use std::thread;

use crate::run::{Result, cargo, program, root, run, skip};
use crate::suites::kept;

/// How long each target runs.
const SECONDS: u32 = 20;

/// Targets that run side by side.
const AT_ONCE: usize = 2;

/// Which inputs a run tries.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Others each time, from all that runs before it found.
    Own,
    /// The same each time, from the kept corpus.
    Known,
}

/// Reads the arguments, and runs all targets.
pub(crate) fn command(args: &[String]) -> Result<()> {
    match args {
        [] => fuzz(SECONDS, Way::Own),
        [option, seconds] if option == "--seconds" => match seconds.parse() {
            Ok(seconds) if seconds > 0 => fuzz(seconds, Way::Own),
            _ => Err(format!("fuzz --seconds: '{seconds}' is no number of seconds")),
        },
        _ => Err("fuzz has one option: --seconds N".to_owned()),
    }
}

/// Runs each target for its time in CI.
pub(crate) fn all() -> Result<()> {
    fuzz(SECONDS, Way::Known)
}

/// Lints the targets, with stable Rust.
pub(crate) fn lints() -> Result<()> {
    const MANIFEST: &str = "--manifest-path=fuzz/Cargo.toml";
    run(cargo().args(["fmt", MANIFEST, "--check"]))?;
    run(cargo().args(["clippy", "--quiet", "--locked", MANIFEST]).args([
        "--target-dir=target/outside",
        "--all-targets",
        "--",
        "--deny",
        "warnings",
    ]))
}

/// Builds the targets, and runs each for `seconds` on its kept corpus.
fn fuzz(seconds: u32, way: Way) -> Result<()> {
    // The command `cargo` is rustup's, which knows `+nightly`; the variables of the cargo that runs this program
    // would keep it on stable.
    let nightly = |args: &[&str]| {
        let mut cargo = program("cargo");
        cargo.args(["+nightly", "fuzz"]).args(args);
        for variable in ["CARGO", "RUSTC", "RUSTUP_TOOLCHAIN", "CARGO_TARGET_DIR"] {
            cargo.env_remove(variable);
        }
        cargo
    };
    let found = nightly(&["--version"]).output();
    if !found.is_ok_and(|output| output.status.success()) {
        return skip("fuzz", "cargo install cargo-fuzz; rustup toolchain install nightly");
    }
    run(nightly(&["build"]).arg("--fuzz-dir").arg(root().join("fuzz")))?;
    let targets = Mutex::new(VecDeque::from(targets()?));
    let failures = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let next = targets.lock().ok().and_then(|mut targets| targets.pop_front());
                    let Some(target) = next else { return };
                    if let Err(why) = one(&target, seconds, way)
                        && let Ok(mut failures) = failures.lock()
                    {
                        failures.push(why);
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().map_err(|_| "a thread of the run panicked".to_owned())?;
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n")) }
}

/// The names of the targets.
fn targets() -> Result<Vec<String>> {
    let folder = root().join("fuzz/fuzz_targets");
    let fail = |error| format!("{}: {error}", folder.display());
    let mut targets = Vec::new();
    for entry in fs::read_dir(&folder).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        targets.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
    }
    targets.sort();
    Ok(targets)
}

/// Runs one target. What it finds beside the kept corpus stays in `fuzz/target`.
fn one(target: &str, seconds: u32, way: Way) -> Result<()> {
    let folder = root().join("fuzz/target");
    let found = folder.join(if way == Way::Own { "corpus" } else { "known" }).join(target);
    let inputs = folder.join("failures");
    if way == Way::Known && found.exists() {
        fs::remove_dir_all(&found).map_err(|error| format!("{}: {error}", found.display()))?;
    }
    for folder in [&found, &inputs] {
        fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    let mut prefix = OsString::from("-artifact_prefix=");
    prefix.push(inputs.join(format!("{target}-")));
    let mut command = program(folder.join("x86_64-unknown-linux-gnu/release").join(target));
    command
        .arg(&found)
        .arg(root().join("fuzz/corpus").join(target))
        .arg(format!("-max_total_time={seconds}"))
        .args(["-timeout=10", "-rss_limit_mb=2048", "-verbosity=1", "-print_final_stats=1"])
        .arg(prefix);
    if way == Way::Known {
        command.arg("-seed=1");
    }
    let (text, status) = kept(&mut command)?;
    let runs = text.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    println!("{:9} runs  {target}", runs.unwrap_or("?").trim());
    match status {
        Some(status) if status.success() => Ok(()),
        _ => Err(format!(
            "{text}\n{target} failed; to repeat it: cargo +nightly fuzz run {target} FILE, of {}",
            inputs.display()
        )),
    }
}
