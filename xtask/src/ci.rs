//! The checks before a change lands; CI runs the same ones.

use std::thread;
use std::time::Duration;

use crate::run::{Result, captured, cargo, program, run, skip, step};
use crate::{
    bare, demo, device, firmware, fuzz, library, package_test, publish, size, suites, tidy, units,
};

/// What tests do longer here than in `cargo xtask test`: for how long the workers of a process pool are killed at
/// random, and how many MiB a file has that is larger than its block numbers and than 32 bits.
const LONGER: [(&str, &str); 2] =
    [("WINDLASS_STORM_SECONDS", "60"), ("WINDLASS_LARGE_MIB", "5120")];

/// How long Miri may take for one target. It takes 22 minutes on two cores beside the other checks.
const MIRI_MAX: Duration = Duration::from_mins(55);

/// Runs every check. Miri is one slow thread, so it runs beside those that do not care what else runs.
pub(crate) fn ci() -> Result<()> {
    step("test", || suites::run_all(&LONGER))?;
    step("firmware", || firmware::firmware(""))?;
    thread::scope(|scope| {
        let beside = scope.spawn(|| step("miri", miri));
        let others = others();
        let miri = beside.join().map_err(|_| "miri: its thread panicked".to_owned())?;
        others.and(miri)
    })?;
    println!("\nall steps passed");
    Ok(())
}

/// The checks that do not care what else runs.
fn others() -> Result<()> {
    step("format", || run(cargo().args(["fmt", "--all", "--check"])))?;
    step("clippy", || {
        run(cargo()
            .args(["clippy", "--workspace", "--all-targets", "--all-features"])
            .args(["--", "--deny", "warnings"]))?;
        library::outside_lints()?;
        fuzz::lints()
    })?;
    step("tidy", tidy::tidy)?;
    step("unit files", units::units)?;
    step("features", library::features)?;
    step("programs of strangers", library::outside)?;
    step("packages", publish::publish)?;
    step("oldest Rust", publish::oldest_rust)?;
    step("licenses and origins", publish::deny)?;
    step("documentation", || {
        run(cargo()
            .args(["doc", "--workspace", "--no-deps", "--document-private-items"])
            .env("RUSTDOCFLAGS", "--deny warnings"))
    })?;
    step("core with all features", || {
        run(cargo().args(["test", "--package", "windlass-core", "--all-features", "--quiet"]))
    })?;
    step("benches build", || {
        run(cargo().args(["bench", "--package", "windlass-core", "--no-run"]))
    })?;
    step("bare metal", bare::bare)?;
    step("sizes", size::size)?;
    step("examples for devices", device::examples)?;
    step("fuzz", fuzz::all)?;
    step("demo", demo::demo)?;
    step("package in a Debian", package_test::package_test)
}

/// Runs the tests that need only stable Rust and a C linker.
pub(crate) fn test() -> Result<()> {
    suites::run_all(&[])?;
    library::outside()
}

/// The core under Miri: no undefined behaviour, no overflow; on a big-endian machine what reads and writes bytes of
/// peers.
pub(crate) fn miri() -> Result<()> {
    let found = program("cargo").args(["+nightly", "miri", "--version"]).output();
    if !found.is_ok_and(|output| output.status.success()) {
        return skip("miri", "rustup component add miri --toolchain nightly");
    }
    // The order of bytes is of interest where they travel.
    let travels =
        ["wire::", "frame::decode", "frame::link::decode", "crc::", "responder::", "transfer::"];
    for (target, tests) in
        [("x86_64-unknown-linux-gnu", &[][..]), ("s390x-unknown-linux-gnu", &travels[..])]
    {
        // The command `cargo` is rustup's, which knows `+nightly`; the variables of the cargo that runs
        // this program would keep it on stable.
        let mut command = program("cargo");
        command
            .args(["+nightly", "miri", "test", "--package", "windlass-core", "--lib"])
            .args(["--features", "transfer"])
            .args(["--target", target])
            .arg("--")
            .args(tests)
            .env_remove("CARGO")
            .env_remove("RUSTC")
            .env_remove("RUSTUP_TOOLCHAIN")
            // Random tests in an interpreter: two cases each. Isolation would hide the clock that
            // seeds them.
            .env("PROPTEST_CASES", "2")
            .env("MIRIFLAGS", "-Zmiri-disable-isolation");
        let (text, status) =
            captured(&mut command, MIRI_MAX).map_err(|error| format!("cargo: {error}"))?;
        if !status.is_some_and(|status| status.success()) {
            return Err(format!("{text}\n{target} failed"));
        }
        let result = text.lines().find(|line| line.starts_with("test result: "));
        println!("miri, {target}: {}", result.unwrap_or("no result"));
    }
    Ok(())
}
