//! The rules of ARCHITECTURE.md that a machine can check.
//!
//! Each rule takes a file's path and text and names what is wrong, so that each can be tried on
//! text that breaks it.

use std::path::Path;

use crate::layers::LAYERS;
use crate::run::{Result, output, program, root};
use crate::{circles, claims, device, excerpts, library, words};

/// One finding: the file, the line or 0, and what is wrong.
pub(crate) type Finding = (String, usize, String);

pub(crate) fn tidy() -> Result<()> {
    let files =
        output(program("git").args(["ls-files", "--cached", "--others", "--exclude-standard"]))?;
    let mut findings = Vec::new();
    let mut texts = Vec::new();
    for path in files.lines() {
        let file = root().join(path);
        // What a link leads to is checked under its own name.
        if file.is_symlink() {
            continue;
        }
        let Ok(text) = std::fs::read_to_string(file) else { continue };
        check(path, &text, &mut findings);
        texts.push((path, text));
    }
    findings.extend(models(root()));
    findings.extend(excerpts::excerpts());
    findings.extend(claims::claims(texts.iter().map(|(path, text)| (*path, text.as_str()))));
    library::dependencies()?;
    findings.extend(circles::check());
    if findings.is_empty() {
        println!("{} files are tidy", texts.len());
        return Ok(());
    }
    for (path, line, what) in &findings {
        println!("{path}:{line}: {what}");
    }
    Err(format!("{} findings", findings.len()))
}

/// Every rule for one file.
fn check(path: &str, text: &str, findings: &mut Vec<Finding>) {
    if path.ends_with("Cargo.toml") {
        dependencies(path, text, findings);
    }
    if path.ends_with(".rs") {
        if !text.starts_with("//!") {
            findings.push((
                path.to_owned(),
                1,
                "begin with a //! that says what this is".to_owned(),
            ));
        }
        let lines = text.lines().count();
        let most = if path.starts_with(BOARDS) { BOARD_LINES_MAX } else { LINES_MAX };
        if lines > most {
            let what = format!("{lines} lines: is this two ideas? ({most} at most)");
            findings.push((path.to_owned(), lines, what));
        }
        imports(path, text, findings);
        device::formats(path, text, findings);
        if path.starts_with("tests/") {
            sleeps(path, text, findings);
        }
    }
    banned(path, text, findings);
    words::persons(path, text, findings);
}

/// A file is one idea.
const LINES_MAX: usize = 450;

/// What belongs to a board is short, so that another one is soon added.
const BOARDS: &str = "firmware/src/board/";
const BOARD_LINES_MAX: usize = 150;

/// Imports point one way.
fn imports(path: &str, text: &str, findings: &mut Vec<Finding>) {
    // Tests in a file of their own may name anything, as those at the end of a file.
    if path.ends_with("/tests.rs") {
        return;
    }
    let layer =
        LAYERS.iter().find_map(|(prefix, layers)| Some((path.strip_prefix(prefix)?, *layers)));
    let Some((inside, layers)) = layer else { return };
    let module = inside.split(['/', '.']).next().unwrap_or_default();
    let Some((_, allowed)) = layers.iter().find(|(name, _)| *name == module) else {
        // The roots may name anything.
        if !matches!(inside, "lib.rs" | "main.rs") {
            findings.push((
                path.to_owned(),
                1,
                format!("module {module} has no place in xtask/src/layers.rs"),
            ));
        }
        return;
    };
    for (line, number) in code(text).zip(1..) {
        for named in line.split("crate::").skip(1) {
            let end = named.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(named.len());
            let named = &named[..end];
            if named != module
                && !allowed.contains(&named)
                && layers.iter().any(|(name, _)| *name == named)
            {
                findings.push((path.to_owned(), number, format!("{module} must not name {named}")));
            }
        }
    }
}

/// Which packages of this workspace a package may depend on.
const PACKAGES: [(&str, &[&str]); 10] = [
    ("certs/", &[]),
    ("core/", &[]),
    ("host/", &["windlass-certs", "windlass-core"]),
    ("lossy/", &[]),
    ("tests/", &["windlass", "windlass-certs", "windlass-core", "windlass-lossy"]),
    ("firmware/updater/", &["windlass-core"]),
    ("firmware/", &["windlass-core", "windlass-updater"]),
    ("peers/", &["windlass", "windlass-core"]),
    ("xtask/", &["windlass-certs", "windlass-lossy"]),
    ("fuzz/", &["windlass", "windlass-core"]),
];

