//! Words that `tidy` keeps out: a process, a client or a descriptor is "it", or has a name.

use crate::tidy::Finding;

/// Words for persons. A sentence with one of them does not say which process or program it means.
const PERSONS: [&str; 17] = [
    "who",
    "whoever",
    "whom",
    "whose",
    "nobody",
    "somebody",
    "anybody",
    "everybody",
    "everyone",
    "someone",
    "anyone",
    "him",
    "his",
    "himself",
    "she",
    "he",
    "her",
];

/// Texts of others, and the files with the words themselves.
const EXEMPT: [&str; 4] = ["LICENSE-", "contrib/debian/copyright", "xtask/src/words.rs", ".lock"];

/// Names of others that have such a word.
const QUOTATIONS: [&str; 4] = ["--kill-whom", "user nobody", "nobody:", "'nobody'"];

/// Comments, documents, strings and identifiers have no words for persons.
pub(crate) fn persons(path: &str, text: &str, findings: &mut Vec<Finding>) {
    if EXEMPT.iter().any(|exempt| path.starts_with(exempt) || path.ends_with(exempt)) {
        return;
    }
    for (line, number) in text.lines().zip(1..) {
        for (at, word) in words(line) {
            let lower = word.to_ascii_lowercase();
            if PERSONS.contains(&lower.as_str()) && !is_quoted(line, at, word) {
                let what = format!("`{word}`: name the process, the client or the descriptor");
                findings.push((path.to_owned(), number, what));
            }
        }
    }
}

/// The words of a line with their positions. An identifier has several: `who_asks` and `WhoAsks` have two.
fn words(line: &str) -> impl Iterator<Item = (usize, &str)> {
    let bytes = line.as_bytes();
    let is_start = move |at: usize| {
        bytes[at].is_ascii_alphabetic()
            && (at == 0
                || !bytes[at - 1].is_ascii_alphabetic()
                || bytes[at - 1].is_ascii_lowercase() && bytes[at].is_ascii_uppercase())
    };
    (0..bytes.len()).filter(move |&at| is_start(at)).map(move |at| {
        let end = (at + 1..bytes.len())
            .find(|&end| !bytes[end].is_ascii_alphabetic() || is_start(end))
            .unwrap_or(bytes.len());
        (at, &line[at..end])
    })
}

/// Whether a word alone is in quotation marks, or is part of a name of others.
fn is_quoted(line: &str, at: usize, word: &str) -> bool {
    let (before, after) = (line[..at].chars().next_back(), line[at + word.len()..].chars().next());
    before == after && matches!(before, Some('"' | '`'))
        || QUOTATIONS.iter().any(|name| {
            line.match_indices(name).any(|(from, _)| (from..from + name.len()).contains(&at))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<usize> {
        let mut findings = Vec::new();
        persons(path, text, &mut findings);
        findings.into_iter().map(|(_, line, _)| line).collect()
    }

    #[test]
    fn words_for_persons_are_found() {
        for text in [
            "//! x\n/// Whoever connects.",
            "\nlet why = \"the client and its place: his\";",
            "\nfn the_one_who_asks() {}",
            "\nconst NOBODY: u64 = 0;",
            "\nstruct WhoAsks;",
            "\nÜ, everyone's turn",
        ] {
            assert_eq!(found("core/src/file/x.rs", text), [2], "{text}");
        }
    }

    #[test]
    fn other_words_and_quotations_are_not() {
        for text in [
            "the whole, this, there, then, a header, which, echo",
            "user = \"nobody\"",
            "the command `who` prints users",
            "systemctl kill --kill-whom=main",
        ] {
            assert_eq!(found("docs/x.md", text), [0; 0], "{text}");
        }
        assert_eq!(found("LICENSE-MIT", "any person to whom"), [0; 0]);
    }
}
