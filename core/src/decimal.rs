//! Decimal numbers without division: a 64-bit one costs 1.3 KB of flash on a Cortex-M0.

/// How many digits `number` has: at least one.
pub(crate) fn digits(number: u64) -> usize {
    let mut bytes = number.to_be_bytes();
    let mut digits = 0;
    loop {
        divide(&mut bytes);
        digits += 1;
        if bytes == [0; 8] {
            return digits;
        }
    }
}

/// The most digits of a number.
#[cfg(any(feature = "transfer", test))]
pub(crate) const DIGITS_MAX: usize = 20;

/// The digits of `number`, at the end of `room`.
#[cfg(any(feature = "transfer", test))]
pub(crate) fn render(number: u64, room: &mut [u8; DIGITS_MAX]) -> &[u8] {
    let mut bytes = number.to_be_bytes();
    let mut at = room.len();
    while let Some(slot) = room.get_mut(at.wrapping_sub(1)) {
        at -= 1;
        *slot = b'0' + divide(&mut bytes);
        if bytes == [0; 8] {
            break;
        }
    }
    room.get(at..).unwrap_or_default()
}

/// Divides the number by 10, and returns the remainder: its last digit. A processor of 64 bits has an
/// instruction for it.
#[inline(never)]
pub(crate) fn divide(number: &mut [u8; 8]) -> u8 {
    if cfg!(not(target_pointer_width = "64")) {
        return divide_long(number);
    }
    let value = u64::from_be_bytes(*number);
    *number = (value / 10).to_be_bytes();
    let [digit, ..] = (value % 10).to_le_bytes();
    digit
}

/// The same by long division, one byte at a time: the numbers stay so small that a multiplication of 32
/// bits suffices.
fn divide_long(number: &mut [u8; 8]) -> u8 {
    let mut rest = 0;
    for byte in number {
        // At most 9 * 256 + 255; up to 16,388 this is the quotient by 10.
        let part = (rest << 8) | u32::from(*byte);
        let [quotient, ..] = ((part * 6554) >> 16).to_le_bytes();
        rest = part - u32::from(quotient) * 10;
        *byte = quotient;
    }
    let [digit, ..] = rest.to_le_bytes();
    digit
}

/// `number` with one more digit behind it. `None` if `digit` is not a digit, or if the number does not
/// fit in a `u64`.
pub(crate) fn append(number: u64, digit: u8) -> Option<u64> {
    let digit = digit.wrapping_sub(b'0');
    if digit > 9 || number > u64::MAX / 10 {
        return None;
    }
    // Ten times, by shifts: a multiplication of 64 bits is a function of its own on a device.
    ((number << 3) + (number << 1)).checked_add(digit.into())
}

/// Reads decimal digits only. `None` for no digits, other bytes, or a number that does not fit in a
/// `u64`.
#[inline(never)]
pub(crate) fn parse(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0, |number, &digit| append(number, digit))
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn rendered(number: u64) -> Vec<u8> {
        render(number, &mut [0; DIGITS_MAX]).to_vec()
    }

    #[test]
    fn boundaries() {
        for number in [0, 1, 9, 10, 99, 100, u64::from(u32::MAX), u64::MAX - 1, u64::MAX] {
            let text = std::format!("{number}");
            assert_eq!(rendered(number), text.as_bytes());
            assert_eq!(parse(text.as_bytes()), Some(number));
        }
        for text in ["", "-1", " 1", "1 ", "1a", "18446744073709551616"] {
            assert_eq!(parse(text.as_bytes()), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_rendered_is_parsed(number: u64, shift in 0..64) {
            let number = number >> shift;
            prop_assert_eq!(parse(&rendered(number)), Some(number));
            let (mut one, mut other) = (number.to_be_bytes(), number.to_be_bytes());
            prop_assert_eq!(divide_long(&mut one), divide(&mut other));
            prop_assert_eq!(one, other);
        }
    }
}