fn dependencies(path: &str, text: &str, findings: &mut Vec<Finding>) {
    let Some((_, allowed)) = PACKAGES.iter().find(|(prefix, _)| path.starts_with(prefix)) else {
        return;
    };
    let mut section = "";
    for (line, number) in text.lines().zip(1..) {
        if line.starts_with('[') {
            section = line;
        } else if section.contains("dependencies") {
            let name = line.split(['=', '.', ' ']).next().unwrap_or_default();
            if name.starts_with("windlass") && !allowed.contains(&name) {
                findings.push((path.to_owned(), number, format!("must not depend on {name}")));
            }
        }
    }
}

/// A pattern, where it is allowed, and what to do instead.
struct Ban {
    pattern: &'static str,
    /// Paths that the ban is about; all paths when empty.
    under: &'static [&'static str],
    allowed: &'static [&'static str],
    instead: &'static str,
}

const SYS: &[&str] = &[
    "host/src/sys/",
    "host/src/lib.rs",
    "xtask/",
    "tests/",
    "firmware/src/board/",
    "firmware/src/cpu/",
    "firmware/src/register.rs",
    "firmware/examples/src/board.rs",
    "firmware/examples/src/bin/embassy.rs",
    "firmware/src/bin/stack.rs",
    "firmware/sizes/src/lib.rs",
];

/// A full disk or a closed pipe makes those macros panic.
const PRINTING: &[&str] = &["core/", "host/src/"];
const PRINT: &str = "write by crate::standard, or log by tracing";
/// Where words of others are made printable; tests; and assertions.
const SHOWING: &[&str] = &[
    "host/src/printable.rs",
    "host/src/log/line.rs",
    "tests.rs",
    "host/src/client/get/exchange.rs",
];
const SHOW: &str = "show words of others by crate::printable";

const BANS: [Ban; 25] = [
    Ban {
        pattern: "unsafe ",
        under: &["core/", "host/", "firmware/"],
        allowed: SYS,
        instead: "unsafe is for host/src/sys and the registers of the firmware",
    },
    Ban {
        pattern: "nix::",
        under: &["host/"],
        allowed: SYS,
        instead: "system calls are made in host/src/sys",
    },
    Ban {
        pattern: "libc::",
        under: &["host/"],
        allowed: SYS,
        instead: "system calls are made in host/src/sys",
    },
    Ban {
        pattern: "unistd::fork",
        under: &[],
        allowed: &["host/src/sys/process.rs"],
        instead: "fork is called in sys::process::divide",
    },
    Ban {
        pattern: " fork}",
        under: &["core/", "host/src/"],
        allowed: &[],
        instead: "fork is called in sys::process::divide",
    },
    Ban {
        pattern: "Instant::now(",
        under: &["core/", "host/"],
        // The clock of Embassy, for its driver.
        allowed: &["core/src/driver/embassy.rs"],
        instead: "the time is read in sys::clock",
    },
    Ban {
        pattern: "SystemTime",
        under: &["core/", "host/"],
        allowed: &[],
        instead: "the time is read in sys::clock",
    },
    Ban {
        pattern: "CLOCK_",
        under: &["host/"],
        allowed: &["host/src/sys/clock.rs"],
        instead: "the time is read in sys::clock",
    },
    Ban {
        pattern: "thread::sleep",
        under: &["core/", "host/", "xtask/"],
        allowed: &[],
        instead: "wait for what you wait for",
    },
    Ban { pattern: "#[ignore", under: &[], allowed: &[], instead: "a test runs, or goes" },
    Ban {
        pattern: "#[should_panic",
        under: &[],
        allowed: &[],
        instead: "assert on what is returned",
    },
    Ban { pattern: "println!(", under: PRINTING, allowed: &[], instead: PRINT },
    Ban { pattern: "print!(", under: PRINTING, allowed: &[], instead: PRINT },
    Ban { pattern: "eprintln!(", under: PRINTING, allowed: &[], instead: PRINT },
    Ban { pattern: "eprint!(", under: PRINTING, allowed: &[], instead: PRINT },
    Ban { pattern: ".display()", under: &["host/src/"], allowed: SHOWING, instead: SHOW },
    Ban { pattern: "to_string_lossy(", under: &["host/src/"], allowed: SHOWING, instead: SHOW },
    Ban { pattern: ".escape_debug()", under: &["host/src/"], allowed: SHOWING, instead: SHOW },
    Ban { pattern: ".escape_default()", under: &["host/src/"], allowed: SHOWING, instead: SHOW },
    Ban { pattern: ".escape_ascii()", under: &["host/src/"], allowed: SHOWING, instead: SHOW },
    Ban { pattern: ":?}", under: &["host/src/"], allowed: SHOWING, instead: SHOW },
    Ban {
        pattern: ".unwrap()",
        under: &["core/src/", "host/src/"],
        allowed: &["tests.rs"],
        instead: "return the error, or say why it cannot be",
    },
    Ban { pattern: "TODO", under: &[], allowed: &[], instead: "do it, or open an issue" },
    Ban { pattern: "/root/", under: &[], allowed: &[], instead: "no path of one machine" },
    Ban { pattern: "/work/", under: &[], allowed: &[], instead: "no path of one machine" },
];

