//! Moments of a connection in few bytes: there are ten thousand connections.

use windlass_core::time::Instant;

/// A moment in six bytes: 48 bits of microseconds are nine years.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment([u8; 6]);

impl Moment {
    pub(super) fn get(self) -> Instant {
        Instant::from_micros(number(self.0))
    }
}

impl From<Instant> for Moment {
    fn from(at: Instant) -> Self {
        Self(low(at.as_micros()))
    }
}

/// When a connection began, in units of 16 microseconds, and how far it came. 50 days later the span begins
/// at 0 again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Began([u8; 5]);

const UNIT_BITS: u32 = 4;

/// Bits of the first byte that are flags, in place of the highest bits of the time.
const IS_NEW: u8 = 1 << 7;
const IS_SILENT: u8 = 1 << 6;
const TIME: u64 = (1 << 38) - 1;

impl Began {
    pub(super) fn new(now: Instant) -> Self {
        let mut bytes = low(now.as_micros() >> UNIT_BITS & TIME);
        bytes[0] |= IS_NEW | IS_SILENT;
        Self(bytes)
    }

    /// How long ago that was.
    pub(super) fn ago_us(self, now: Instant) -> u64 {
        ((now.as_micros() >> UNIT_BITS).wrapping_sub(number(self.0)) & TIME) << UNIT_BITS
    }

    /// Whether it has had no turn: true once.
    pub(super) fn has_first_turn(&mut self) -> bool {
        self.clear(IS_NEW)
    }

    /// Whether it has sent nothing: true once.
    pub(super) fn has_first_byte(&mut self) -> bool {
        self.clear(IS_SILENT)
    }

    fn clear(&mut self, flag: u8) -> bool {
        let was = self.0[0] & flag != 0;
        self.0[0] &= !flag;
        was
    }
}

/// The lowest bytes of a number, the highest of them first.
fn low<const N: usize>(number: u64) -> [u8; N] {
    let bytes = number.to_be_bytes();
    std::array::from_fn(|at| bytes[size_of::<u64>() - N + at])
}

fn number<const N: usize>(bytes: [u8; N]) -> u64 {
    bytes.iter().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_kept() {
        for us in [0, 1, 1 << 47, (1 << 48) - 1] {
            let at = Instant::from_micros(us);
            assert_eq!(Moment::from(at).get(), at);
        }
    }

    #[test]
    fn spans_are_right_to_sixteen_microseconds() {
        for began in [0, 1_000_003, u64::from(u32::MAX) << 20] {
            let mut it = Began::new(Instant::from_micros(began));
            for span in [0, 17, 1_000, 86_400_000_000] {
                let told = it.ago_us(Instant::from_micros(began + span));
                assert!(told.abs_diff(span) < 32, "{began} {span} {told}");
            }
            assert!(it.has_first_turn() && !it.has_first_turn());
            assert!(it.has_first_byte() && !it.has_first_byte());
            assert_eq!(it.ago_us(Instant::from_micros(began)), 0);
        }
    }
}
