//! Decimal numbers without division: a 64-bit one costs 1.3 KB of flash on a Cortex-M0.

use crate::bytes::after;

/// Digits of the largest `u64`.
pub(crate) const DIGITS_MAX: usize = 20;

/// Writes `number` at the end of `to`, zeros before it, and returns its digits.
///
/// Long division by 10, a byte at a time: the numbers stay so small that a multiplication does.
#[inline(never)]
pub(crate) fn render(number: u64, to: &mut [u8; DIGITS_MAX]) -> &[u8] {
    let mut bytes = number.to_be_bytes();
    let mut zeros = 0;
    for slot in to.iter_mut().rev() {
        let mut rest = 0;
        for byte in &mut bytes {
            // At most 9 * 256 + 255; up to 16,388 this is the quotient by 10.
            let part = (rest << 8) | u32::from(*byte);
            let [quotient, ..] = ((part * 6554) >> 16).to_le_bytes();
            rest = part - u32::from(quotient) * 10;
            *byte = quotient;
        }
        let [digit, ..] = rest.to_le_bytes();
        *slot = b'0' + digit;
        zeros = if digit == 0 { zeros + 1 } else { 0 };
    }
    // The number 0 has one digit too.
    after(to, zeros.min(DIGITS_MAX - 1))
}

/// Reads decimal digits and nothing else. `None` without any, or when no `u64` holds the number.
#[inline(never)]
pub(crate) fn parse(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, digit| {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 || number > u64::MAX / 10 {
            return None;
        }
        // Ten times, by shifts: a multiplication of 64 bits is a function of its own on a device.
        ((number << 3) + (number << 1)).checked_add(digit.into())
    })
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn boundaries() {
        for number in [0, 1, 9, 10, 99, 100, u64::from(u32::MAX), u64::MAX - 1, u64::MAX] {
            let text = std::format!("{number}");
            assert_eq!(render(number, &mut [0; DIGITS_MAX]), text.as_bytes());
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
            prop_assert_eq!(parse(render(number, &mut [0; DIGITS_MAX])), Some(number));
        }
    }
}
