//! What is promised to users on devices: the programs that docs/DEVICE.md shows build, the page shows
//! what is in them, and every public type of the core can be logged by defmt.

use crate::bare::is_installed;
use crate::run::{Result, cargo, root, run, skip};
use crate::tidy::{Finding, code};

const TARGETS: [&str; 2] = ["thumbv6m-none-eabi", "thumbv7em-none-eabi"];

/// Links the programs of firmware/examples, without warnings.
pub(crate) fn examples() -> Result<()> {
    for target in TARGETS {
        if !is_installed(target)? {
            skip("examples", &format!("rustup target add {target}"))?;
            continue;
        }
        for build in [&["clippy"][..], &["build"]] {
            let mut cargo = cargo();
            cargo
                .current_dir(root().join("firmware/examples"))
                .args(build)
                .args(["--quiet", "--release", "--locked", "--bins", "--target", target])
                .env_remove("CARGO_TARGET_DIR");
            if build == ["clippy"] {
                cargo.args(["--", "--deny", "warnings"]);
            }
            run(&mut cargo)?;
        }
        println!("{target}: linked");
    }
    Ok(())
}

const PAGE: &str = "docs/DEVICE.md";

/// Each block of Rust on the page stands in the program that is named above it.
pub(crate) fn excerpts() -> Vec<Finding> {
    let read = |path: &str| std::fs::read_to_string(root().join(path)).unwrap_or_default();
    unfounded(&read(PAGE), read)
}

fn unfounded(page: &str, read: impl Fn(&str) -> String) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut program = String::new();
    let mut block: Option<(usize, String)> = None;
    for (line, number) in page.lines().zip(1..) {
        match &mut block {
            None if line == "```rust" => block = Some((number, String::new())),
            None => {
                let named = line.split('`').find(|word| word.ends_with(".rs"));
                if let Some(named) = named {
                    named.clone_into(&mut program);
                }
            }
            Some((from, text)) if line == "```" => {
                if text.is_empty() || !read(&program).contains(text.as_str()) {
                    let what = format!("this block is not in `{program}`");
                    findings.push((PAGE.to_owned(), *from, what));
                }
                block = None;
            }
            Some((_, text)) => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    findings
}

/// Every public type of the core has `defmt::Format`, derived or by hand.
pub(crate) fn formats(path: &str, text: &str, findings: &mut Vec<Finding>) {
    if !path.starts_with("core/src/") || path.ends_with("tests.rs") {
        return;
    }
    let mut derived = false;
    for (line, number) in code(text).zip(1..) {
        let declared = line.strip_prefix("pub struct ").or(line.strip_prefix("pub enum "));
        if line.contains("derive(defmt::Format)") {
            derived = true;
        } else if let Some(declared) = declared {
            let name = declared.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
            let by_hand = text.lines().any(|line| {
                line.split_once("defmt::Format for ").is_some_and(|(_, of)| {
                    of.split(|c: char| !c.is_alphanumeric()).next() == Some(name)
                })
            });
            if !derived && !by_hand {
                let what = format!("{name} has no defmt::Format");
                findings.push((path.to_owned(), number, what));
            }
        }
        if !line.starts_with("#[") && !line.trim().is_empty() && !line.contains("defmt") {
            derived = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_that_is_not_in_its_program_is_found() {
        let read = |path: &str| if path == "a.rs" { "fn a() {}\n" } else { "" }.to_owned();
        let page = |code: &str| format!("See `a.rs`:\n\n```rust\n{code}\n```\n");
        assert_eq!(unfounded(&page("fn a() {}"), read), []);
        assert_eq!(unfounded(&page("fn b() {}"), read)[0].1, 3);
        assert_eq!(unfounded("```rust\nfn a() {}\n```\n", read).len(), 1);
    }

    #[test]
    fn a_type_without_a_format_is_found() {
        let find = |text: &str| {
            let mut findings = Vec::new();
            formats("core/src/x.rs", text, &mut findings);
            findings.len()
        };
        let derived = "#[cfg_attr(feature = \"defmt\", derive(defmt::Format))]\n";
        assert_eq!(find(&format!("{derived}pub struct A;\npub struct B;\n")), 1);
        assert_eq!(find(&format!("{derived}#[repr(C)]\npub enum A {{}}\n")), 0);
        assert_eq!(find("pub struct A<T>(T);\nimpl<T> defmt::Format for A<T> {\n"), 0);
        assert_eq!(find("pub struct A;\nimpl defmt::Format for Ab {\n"), 1);
    }
}
