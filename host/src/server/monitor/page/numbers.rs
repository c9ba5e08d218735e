//! Numbers as a person reads them at a glance.

/// A count with its digits in groups: `1 204 337`.
pub(super) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            // A thin space that does not break.
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// A value in three digits, with its unit: `0/s`, `0.25/s`, `204/s`, `1.2 k/s`, `3.4 MB/s`.
pub(super) fn short(value: f64, unit: &str) -> String {
    let (mut value, mut prefixes) = (value, ["", "k", "M", "G", "T", "P"].into_iter().peekable());
    let mut prefix = prefixes.next().unwrap_or_default();
    while value >= 999.5
        && let Some(next) = prefixes.next()
    {
        (value, prefix) = (value / 1000.0, next);
    }
    let digits = match value {
        0.0 => 0,
        ..9.995 if prefix.is_empty() => 2,
        ..99.95 => 1,
        _ => 0,
    };
    // A letter does not stand beside a digit.
    let space = if prefix.is_empty() && unit.starts_with('/') { "" } else { "\u{a0}" };
    format!("{value:.digits$}{space}{prefix}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_has_three_digits_at_most() {
        for (value, text) in [
            (0.0, "0 B"),
            (0.2, "0.20 B"),
            (9.99, "9.99 B"),
            (9.996, "10.0 B"),
            (17.31, "17.3 B"),
            (204.4, "204 B"),
            (999.4, "999 B"),
            (999.6, "1.0 kB"),
            (12_345.0, "12.3 kB"),
            (123_456.0, "123 kB"),
            (3_400_000.0, "3.4 MB"),
            (1e18, "1000 PB"),
        ] {
            assert_eq!(short(value, "B").replace('\u{a0}', " "), text);
        }
        assert_eq!([short(7.0, "/s"), short(7e3, "/s")], ["7.00/s", "7.0\u{a0}k/s"]);
    }

    #[test]
    fn digits_are_in_groups() {
        let plain = |n| grouped(n).replace('\u{202f}', " ");
        assert_eq!([0, 999, 1000, 1_204_337].map(plain), ["0", "999", "1 000", "1 204 337"]);
    }
}
