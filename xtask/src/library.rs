//! Checks for programs that depend on the packages: few dependencies, and features that each
//! build alone.

use crate::bare::is_installed;
use crate::run::{Result, cargo, output, run, skip};

/// Packages that `windlass` without features may depend on, those of its dependencies included.
const DEPENDENCIES_MAX: usize = 12;

/// Counts what a program gets with `windlass`, and fails if it is too much.
pub(crate) fn dependencies() -> Result<()> {
    let tree = output(
        cargo()
            .args(["tree", "--package", "windlass", "--no-default-features"])
            .args(["--edges", "normal", "--prefix", "none", "--format", "{p}"]),
    )?;
    let names = names(&tree);
    let (count, list) = (names.len(), names.join(", "));
    if count > DEPENDENCIES_MAX {
        let most = DEPENDENCIES_MAX;
        return Err(format!(
            "windlass without features has {count} dependencies, {most} at most: {list}"
        ));
    }
    println!("windlass without features has {count} dependencies: {list}");
    Ok(())
}

/// The packages of a tree as cargo prints it, without the root of it.
fn names(tree: &str) -> Vec<&str> {
    let mut names: Vec<_> =
        tree.lines().skip(1).filter_map(|line| line.split(' ').next()).collect();
    names.retain(|name| !name.is_empty());
    names.sort_unstable();
    names.dedup();
    names
}

/// The programs of docs/LIBRARY.md: a package outside the workspace, which depends on ours by their paths.
const OUTSIDE: [&str; 5] = [
    "--quiet",
    "--locked",
    "--manifest-path=tests/outside/Cargo.toml",
    "--target-dir=target/outside",
    "--all-targets",
];

/// Builds them and runs them.
pub(crate) fn outside() -> Result<()> {
    run(cargo().arg("test").args(OUTSIDE))
}

/// Lints them.
pub(crate) fn outside_lints() -> Result<()> {
    run(cargo().arg("clippy").args(OUTSIDE).args(["--", "--deny", "warnings"]))
}

/// On a system that it does not support, the host fails to compile with a message.
const FOREIGN: &str = "x86_64-pc-windows-gnu";

fn foreign() -> Result<()> {
    if !is_installed(FOREIGN)? {
        return skip(FOREIGN, &format!("rustup target add {FOREIGN}"));
    }
    let args = ["check", "--package", "windlass", "--no-default-features", "--target", FOREIGN];
    let built = cargo().args(args).output().map_err(|error| format!("cargo check: {error}"))?;
    let text = String::from_utf8_lossy(&built.stderr);
    match text.lines().find(|line| line.starts_with("error")) {
        Some(said) if said.starts_with("error: windlass runs on Linux only") => {
            println!("{FOREIGN}: {said}");
            Ok(())
        }
        said => Err(format!("the library for {FOREIGN}: {}", said.unwrap_or("it builds"))),
    }
}

/// Builds the library with no feature, and with each one alone, without a warning.
pub(crate) fn features() -> Result<()> {
    let manifest = std::fs::read_to_string(crate::run::root().join("host/Cargo.toml"))
        .map_err(|error| format!("host/Cargo.toml: {error}"))?;
    for feature in [""].into_iter().chain(declared(&manifest)) {
        println!("windlass with {}", if feature.is_empty() { "no feature" } else { feature });
        let targets = if feature.is_empty() { "--all-targets" } else { "--lib" };
        run(cargo()
            .args(["clippy", "--package", "windlass", "--quiet", targets])
            .args(["--no-default-features", "--features", feature])
            .args(["--", "--deny", "warnings"]))?;
    }
    foreign()
}

/// The features that a manifest declares, without `default`, which is one of the others.
fn declared(manifest: &str) -> impl Iterator<Item = &str> {
    manifest
        .lines()
        .skip_while(|line| *line != "[features]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split_once(" = ["))
        .map(|(name, _)| name)
        .filter(|name| *name != "default" && !name.starts_with([' ', '#']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_and_packages_are_found() {
        let manifest = "[package]\nx = []\n[features]\ndefault = [\"a\"]\n# One.\na = [\n    \"b\",\n]\n\
                        b-c = [\"d\"]\n\n[dependencies]\ne = []\n";
        assert_eq!(declared(manifest).collect::<Vec<_>>(), ["a", "b-c"]);
        let tree = "windlass v0.1.0 (/x)\nnix v0.31.3\nlibc v0.2.1\n\nlibc v0.2.1 (*)\n";
        assert_eq!(names(tree), ["libc", "nix"]);
    }
}
