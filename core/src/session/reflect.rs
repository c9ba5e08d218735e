//! Services that answer every byte with a byte: `upper` and `echo`.

use core::marker::PhantomData;

use super::{Consumed, Out, Session};
use crate::fault::Fault;
use crate::time::Instant;
use crate::transform::{Transform, Unchanged, Uppercase};
use crate::want::{Close, Want};

/// Sends every byte back, transformed, until the peer half-closes, and then closes.
///
/// The reply is the input, changed in place. No output is pending between calls, so there is no buffer.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Reflect<T> {
    close: Close,
    transform: PhantomData<T>,
}

/// The `upper` service, `toupper` for a stream.
pub type Upper = Reflect<Uppercase>;

/// The `echo` service (RFC 862, in its TCP form).
pub type Echo = Reflect<Unchanged>;

impl<T> Reflect<T> {
    /// A session at the beginning of its stream.
    pub const fn new() -> Self {
        Self { close: Close::Open, transform: PhantomData }
    }
}

impl<T> Default for Reflect<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Transform> Session for Reflect<T> {
    fn input(&mut self, _: Instant, bytes: &mut [u8], _: &mut Out<'_>) -> Consumed {
        if self.close.is_done() {
            return Consumed::bytes(bytes.len());
        }
        T::transform(bytes);
        Consumed::reply(bytes.len())
    }

    fn eof(&mut self, _: Instant) {
        self.close.end(Ok(()));
    }

    fn want(&self) -> Want {
        match self.close {
            Close::Open | Close::WriteHalf => Want::READ,
            Close::Done(how) => Want::done(how),
        }
    }

    fn abort(&mut self, why: Fault) {
        self.close.end(Err(why));
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::laws::Lab;
    use proptest::prelude::*;

    #[test]
    fn they_keep_the_laws() {
        // The work grows with the square of the length, and Miri is slow.
        let len = if cfg!(miri) { 16 } else { 300 };
        let input: std::vec::Vec<u8> = (b'Z'..=b'z').cycle().take(len).collect();
        Lab::<512>::new().check(Upper::new, &input).unwrap();
        Lab::<512>::new().check(Echo::new, &input).unwrap();
        Lab::<16>::new().check(Upper::new, b"").unwrap();
    }

    proptest! {
        #[test]
        fn upper_changes_ascii_letters_only(bytes: std::vec::Vec<u8>) {
            let expected = bytes.to_ascii_uppercase();
            let mut bytes = bytes;
            let took = Upper::new().input(Instant::ZERO, &mut bytes, &mut Out::new(&mut []));
            prop_assert_eq!(took, Consumed::reply(expected.len()));
            prop_assert_eq!(bytes, expected);
        }
    }
}