/// A sleep in a test is a pace or a poll, never a hope: the line above it says which.
fn sleeps(path: &str, text: &str, findings: &mut Vec<Finding>) {
    let mut above = "";
    for (line, number) in text.lines().zip(1..) {
        if line.contains("thread::sleep(") && !above.trim().starts_with("//") {
            findings.push((path.to_owned(), number, "say above why this sleeps".to_owned()));
        }
        above = line;
    }
}

/// Whether `code` has `pattern`, and not as the end of a longer word: `unix::` is not `nix::`.
fn names(code: &str, pattern: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let word = pattern.starts_with(is_word);
    code.match_indices(pattern).any(|(at, _)| !word || !code[..at].ends_with(is_word))
}

fn banned(path: &str, text: &str, findings: &mut Vec<Finding>) {
    if path == "xtask/src/tidy.rs" || path.ends_with(".lock") {
        return;
    }
    let is_code = path.ends_with(".rs");
    for (index, line) in text.lines().enumerate() {
        // The tests of a file are its last part, by convention.
        if is_code
            && line.trim() == "#[cfg(test)]"
            && !text.lines().skip(index + 1).take(1).any(|next| next.ends_with(';'))
        {
            return;
        }
        let code = if is_code { line.split("//").next().unwrap_or_default() } else { line };
        for ban in &BANS {
            let about =
                ban.under.is_empty() || ban.under.iter().any(|under| path.starts_with(under));
            let allowed = ban.allowed.iter().any(|ok| path.starts_with(ok) || path.ends_with(ok));
            if about && !allowed && names(code, ban.pattern) {
                findings.push((
                    path.to_owned(),
                    index + 1,
                    format!("`{}`: {}", ban.pattern, ban.instead),
                ));
            }
        }
    }
}

/// The lines up to the tests, without comments.
pub(crate) fn code(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.lines().take_while(|line| line.trim() != "#[cfg(test)]");
    lines.map(|line| line.split("//").next().unwrap_or_default())
}

