//! Datagrams in a buffer, one behind the other, which leave together.

use windlass_core::file::Extent;

/// Datagrams that are laid out together at most.
const COUNT_MAX: usize = 64;

/// Where each of them ends. All transfers of a thread use one, because each of them sends at once what it has laid out.
#[derive(Debug, Default)]
pub(super) struct Layout {
    ends: Vec<usize>,
    /// For each, where its data ends in the file; 0 without data.
    data_ends: Vec<u64>,
    /// Bytes of the buffer that are valid.
    pub(super) valid: usize,
}

impl Layout {
    /// There is none.
    pub(super) fn clear(&mut self) {
        self.ends.clear();
        self.data_ends.clear();
        self.valid = 0;
    }

    /// The number of the next one, if there is a place for it.
    pub(super) fn next(&self) -> Option<usize> {
        Some(self.ends.len()).filter(|&count| count < COUNT_MAX)
    }

    pub(super) fn push(&mut self, end: usize, body: Extent) {
        self.ends.push(end);
        self.data_ends.push(if body.len == 0 { 0 } else { body.offset + body.len });
    }

    /// Where the data of each ends in the file; 0 without data.
    pub(super) fn data_ends(&self) -> &[u64] {
        &self.data_ends
    }

    /// Where the datagrams end that are valid, the first one among them.
    pub(super) fn ends(&self) -> &[usize] {
        &self.ends[..self.ends.partition_point(|&end| end <= self.valid)]
    }
}
