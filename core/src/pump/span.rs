//! A range of a buffer.

/// Bytes `from..to` of a buffer.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Span {
    pub(super) from: usize,
    pub(super) to: usize,
}

impl Span {
    pub(super) const NONE: Self = Self { from: 0, to: 0 };

    pub(super) const fn len(self) -> usize {
        self.to.saturating_sub(self.from)
    }

    pub(super) const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// `len` bytes from `from` on.
    pub(super) const fn of_len(from: usize, len: usize) -> Self {
        Self { from, to: from.saturating_add(len) }
    }

    /// The smaller of its length and `len`.
    pub(super) fn first(self, len: u64) -> usize {
        usize::try_from(len).unwrap_or(usize::MAX).min(self.len())
    }

    /// Removes the first `n` bytes. Returns by how much `n` is longer than the range.
    pub(super) fn pass(&mut self, n: usize) -> usize {
        let passed = n.min(self.len());
        self.from += passed;
        n - passed
    }

    pub(super) fn of(self, memory: &[u8]) -> &[u8] {
        memory.get(self.from..self.to).unwrap_or_default()
    }

    pub(super) fn of_mut(self, memory: &mut [u8]) -> &mut [u8] {
        memory.get_mut(self.from..self.to).unwrap_or_default()
    }
}
