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

/// The value of a hexadecimal digit, of either case.
pub(crate) const fn hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
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

/// What is before the first NUL, and what is behind it.
#[cfg(feature = "transfer")]
pub(crate) fn until_nul(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = find(0, bytes)?;
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

    #[cfg(feature = "transfer")]
    #[test]
    fn a_word_ends_at_its_nul() {
        assert_eq!(until_nul(b"a\0b\0"), Some((&b"a"[..], &b"b\0"[..])));
        assert_eq!((until_nul(b"\0"), until_nul(b"ab")), (Some((&b""[..], &b""[..])), None));
    }
}
