//! A table of docs/TESTING.md says for each claim which tests hold it: each of them exists.

use std::collections::HashSet;
use std::path::Path;

use crate::run::root;
use crate::tidy::Finding;

const PAGE: &str = "docs/TESTING.md";

/// The tables that are checked begin with this line.
const HEADER: &str = "| what is claimed | tests |";

/// Checks the page against the source files `(path, text)`.
pub(crate) fn claims<'f>(files: impl Iterator<Item = (&'f str, &'f str)>) -> Vec<Finding> {
    let page = std::fs::read_to_string(root().join(PAGE)).unwrap_or_default();
    check(&page, &functions(files))
}

/// The names of all functions.
fn functions<'f>(files: impl Iterator<Item = (&'f str, &'f str)>) -> HashSet<&'f str> {
    let is_rust = |path: &str| Path::new(path).extension().is_some_and(|end| end == "rs");
    let lines = files.filter(|(path, _)| is_rust(path)).flat_map(|(_, text)| text.lines());
    let after = lines.filter_map(|line| line.trim_start().strip_prefix("fn "));
    after.filter_map(|name| name.split(['(', '<']).next()).collect()
}

fn check(page: &str, functions: &HashSet<&str>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut is_claimed = false;
    for (number, line) in (1..).zip(page.lines()) {
        is_claimed = line == HEADER || is_claimed && line.starts_with('|');
        if !is_claimed || line == HEADER || line.starts_with("|---") {
            continue;
        }
        let cells: Vec<_> = line.trim_matches('|').split(" | ").collect();
        let names: Vec<_> = cells.last().into_iter().flat_map(|tests| tests.split('`')).collect();
        if cells.len() != 2 || names.len() < 3 {
            findings.push((PAGE.to_owned(), number, "a claim without a test".to_owned()));
        }
        for name in names.iter().skip(1).step_by(2).filter(|name| !functions.contains(*name)) {
            findings.push((PAGE.to_owned(), number, format!("there is no test `{name}`")));
        }
    }
    if !page.contains(HEADER) {
        findings.push((PAGE.to_owned(), 0, format!("no table with `{HEADER}`")));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_that_is_gone_is_found() {
        let text = "//! Tests.\nfn one() {}\n    fn two(model: Model) {}\n";
        let functions = functions([("tests/a.rs", text)].into_iter());
        let rows = |rows: &str| check(&format!("{HEADER}\n|---|---|\n{rows}\n"), &functions);
        assert_eq!(rows("| it works | `one`, `two` |\n\n| other | `gone` |"), []);
        assert_eq!(rows("| it works | `one`, `gone` |").len(), 1);
        assert_eq!(rows("| it works | |").len(), 1);
        assert_eq!(check("nothing", &functions).len(), 1);
    }
}
