//! Decimal numbers without division: a 64-bit one costs 1.3 KB of flash on a Cortex-M0.

use crate::bytes::after;

/// Digits of the largest `u64`.
pub(crate) const DIGITS_MAX: usize = 20;

/// The powers of ten, the largest first.
const POWERS: [u64; DIGITS_MAX] = {
    let mut powers = [1; DIGITS_MAX];
    let mut power = 1;
    let mut rest: &mut [u64] = &mut powers;
    while let [before @ .., last] = rest {
        *last = power;
        // Behind the largest there is none.
        power = power.wrapping_mul(10);
        rest = before;
    }
    powers
};

/// Writes `number` at the end of `to`, zeros before it, and returns its digits.
#[inline(never)]
pub(crate) fn render(mut number: u64, to: &mut [u8; DIGITS_MAX]) -> &[u8] {
    let mut leading = 0;
    let mut is_leading = true;
    for (slot, power) in to.iter_mut().zip(POWERS) {
        *slot = b'0';
        while number >= power {
            number -= power;
            *slot += 1;
            is_leading = false;
        }
        leading += usize::from(is_leading);
    }
    // The number 0 has one digit too.
    after(to, leading.min(DIGITS_MAX - 1))
}

/// Reads decimal digits and nothing else. `None` without any, or when no `u64` holds the number.
#[inline(never)]
pub(crate) fn parse(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
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
