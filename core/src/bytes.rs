//! Filling and splitting without a path to a panic.
//!
//! The optimiser does not see every invariant of a state machine, so `a[..n]` and
//! `copy_from_slice` leave calls of the panic handler in an image. These functions move fewer bytes
//! if a length does not fit. No caller relies on that.

/// Where `byte` is in `bytes` first.
pub(crate) fn find(byte: u8, bytes: &[u8]) -> Option<usize> {
    #[cfg(not(target_os = "none"))]
    return memchr::memchr(byte, bytes);
    // Without vector instructions it would be 200 bytes of flash for little.
    #[cfg(target_os = "none")]
    return bytes.iter().position(|&other| other == byte);
}

/// Whether both are the same word, in any case. A function of its own: on a device it is one loop.
#[inline(never)]
pub(crate) const fn is_word(word: &[u8], other: &[u8]) -> bool {
    word.eq_ignore_ascii_case(other)
}

/// The value of a hexadecimal digit, of either case.
pub(crate) const fn hex_digit(digit: u8) -> Option<u8> {
    let (decimal, letter) = (digit.wrapping_sub(b'0'), (digit | 0x20).wrapping_sub(b'a'));
    if decimal < 10 {
        Some(decimal)
    } else if letter < 6 {
        Some(letter + 10)
    } else {
        None
    }
}

/// The hexadecimal digits of a byte, in lower case.
pub(crate) fn hex(byte: u8) -> [u8; 2] {
    let digit = |value| if value < 10 { b'0' + value } else { b'a' - 10 + value };
    [digit(byte >> 4), digit(byte & 15)]
}

/// Whether these are the hexadecimal digits of as many bytes as there is room for. The room has them then.
#[inline(never)]
pub(crate) fn unhex(digits: &[u8], bytes: &mut [u8]) -> bool {
    for (nth, &digit) in digits.iter().enumerate() {
        let (Some(slot), Some(value)) = (bytes.get_mut(nth / 2), hex_digit(digit)) else {
            return false;
        };
        *slot = *slot << 4 | value;
    }
    digits.len() == bytes.len().saturating_mul(2)
}

/// Copies from the front of `from` as many bytes as fit into `to`, and returns their number.
pub(crate) fn fill(to: &mut [u8], from: &[u8]) -> usize {
    let n = to.len().min(from.len());
    // The lengths of a zip need no check, and optimised this is `memcpy`.
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
    n
}

/// Copies `from` to `to[at..]`, and returns the end of the copy. Bytes that do not fit are left out.
pub(crate) fn put(to: &mut [u8], at: usize, from: &[u8]) -> usize {
    at.saturating_add(fill(to.get_mut(at..).unwrap_or_default(), from))
}

/// The first `n` bytes; all of them when there are fewer.
pub(crate) fn first(bytes: &[u8], n: usize) -> &[u8] {
    bytes.get(..n).unwrap_or(bytes)
}

/// The first `n` bytes; all of them when there are fewer.
pub(crate) fn first_mut(bytes: &mut [u8], n: usize) -> &mut [u8] {
    let n = n.min(bytes.len());
    bytes.get_mut(..n).unwrap_or_default()
}

/// The bytes behind the first `n`; empty if there are fewer.
pub(crate) fn after(bytes: &[u8], n: usize) -> &[u8] {
    bytes.get(n..).unwrap_or_default()
}

/// The first `n` bytes, and the bytes behind them.
pub(crate) fn split(bytes: &[u8], n: usize) -> (&[u8], &[u8]) {
    bytes.split_at_checked(n).unwrap_or((bytes, &[]))
}

/// Copies `from` to `to[at..]`, and returns the end of the copy, if there is room for all of it.
#[cfg(feature = "transfer")]
#[inline(never)]
pub(crate) fn append(to: &mut [u8], at: usize, from: &[u8]) -> Option<usize> {
    let end = at.checked_add(from.len())?;
    fill(to.get_mut(at..end)?, from);
    Some(end)
}

