//! Checks for users on devices: the programs of docs/DEVICE.md build, and every public type of the
//! core has `defmt::Format`.

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
