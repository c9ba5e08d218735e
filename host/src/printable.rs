//! Text from outside, made printable: names, URLs, answers of a peer.
//!
//! A terminal obeys control characters, and bidirectional controls and invisible characters make a
//! line show something else than it says. So each of them is shown as its escape (`\u{1b}`, `\u{202e}`),
//! and a byte that is not of UTF-8 as `\xff`. Everything else stays as it is, backslashes too: to
//! make a text printable twice is to make it printable once.
//!
//! ```
//! use windlass::printable::{printable, printable_bytes};
//! assert_eq!(printable("a\x1b[2Jb\u{202e}é").to_string(), r"a\u{1b}[2Jb\u{202e}é");
//! assert_eq!(printable_bytes(b"\xff!").to_string(), r"\xff!");
//! assert!(printable(&"x".repeat(9000)).to_string().ends_with("xxx… (9000 bytes)"));
//! ```

use std::ffi::OsStr;
use std::fmt::{self, Write};
use std::os::unix::ffi::OsStrExt;

/// The limit of a text without one of its own, in characters: paths, URLs.
pub const SHOWN_MAX: usize = 1024;
/// The limit of a text from a peer, in characters.
pub const WORDS_MAX: usize = 200;

/// A text that prints as printable characters.
#[derive(Debug, Clone, Copy)]
pub struct Printable<'w> {
    words: &'w [u8],
    /// The limit in characters.
    max: usize,
}

/// Prints a text or a path: up to [`SHOWN_MAX`] characters, then `…` and its length in bytes.
pub fn printable<W: AsRef<OsStr> + ?Sized>(words: &W) -> Printable<'_> {
    printable_bytes(words.as_ref().as_bytes())
}

/// As [`printable()`], for bytes.
pub fn printable_bytes(words: &[u8]) -> Printable<'_> {
    Printable { words, max: SHOWN_MAX }
}

/// Prints a text from a peer: up to [`WORDS_MAX`] characters.
pub fn words(said: &[u8]) -> Printable<'_> {
    printable_bytes(said).cut(WORDS_MAX)
}

impl Printable<'_> {
    /// The same text with another limit in characters.
    #[must_use]
    pub fn cut(self, max: usize) -> Self {
        Self { max, ..self }
    }

    /// The same text without a limit: it is our own, or its parts were cut before.
    #[must_use]
    pub fn whole(self) -> Self {
        self.cut(usize::MAX)
    }
}

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // As nearly every text is.
        if self.words.len() <= self.max
            && self.words.iter().all(|byte| matches!(byte, b' '..=b'~'))
            && let Ok(plain) = str::from_utf8(self.words)
        {
            return f.write_str(plain);
        }
        let mut room = self.max;
        for chunk in self.words.utf8_chunks() {
            for char in chunk.valid().chars() {
                if room == 0 {
                    return self.write_cut(f);
                }
                room -= 1;
                match char {
                    _ if is_shown(char) => f.write_char(char)?,
                    // `escape_unicode`, and `\n`, `\r`, `\t` where they are that.
                    _ => write!(f, "{}", char.escape_default())?,
                }
            }
            for byte in chunk.invalid() {
                if room == 0 {
                    return self.write_cut(f);
                }
                room -= 1;
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

impl Printable<'_> {
    fn write_cut(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "… ({} bytes)", self.words.len())
    }
}

/// Whether every character of a text is printable.
pub fn is_printable(text: &str) -> bool {
    text.chars().all(is_shown)
}

/// Whether a character has a shape of its own on a terminal, or is an ordinary space.
///
/// Not so controls, formats (bidirectional, zero-width), separators of lines and paragraphs, other
/// spaces, and what Unicode has not assigned: those [`char::escape_debug`] escapes. Beside them those
/// which Unicode says to ignore (`Default_Ignorable_Code_Point`) though they are letters or marks.
pub fn is_shown(char: char) -> bool {
    match char {
        ' '..='~' => true,
        '\u{34f}'
        | '\u{115f}'
        | '\u{1160}'
        | '\u{17b4}'
        | '\u{17b5}'
        | '\u{180b}'..='\u{180f}'
        | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{ffa0}'
        | '\u{e0000}'..='\u{e0fff}' => false,
        _ => {
            // Behind another character a combining mark is shown: `escape_debug` of it alone is not.
            let mut pair = [b'x', 0, 0, 0, 0];
            let end = 1 + char.encode_utf8(&mut pair[1..]).len();
            let pair = str::from_utf8(&pair[..end]).unwrap_or_default();
            pair.escape_debug().eq(['x', char])
        }
    }
}

