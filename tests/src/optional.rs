//! Tools and features that a machine may lack. Under `CI=true` a missing one is a failure.

use std::path::{Path, PathBuf};

/// Whether `program` is on the path. If not, the test says so and is to return.
pub fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    if !found {
        skipped(&format!("no {program}"));
    }
    found
}

/// A program of another project: on the path, or where `.ci/run` unpacks those that cannot be installed beside each
/// other. If it is nowhere, the test says so and is to return.
pub fn foreign(program: &str) -> Option<PathBuf> {
    let unpacked = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/foreign/usr/sbin");
    let unpacked = unpacked.join(program);
    if unpacked.is_file() {
        return Some(unpacked);
    }
    has(program).then(|| program.into())
}

/// Says why a test, or part of it, is not run here.
pub fn skipped(why: &str) {
    let strict = std::env::var_os("CI").is_some_and(|value| value == "true");
    assert!(!strict, "{why}, and CI=true");
    println!("skipped: {why}");
}
