//! `cargo xtask COMMAND`: the build, test and measurement commands of this workspace.

mod bare;
mod bench;
mod bench_http;
mod bench_log;
mod bench_monitor;
mod bench_transfers;
mod ci;
mod circles;
mod claims;
mod debian;
mod demo;
mod device;
mod dissect;
mod dist;
mod emulator;
mod ether;
#[expect(clippy::case_sensitive_file_extension_comparisons, reason = "our files, our case")]
mod excerpts;
mod firmware;
mod fuzz;
mod group;
mod jobs;
mod layers;
mod library;
mod materials;
mod median;
mod package_test;
mod plot;
mod publish;
mod run;
mod scene;
mod servers;
mod size;
mod suites;
mod systemd_test;
#[expect(clippy::case_sensitive_file_extension_comparisons, reason = "our files, our case")]
mod tidy;
mod units;
mod update;
mod words;

use std::process::ExitCode;

const HELP: &str = "\
cargo xtask COMMAND

  demo      build the program, serve everything on loopback, use each service, stop
  test      run all tests; needs stable Rust and a C linker
  tidy      check the rules of ARCHITECTURE.md
  units     check the unit files; needs systemd-analyze
  outside   build and run the programs of docs/LIBRARY.md, which depend on both packages as other projects do
  dist      make a Debian package, a static binary, checksums and an SBOM in target/dist; needs
            cargo-deb, cargo-cyclonedx and the target x86_64-unknown-linux-musl
  package-test
            install, upgrade and remove that package in a Debian of its own, and use the static
            binary; needs root, debootstrap and lintian too
  systemd-test
            boot a Debian with that package, and start, reload, upgrade, kill and stop the service;
            needs root, debootstrap and cargo-deb; no part of `ci`
  publish   pack both packages as for crates.io, and build what is packed
  rust      check both packages with the oldest Rust that they state
  deny      check licenses, versions and origins of dependencies; needs cargo-deny
  features  build the library without features, and with each one alone
  bare      build the core for four bare-metal targets
  size      measure the flash of each machine on a device, and check that none can panic
  examples  build the programs of docs/DEVICE.md for a Cortex-M0 and a Cortex-M4
  firmware  build the images of three boards, and run them under QEMU with what they talk to; with a
            word, only what has it in its name
  bench     measure against libevent, mio, tokio and raw epoll, or the parts that are named, and draw
            the ratios in target/bench; needs libevent-dev
  miri      run the tests of the core under Miri
  fuzz      fuzz every parser of bytes that a peer sends, 20 s each or --seconds N; needs cargo-fuzz
  ci        run all of these, as .ci/run does";

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let done = match args.first().map(String::as_str) {
        Some("demo") => demo::demo(),
        Some("test") => ci::test(),
        Some("tidy") => tidy::tidy(),
        Some("dist") => dist::dist(),
        Some("package-test") => package_test::package_test(),
        Some("systemd-test") => systemd_test::systemd_test(),
        Some("units") => units::units(),
        Some("outside") => library::outside(),
        Some("publish") => publish::publish(),
        Some("rust") => publish::oldest_rust(),
        Some("deny") => publish::deny(),
        Some("features") => library::features(),
        Some("bare") => bare::bare(),
        Some("size") => size::size(),
        Some("examples") => device::examples(),
        Some("firmware") => firmware::firmware(args.get(1).map_or("", String::as_str)),
        Some("bench") => bench::bench(&args[1..]),
        Some("miri") => ci::miri(),
        Some("fuzz") => fuzz::command(&args[1..]),
        Some("ci") => ci::ci(),
        Some("help" | "--help" | "-h") => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("{HELP}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("xtask: {why}");
            ExitCode::FAILURE
        }
    }
}
