//! The checks before a change lands; CI runs the same ones.

use crate::run::{Result, cargo, program, run, skip, step};
use crate::{bare, demo, device, firmware, fuzz, library, publish, size, suites, tidy, units};

/// How long the workers of a process pool are killed at random. `cargo xtask test` does so for a few
/// seconds.
const STORM_OF_A_MINUTE: (&str, &str) = ("WINDLASS_STORM_SECONDS", "60");

/// Runs every check.
pub(crate) fn ci() -> Result<()> {
    step("test", || suites::run_all(&[STORM_OF_A_MINUTE]))?;
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
    step("firmware", firmware::firmware)?;
    step("miri", miri)?;
    step("fuzz", fuzz::all)?;
    step("demo", demo::demo)?;
    println!("\nall steps passed");
    Ok(())
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
        run(program("cargo")
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
            .env("MIRIFLAGS", "-Zmiri-disable-isolation"))?;
    }
    Ok(())
}
