//! What crates.io and its users would meet: the packages as they would be published, the oldest Rust that builds
//! them, and what their dependencies may be.

use std::fs;

use crate::run::{Result, cargo, program, root, run, skip};

/// Packs both packages as `cargo publish` does, and builds what is packed.
pub(crate) fn publish() -> Result<()> {
    run(cargo()
        .args(["publish", "--workspace", "--dry-run", "--allow-dirty", "--quiet"])
        // As dependencies are built here in any case: then they are not built again.
        .env("CARGO_PROFILE_DEV_DEBUG", "false"))
}

/// Checks both packages with the oldest Rust that they say they build with.
pub(crate) fn oldest_rust() -> Result<()> {
    let manifest = root().join("Cargo.toml");
    let text =
        fs::read_to_string(&manifest).map_err(|why| format!("{}: {why}", manifest.display()))?;
    let version = text.lines().find_map(|line| line.strip_prefix("rust-version = "));
    let version = version.ok_or("Cargo.toml has no rust-version")?.trim_matches('"');
    let toolchain = format!("+{version}");
    let found = program("cargo").args([&toolchain, "--version"]).output();
    if !found.is_ok_and(|output| output.status.success()) {
        let install = format!("rustup toolchain install {version} --profile minimal");
        return skip(&format!("Rust {version}"), &install);
    }
    println!("Rust {version}");
    run(program("cargo")
        .args([&toolchain, "check", "--quiet", "--package", "windlass"])
        .args(["--package", "windlass-core"])
        // The variables of the cargo that runs this would keep it on that one's Rust.
        .env_remove("CARGO")
        .env_remove("RUSTC")
        .env_remove("RUSTUP_TOOLCHAIN"))
}

/// Checks licenses, versions and origins of all dependencies against deny.toml, and whether there is an advisory about one
/// of them.
pub(crate) fn deny() -> Result<()> {
    let found = program("cargo").args(["deny", "--version"]).output();
    if !found.is_ok_and(|output| output.status.success()) {
        return skip("cargo deny", "cargo install cargo-deny");
    }
    run(cargo().args(["deny", "--log-level", "error", "check", "bans", "licenses", "sources"]))?;
    let fetched = cargo().args(["deny", "fetch", "db"]).output();
    if !fetched.is_ok_and(|output| output.status.success()) {
        // Not a failure on any machine: `.ci/run` installs tools, and cannot install a network.
        println!("skipped: advisories: the database of RustSec cannot be fetched from github.com");
        return Ok(());
    }
    run(cargo().args(["deny", "--log-level", "error", "check", "advisories"]))
}
