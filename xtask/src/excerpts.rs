//! Pages with programs that are in files of their own, where they are built and run.

use crate::run::root;
use crate::tidy::Finding;

const PAGES: [&str; 2] = ["docs/DEVICE.md", "docs/LIBRARY.md"];

/// Checks that each block of Rust on a page is in the program that is named above it.
pub(crate) fn excerpts() -> Vec<Finding> {
    let read = |path: &str| std::fs::read_to_string(root().join(path)).unwrap_or_default();
    PAGES.iter().flat_map(|page| unfounded(page, &read(page), read)).collect()
}

/// The blocks of Rust of a page that are not in the program that is named above them.
fn unfounded(page: &str, lines: &str, read: impl Fn(&str) -> String) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut program = String::new();
    let mut block: Option<(usize, String)> = None;
    for (line, number) in lines.lines().zip(1..) {
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
                    findings.push((page.to_owned(), *from, what));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_that_is_not_in_its_program_is_found() {
        let read = |path: &str| if path == "a.rs" { "fn a() {}\n" } else { "" }.to_owned();
        let page = |code: &str| format!("See `a.rs`:\n\n```rust\n{code}\n```\n");
        assert_eq!(unfounded("p", &page("fn a() {}"), read), []);
        assert_eq!(unfounded("p", &page("fn b() {}"), read)[0].1, 3);
        assert_eq!(unfounded("p", "```rust\nfn a() {}\n```\n", read).len(), 1);
    }
}