/// The README names every model that the program has, and `cargo xtask bench` measures every one.
fn models(root: &Path) -> Vec<Finding> {
    const MODELS: &str = "host/src/server/model.rs";
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap_or_default();
    let (readme, bench, models) = (read("README.md"), read("xtask/src/bench.rs"), read(MODELS));
    let names: Vec<_> = models
        .lines()
        .filter_map(|line| {
            let (variant, name) = line.trim().split_once(" => \"")?;
            variant.starts_with("Self::").then_some(name.trim_end_matches("\","))
        })
        .filter(|name| !name.contains(' '))
        .collect();
    if names.is_empty() {
        return vec![(MODELS.to_owned(), 0, "the names of the models are not here".to_owned())];
    }
    let missing = |path: &str, name: &str| {
        (path.to_owned(), 0, format!("model `{name}` is not in the table"))
    };
    let in_readme = names.iter().filter(|name| !readme.contains(&format!("| `{name}` |")));
    let in_bench = names.iter().filter(|name| !bench.contains(*name));
    in_readme
        .map(|name| missing("README.md", name))
        .chain(in_bench.map(|name| missing("xtask/src/bench.rs", name)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(path: &str, text: &str) -> Vec<String> {
        let mut findings = Vec::new();
        check(path, text, &mut findings);
        findings.into_iter().map(|(_, line, what)| format!("{line}: {what}")).collect()
    }

    #[test]
    fn good_files_pass() {
        for (path, text) in [
            ("core/src/session/x.rs", "//! X.\nuse crate::time::Instant;\n"),
            ("host/src/server/x.rs", "//! X.\nuse crate::drive::Jobs;\n"),
            ("host/src/sys/x.rs", "//! X.\nuse nix::errno::Errno;\nunsafe { }\n"),
            (
                "host/src/drive/x.rs",
                "//! Not nix::this.\n#[cfg(test)]\nmod t { fn f() { x.unwrap() } }\n",
            ),
            ("tests/Cargo.toml", "[dependencies]\nwindlass.workspace = true\n"),
        ] {
            assert_eq!(findings(path, text), Vec::<String>::new(), "{path}");
        }
    }

    #[test]
    fn each_rule_finds_what_breaks_it() {
        for (path, text, expected) in [
            ("core/src/time.rs", "use x;\n", "1: begin with a //!"),
            (
                "core/src/wire/x.rs",
                "//! X.\nuse crate::session::Out;\n",
                "2: wire must not name session",
            ),
            (
                "core/src/pool/x.rs",
                "//! X.\nuse crate::session::Out;\n",
                "2: pool must not name session",
            ),
            (
                "host/src/sys/x.rs",
                "//! X.\nuse crate::drive::Jobs;\n",
                "2: sys must not name drive",
            ),
            (
                "host/src/drive/x.rs",
                "//! X.\nuse crate::server::Model;\n",
                "2: drive must not name server",
            ),
            ("host/src/news/x.rs", "//! X.\n", "1: module news has no place"),
            ("host/src/drive/x.rs", "//! X.\nuse nix::errno::Errno;\n", "2: `nix::`"),
            ("host/src/server/x.rs", "//! X.\nunsafe { }\n", "2: `unsafe `"),
            ("host/src/cli/x.rs", "//! X.\nlet t = Instant::now();\n", "2: `Instant::now(`"),
            ("host/src/sys/x.rs", "//! X.\nnix::unistd::fork();\n", "2: `unistd::fork`"),
            ("host/src/sys/x.rs", "//! X.\nuse nix::unistd::{Pid, fork};\n", "2: ` fork}`"),
            ("host/src/drive/x.rs", "//! X.\nthread::sleep(x);\n", "2: `thread::sleep`"),
            ("host/src/cli/x.rs", "//! X.\neprintln!();\n", "2: `eprintln!(`"),
            ("host/src/cli/x.rs", "//! X.\npath.display();\n", "2: `.display()`"),
            ("host/src/cli/x.rs", "//! X.\nformat!(\"{x:?}\");\n", "2: `:?}`"),
            ("tests/tests/x.rs", "//! X.\n\nthread::sleep(x);\n", "3: say above why"),
            ("tests/tests/x.rs", "//! X.\n#[ignore]\n", "2: `#[ignore`"),
            ("core/src/want.rs", "//! X.\nx.unwrap();\n", "2: `.unwrap()`"),
            (
                "core/Cargo.toml",
                "[dependencies]\nwindlass = { path = \"x\" }\n",
                "2: must not depend on windlass",
            ),
            (
                "xtask/Cargo.toml",
                "[dependencies]\nwindlass-core.workspace = true\n",
                "2: must not depend on",
            ),
        ] {
            let found = findings(path, text);
            assert!(found.iter().any(|what| what.starts_with(expected)), "{path}: {found:?}");
        }
        let long = format!("//! X.\n{}", "\n".repeat(LINES_MAX));
        assert!(findings("xtask/src/x.rs", &long)[0].contains("two ideas"));
        let board = format!("//! X.\n{}", "\n".repeat(BOARD_LINES_MAX));
        assert!(findings("firmware/src/board/x.rs", &board)[0].contains("two ideas"));
    }
}
