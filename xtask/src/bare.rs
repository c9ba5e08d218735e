//! Builds the core for machines without an operating system.

use std::path::Path;

use crate::run::{Result, cargo, output, program, run, skip};

/// A small and a large Cortex-M, a RISC-V, and a PC without Linux: 32 and 64 bits, with and
/// without compare-and-swap.
const TARGETS: [&str; 4] = [
    "thumbv6m-none-eabi",
    "thumbv7em-none-eabihf",
    "riscv32imac-unknown-none-elf",
    "x86_64-unknown-none",
];

/// Builds the core for each target that is installed, with and without its features.
pub(crate) fn bare() -> Result<()> {
    for target in TARGETS {
        if !is_installed(target)? {
            skip(target, &format!("rustup target add {target}"))?;
            continue;
        }
        for features in [&[][..], &["--all-features"]] {
            let build = ["build", "--release", "--package", "windlass-core", "--target", target];
            run(cargo().args(build).args(features))?;
        }
    }
    Ok(())
}

/// Whether the standard library of `target` is installed.
pub(crate) fn is_installed(target: &str) -> Result<bool> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let dir = output(program(rustc).args(["--print", "target-libdir", "--target", target]))?;
    Ok(Path::new(dir.trim()).is_dir())
}
