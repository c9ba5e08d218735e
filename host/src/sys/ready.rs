//! Interest and readiness: the same two types for `select`, `poll` and `epoll`.

/// What a descriptor is watched for. Errors and hang-ups are always watched.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Interest {
    /// Input.
    pub read: bool,
    /// Room for output.
    pub write: bool,
}

impl Interest {
    /// Nothing but errors and hang-ups.
    pub const NONE: Self = Self { read: false, write: false };
    /// Input.
    pub const READ: Self = Self { read: true, write: false };
    /// Room for output.
    pub const WRITE: Self = Self { read: false, write: true };
}

/// What a descriptor is ready for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Ready {
    /// A read will not block: there is input, its end, or an error.
    pub read: bool,
    /// A write will not block.
    pub write: bool,
    /// The peer will send no more (`RDHUP`, `HUP`, `ERR`), or sent urgent data (`PRI`): a short read
    /// does not mean that nothing is left.
    pub hup: bool,
    /// The connection is dead in both directions (`HUP`, `ERR`).
    pub dead: bool,
}

impl Ready {
    /// Ready for nothing: a timer, or a first look.
    pub const NONE: Self = Self { read: false, write: false, hup: false, dead: false };

    /// Ready for a read.
    pub const READ: Self = Self { read: true, ..Self::NONE };

    /// Whether anything is ready.
    pub fn any(self) -> bool {
        self != Self::NONE
    }
}

impl std::ops::BitOrAssign for Ready {
    fn bitor_assign(&mut self, more: Self) {
        self.read |= more.read;
        self.write |= more.write;
        self.hup |= more.hup;
        self.dead |= more.dead;
    }
}

/// Which registration an event belongs to: an index, and the generation of the entry there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Token {
    /// The index in the table.
    pub index: u32,
    /// The number of the entry at that index, so that a late event for an earlier entry is recognised.
    pub generation: u32,
}

impl Token {
    /// Not a connection: the server's listener.
    pub const LISTENER: Self = Self { index: u32::MAX, generation: 0 };
    /// Not a connection: the descriptor that asks the server to stop.
    pub const STOP: Self = Self { index: u32::MAX, generation: 1 };

    /// Not a connection: the bell of the threads that read files.
    pub const HELPERS: Self = Self { index: u32::MAX, generation: 4 };

    /// As the 64 bits of `epoll_data`.
    pub const fn to_bits(self) -> u64 {
        (self.generation as u64) << 32 | self.index as u64
    }

    /// From the 64 bits of `epoll_data`.
    pub const fn from_bits(bits: u64) -> Self {
        Self { index: bits as u32, generation: (bits >> 32) as u32 }
    }
}

/// A timeout as the whole milliseconds of `epoll_wait`, rounded up: rounded down, a loop would spin
/// through the last millisecond.
pub(super) fn millis(wait_us: Option<u64>) -> Option<u32> {
    // A day: longer waits are broken into days.
    const MAX_MS: u64 = 86_400_000;
    wait_us.map(|us| us.div_ceil(1000).min(MAX_MS) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_survive_epoll_data() {
        for token in [
            Token::LISTENER,
            Token::STOP,
            Token { index: 0, generation: 0 },
            Token { index: 7, generation: u32::MAX },
        ] {
            assert_eq!(Token::from_bits(token.to_bits()), token);
        }
    }

    #[test]
    fn waits_are_rounded_up() {
        for (us, ms) in [(0, 0), (1, 1), (1000, 1), (1001, 2), (u64::MAX, 86_400_000)] {
            assert_eq!(millis(Some(us)), Some(ms));
        }
        assert_eq!(millis(None), None);
    }
}
