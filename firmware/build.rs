//! Chooses the board of the target, and gives the linker its memory as `memory.x`.

use std::path::Path;
use std::{env, fs};

/// The boards and their targets.
const BOARDS: [(&str, &str); 3] = [
    ("mps2", "thumbv7em-none-eabihf"),
    ("microbit", "thumbv6m-none-eabi"),
    ("virt", "riscv32imac-unknown-none-elf"),
];

fn main() {
    let target = env::var("TARGET").expect("cargo sets TARGET");
    let folder = env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    let Some((board, _)) = BOARDS.iter().find(|(_, of)| *of == target) else {
        panic!("no board has the target {target}");
    };
    println!("cargo::rustc-check-cfg=cfg(board, values(\"mps2\", \"microbit\", \"virt\"))");
    println!("cargo::rustc-cfg=board=\"{board}\"");
    fs::copy(format!("boards/{board}.x"), Path::new(&folder).join("memory.x")).expect("memory.x");
    println!("cargo::rustc-link-search={folder}");
    println!("cargo::rustc-link-search={}", env!("CARGO_MANIFEST_DIR"));
    if *board == "virt" {
        println!("cargo::rustc-link-arg-bins=-Tmemory.x");
    }
    println!("cargo::rustc-link-arg-bins=-Tlink.x");
    println!("cargo::rustc-link-arg-bins=-Tdefmt.x");
    println!("cargo::rerun-if-changed=boards");
    println!("cargo::rerun-if-changed=device.x");
}
