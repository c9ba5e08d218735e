//! Links the unwinder into the program `windlass` where that is possible.
//!
//! Rust's standard library takes it from `libgcc_s.so`, with five mappings that are then copied for every
//! child of `--model fork` and torn down with it: a tenth of the price of a connection. A linker
//! script of the same name in front of it says where to find the same code as an archive.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // How another program is linked is its own affair.
    if std::env::var_os("CARGO_FEATURE_CLI").is_none() {
        return;
    }
    println!("cargo::rerun-if-env-changed=RUSTC_LINKER");
    let var = |name| std::env::var(name).unwrap_or_default();
    let native = var("HOST") == var("TARGET");
    if !native || var("CARGO_CFG_TARGET_OS") != "linux" || var("CARGO_CFG_TARGET_ENV") != "gnu" {
        return;
    }
    let linker = std::env::var_os("RUSTC_LINKER").unwrap_or_else(|| "cc".into());
    let asked = Command::new(linker).arg("-print-file-name=libgcc_eh.a").output();
    let archive = asked.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    // Where there is no such archive the answer is its bare name, and nothing is changed.
    let Ok(archive) = archive else { return };
    let out = var("OUT_DIR");
    let script = Path::new(&out).join("libgcc_s.so");
    if Path::new(&archive).is_absolute()
        && std::fs::write(script, format!("INPUT({archive} -lgcc)\n")).is_ok()
    {
        println!("cargo::rustc-link-search=native={out}");
    }
}