/// The same JSON document on one line of printable characters.
pub fn printable_json(json: &str) -> String {
    let mut shown = String::with_capacity(json.len());
    for char in json.chars() {
        match char {
            // These are between tokens, not in strings.
            '\0'..' ' => shown.push(' '),
            _ if is_shown(char) => shown.push(char),
            // These are in strings only.
            _ => {
                for unit in char.encode_utf16(&mut [0; 2]) {
                    // Writing to a string does not fail.
                    let _ = write!(shown, "\\u{unit:04x}");
                }
            }
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_obeys_or_hides_is_escaped() {
        for (words, shown) in [
            ("", ""),
            ("it's \"a\\b\"", "it's \"a\\b\""),
            ("\u{1b}[2J\u{9b}\u{7f}\r\n\t\0", r"\u{1b}[2J\u{9b}\u{7f}\r\n\t\u{0}"),
            ("a\u{202e}b\u{2066}c\u{61c}", r"a\u{202e}b\u{2066}c\u{61c}"),
            ("a\u{200b}\u{200d}\u{feff}\u{ad}\u{2060}", r"a\u{200b}\u{200d}\u{feff}\u{ad}\u{2060}"),
            ("a\u{2028}\u{2029}\u{a0}\u{3000}", r"a\u{2028}\u{2029}\u{a0}\u{3000}"),
            ("\u{fe0f}\u{3164}\u{34f}\u{e0041}", r"\u{fe0f}\u{3164}\u{34f}\u{e0041}"),
            ("\u{e000}\u{378}", r"\u{e000}\u{378}"),
            ("é e\u{301} ü 文 😀 —", "é e\u{301} ü 文 😀 —"),
        ] {
            assert_eq!(printable(words).to_string(), shown);
            assert_eq!(printable(shown).to_string(), shown, "twice is once");
            assert_eq!(is_printable(words), words == shown, "{shown}");
            assert!(is_printable(shown));
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_told() {
        for (words, shown) in [
            (&b"\xff"[..], r"\xff"),
            (b"a\xc3", r"a\xc3"),
            (b"\xe2\x80z\xf0\x9f", r"\xe2\x80z\xf0\x9f"),
            (b"\x9b31m", r"\x9b31m"),
        ] {
            assert_eq!(printable_bytes(words).to_string(), shown);
        }
    }

    #[test]
    fn long_words_are_cut_between_characters() {
        for (words, max, shown) in [
            ("abc", 3, "abc"),
            ("abcd", 3, "abc… (4 bytes)"),
            ("éééé", 3, "ééé… (8 bytes)"),
            ("\u{1b}\u{1b}", 1, r"\u{1b}… (2 bytes)"),
            ("a", 0, "… (1 bytes)"),
        ] {
            assert_eq!(printable(words).cut(max).to_string(), shown);
        }
        assert_eq!(printable_bytes(b"\xff\xff\xff").cut(2).to_string(), r"\xff\xff… (3 bytes)");
        let path = "x".repeat(5000);
        assert_eq!(printable(&path).whole().to_string(), path);
        assert!(printable(&path).to_string().len() < SHOWN_MAX + 20);
    }

    #[test]
    fn a_document_stays_the_same_document() {
        let json = "{\"a\":\r\n\t\"\u{9b}\u{202e}\u{e0041}é\"}";
        let shown = printable_json(json);
        assert_eq!(shown, "{\"a\":   \"\\u009b\\u202e\\udb40\\udc41é\"}");
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
        assert_eq!(read(&shown), read(json));
    }
}
