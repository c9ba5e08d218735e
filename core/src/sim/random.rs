//! Numbers that look random and follow from a seed.

/// `SplitMix64` (Steele, Lea, Flood 2014).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Random(u64);

impl Random {
    /// The same numbers for the same seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 32 bits.
    pub const fn bits(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let [.., b4, b5, b6, b7] = (z ^ (z >> 31)).to_le_bytes();
        u32::from_le_bytes([b4, b5, b6, b7])
    }

    /// A number below `n`; 0 if there is none.
    pub const fn below(&mut self, n: u32) -> u32 {
        let scaled = (self.bits() as u64).wrapping_mul(n as u64);
        let [.., b4, b5, b6, b7] = scaled.to_le_bytes();
        u32::from_le_bytes([b4, b5, b6, b7])
    }

    /// True in so many of a thousand cases.
    pub const fn chance(&mut self, of_1000: u16) -> bool {
        of_1000 > 0 && self.below(1000) < of_1000 as u32
    }
}
