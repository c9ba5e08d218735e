//! Numbers that look random and follow from a seed.

/// `SplitMix64` (Steele, Lea, Flood 2014): small, good enough, the same everywhere.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The sequence of `seed`.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 1 to `most`.
    pub fn up_to(&mut self, most: usize) -> usize {
        // It is below a usize.
        (self.next() % most as u64) as usize + 1
    }

    /// `count` bytes.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        let words = std::iter::repeat_with(|| self.next().to_ne_bytes());
        words.take(count.div_ceil(8)).flatten().take(count).collect()
    }

    /// True in so many of a thousand cases.
    pub(crate) const fn chance(&mut self, of_1000: u16) -> bool {
        self.next() % 1000 < of_1000 as u64
    }
}