/// Which of these words it is, in any case. The list is in lower case, and each word of it has a line. In one text it
/// takes less flash than with the places and lengths of its words.
#[inline(never)]
pub(crate) fn place_of(word: &[u8], words: &[u8]) -> Option<usize> {
    // How many of its bytes are those of the known one; none is at `OTHER`.
    const OTHER: usize = usize::MAX;
    let (mut place, mut same) = (0, 0);
    for byte in words {
        same = if *byte != b'\n' {
            let is_same = word.get(same).is_some_and(|other| other.to_ascii_lowercase() == *byte);
            if is_same { same + 1 } else { OTHER }
        } else if same == word.len() {
            return Some(place);
        } else {
            place += 1;
            0
        };
    }
    None
}

/// The word at this place of such a list; empty behind the last one.
pub(crate) fn word_at(place: usize, words: &[u8]) -> &[u8] {
    let mut rest = words;
    for _ in 0..place {
        rest = cut(b'\n', rest).unwrap_or_default().1;
    }
    cut(b'\n', rest).unwrap_or_default().0
}

/// What is before the first NUL, and what is behind it.
#[cfg(feature = "transfer")]
pub(crate) fn until_nul(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    cut(0, bytes)
}

/// What is before the first NUL; all of it where there is none.
#[cfg(feature = "transfer")]
pub(crate) fn text_of(bytes: &[u8]) -> &[u8] {
    first(bytes, find(0, bytes).unwrap_or(bytes.len()))
}

/// What is before the first `byte`, and what is behind it.
#[cfg_attr(target_os = "none", inline(never))]
pub(crate) fn cut(byte: u8, bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = find(byte, bytes)?;
    Some((first(bytes, at), after(bytes, at.saturating_add(1))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_that_do_not_fit_do_less() {
        let mut to = [0; 3];
        assert_eq!((fill(&mut to, b"abcd"), &to), (3, b"abc"));
        assert_eq!((fill(&mut to, b"x"), &to), (1, b"xbc"));
        assert_eq!((put(&mut to, 2, b"yz"), &to), (3, b"xby"));
        assert_eq!((put(&mut to, 4, b"yz"), &to), (4, b"xby"));
        assert_eq!((first(b"ab", 1), first(b"ab", 3)), (&b"a"[..], &b"ab"[..]));
        assert_eq!((after(b"ab", 1), after(b"ab", 3)), (&b"b"[..], &b""[..]));
        assert_eq!(split(b"ab", 1), (&b"a"[..], &b"b"[..]));
        assert_eq!(split(b"ab", 3), (&b"ab"[..], &b""[..]));
    }

    #[test]
    fn digits_there_and_back() {
        let mut room = [0x55; 2];
        for byte in 0..=255 {
            let [high, low] = hex(byte);
            assert!(unhex(&[b'0', b'F', high, low], &mut room), "{byte}");
            assert_eq!(room, [15, byte]);
        }
        for digits in [&b""[..], b"000", b"00000", b"000000", b"00 0", b"-000"] {
            assert!(!unhex(digits, &mut room), "{}", digits.escape_ascii());
        }
    }

    #[cfg(feature = "transfer")]
    #[test]
    fn all_of_it_is_appended_or_nothing() {
        let mut to = [0; 3];
        assert_eq!((append(&mut to, 1, b"yz"), &to), (Some(3), b"\0yz"));
        assert_eq!(
            (append(&mut to, 2, b"ab"), append(&mut to, 4, b""), &to),
            (None, None, b"\0yz")
        );
        assert_eq!(append(&mut to, usize::MAX, b"ab"), None);
    }

    #[test]
    fn words_and_their_places() {
        let words = b"one\ntwo\n\nfour\n";
        assert_eq!(
            [&b"ONE"[..], b"four", b"", b"tw", b"five"].map(|word| place_of(word, words)),
            [Some(0), Some(3), Some(2), None, None]
        );
        assert_eq!([0, 3, 4].map(|place| word_at(place, words)), [&b"one"[..], b"four", b""]);
    }

    #[cfg(feature = "transfer")]
    #[test]
    fn a_word_ends_at_its_nul() {
        assert_eq!(until_nul(b"a\0b\0"), Some((&b"a"[..], &b"b\0"[..])));
        assert_eq!((until_nul(b"\0"), until_nul(b"ab")), (Some((&b""[..], &b""[..])), None));
    }
}
