//! The bytes of a stream that wait in memory.

use super::channel::Channel;
use super::readiness::Readiness;
use crate::sys::Errno;

/// A contiguous queue of bytes. Taking from the front moves nothing.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    /// Bytes before this were taken.
    start: usize,
    /// Bytes behind this are not data, but room that a read did not fill.
    end: usize,
}

impl Buffer {
    /// A queue of the first `end` bytes of a buffer.
    pub(crate) fn filled(bytes: Vec<u8>, end: usize) -> Self {
        debug_assert!(end <= bytes.len());
        Self { bytes, start: 0, end }
    }

    pub(crate) fn data(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    pub(crate) fn data_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.end]
    }

    pub(crate) fn len(&self) -> usize {
        self.end - self.start
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Takes `n` bytes from the front, or all of them.
    pub(crate) fn consume(&mut self, n: usize) {
        self.start += n.min(self.len());
        if self.is_empty() {
            (self.start, self.end) = (0, 0);
        }
    }

    pub(crate) fn append(&mut self, data: &[u8]) {
        self.bytes.truncate(self.end);
        // The room of taken bytes is used before the buffer grows, if it is the greater part, so each
        // byte is moved at most once.
        if self.start > self.len() && self.bytes.len() + data.len() > self.bytes.capacity() {
            self.bytes.drain(..self.start);
            (self.start, self.end) = (0, self.bytes.len());
        }
        self.bytes.extend_from_slice(data);
        self.end = self.bytes.len();
    }

    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Sends as many bytes as the channel takes, and removes them from the front. Returns the number of bytes
    /// that the socket took.
    pub(crate) fn send_to(
        &mut self,
        channel: &mut dyn Channel,
        readiness: &mut Readiness,
    ) -> Result<usize, Errno> {
        let mut wire = 0;
        while readiness.is_writable() && !self.is_empty() {
            let sent = channel.transmit([self.data(), &[]], readiness)?;
            wire += sent.wire;
            if sent.taken > 0 {
                self.consume(sent.taken);
            }
        }
        Ok(wire)
    }

    /// Lends an empty buffer memory, if it has none.
    pub(crate) fn lend(&mut self, spare: &mut Vec<Vec<u8>>) {
        if self.bytes.capacity() == 0 {
            self.bytes = spare.pop().unwrap_or_default();
        }
    }

    /// Gives the memory of an empty buffer back.
    pub(crate) fn give_back(&mut self, spare: &mut Vec<Vec<u8>>) {
        if self.is_empty() && self.bytes.capacity() > 0 {
            let mut bytes = std::mem::take(self).bytes;
            if spare.len() < SPARE_MAX && bytes.capacity() <= SPARE_SIZE_MAX {
                bytes.clear();
                spare.push(bytes);
            }
        }
    }

    /// The memory, with its bytes.
    pub(crate) fn into_inner(self) -> Vec<u8> {
        self.bytes
    }
}

/// The largest number of spare buffers: the memory of many slow readers is freed when they leave.
const SPARE_MAX: usize = 16;

/// The largest spare buffer, so that the memory of one large answer is not kept for ever.
const SPARE_SIZE_MAX: usize = 512 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_leave_in_the_order_in_which_they_came() {
        let (mut buffer, mut model) = (Buffer::default(), Vec::new());
        let mut next = 0_u8;
        for step in 0..1000_usize {
            let data: Vec<u8> = (0..step % 17)
                .map(|_| {
                    next = next.wrapping_add(1);
                    next
                })
                .collect();
            buffer.append(&data);
            model.extend_from_slice(&data);
            let taken = (step * 7 % 19).min(model.len());
            buffer.consume(taken);
            model.drain(..taken);
            assert_eq!(buffer.data(), model, "step {step}");
            assert_eq!((buffer.len(), buffer.is_empty()), (model.len(), model.is_empty()));
        }
    }

    #[test]
    fn a_buffer_that_is_never_empty_does_not_grow() {
        let mut buffer = Buffer::default();
        buffer.append(&[1; 100]);
        for _ in 0..10_000 {
            buffer.append(&[2; 100]);
            buffer.consume(100);
        }
        assert!(buffer.bytes.capacity() <= 1000, "{}", buffer.bytes.capacity());
    }

    #[test]
    fn room_behind_the_data_is_no_data() {
        let mut buffer = Buffer::filled(vec![7; 64], 3);
        assert_eq!(buffer.data(), [7; 3]);
        buffer.append(&[8]);
        assert_eq!(buffer.data(), [7, 7, 7, 8]);
        buffer.consume(usize::MAX);
        assert!(buffer.is_empty());
    }

    #[test]
    fn memory_is_lent_and_given_back() {
        let mut spare = vec![Vec::with_capacity(32)];
        let mut buffer = Buffer::default();
        buffer.lend(&mut spare);
        assert!(spare.is_empty());
        buffer.append(b"x");
        buffer.give_back(&mut spare);
        assert!(spare.is_empty(), "it is in use");
        buffer.consume(1);
        buffer.give_back(&mut spare);
        assert_eq!(spare.len(), 1);
    }
}
