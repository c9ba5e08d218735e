//! Writes exactly `n` bytes, however many calls that takes.

use super::{Step, Write};

/// Writes all of its bytes (`writen`).
///
/// ```text
/// bytes  [ written ....... | unwritten ....... ]
///        0               moved           bytes.len()
/// ```
///
/// A call that writes nothing and reports no error ends it, as in `writen`. The caller reports any
/// other error, and [`moved`](Self::moved) then still has the count. Without bytes to write it is
/// [`Step::Done`] before any write.
#[derive(Debug, Clone)]
pub struct WriteN<'b> {
    bytes: &'b [u8],
    /// Bytes written so far. Invariant: `moved <= bytes.len()`.
    moved: usize,
}

#[cfg(feature = "defmt")]
impl defmt::Format for WriteN<'_> {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(
            f,
            "WriteN {{ moved: {=usize}, of: {=usize} }}",
            self.moved,
            self.bytes.len()
        );
    }
}

impl<'b> WriteN<'b> {
    /// Will write the whole of `bytes`.
    pub const fn new(bytes: &'b [u8]) -> Self {
        Self { bytes, moved: 0 }
    }

    /// The next step, before or between writes.
    pub const fn step(&self) -> Step {
        if self.moved == self.bytes.len() { Step::Done } else { Step::Again }
    }

    /// The bytes for the next write. Empty only when [`Step::Done`].
    pub fn unwritten(&self) -> &'b [u8] {
        self.bytes.get(self.moved..).unwrap_or_default()
    }

    /// Bytes written so far.
    pub const fn moved(&self) -> usize {
        self.moved
    }

    /// Takes the outcome of one write of [`unwritten`](Self::unwritten).
    pub fn handle_write(&mut self, write: Write) -> Step {
        match write {
            Write::Moved(n) => {
                debug_assert!(n.get() <= self.bytes.len() - self.moved, "moved more than was left");
                self.moved = self.moved.saturating_add(n.get()).min(self.bytes.len());
                self.step()
            }
            Write::Interrupted | Write::WouldBlock | Write::Nothing
                if self.step() == Step::Done =>
            {
                Step::Done
            }
            Write::Interrupted => Step::Again,
            Write::WouldBlock => Step::Wait,
            Write::Nothing => Step::Ended { moved: self.moved },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_to_write_is_done_before_any_write() {
        let mut write = WriteN::new(b"");
        assert_eq!(write.step(), Step::Done);
        assert_eq!(write.handle_write(Write::Nothing), Step::Done);
    }

    #[test]
    fn a_write_of_zero_ends_it_with_the_count() {
        let mut write = WriteN::new(b"abc");
        assert_eq!(write.handle_write(Write::count(2)), Step::Again);
        assert_eq!(write.handle_write(Write::count(0)), Step::Ended { moved: 2 });
        assert_eq!(write.unwritten(), b"c");
    }

    proptest! {
        #[test]
        fn every_script_of_short_writes_sends_each_byte_once(
            data in proptest::collection::vec(any::<u8>(), 0..100),
            script in proptest::collection::vec(0usize..6, 0..300),
        ) {
            let mut write = WriteN::new(&data);
            let mut sent = Vec::new();
            for choice in script {
                let outcome = match choice {
                    0 => Write::Interrupted,
                    1 => Write::WouldBlock,
                    n => {
                        let n = (n - 1).min(write.unwritten().len());
                        sent.extend_from_slice(&write.unwritten()[..n]);
                        Write::count(n)
                    }
                };
                let step = write.handle_write(outcome);
                prop_assert_eq!(step == Step::Done, sent.len() == data.len());
                prop_assert_eq!(&sent[..], &data[..write.moved()]);
            }
        }
    }

    extern crate std;
    use std::vec::Vec;
}
