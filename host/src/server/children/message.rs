//! The messages between a parent and its children: seven bytes each.

use windlass_core::pool::processes::Conn;

/// A message: its kind, and the connection that it is about, if it is about one.
type Bytes = [u8; 7];

/// From a parent to a worker of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server) enum Order {
    /// Serve the connection; its descriptor comes with this message.
    Serve(Conn),
    /// Finish the connection that you have, and exit.
    Quit,
    /// As [`Quit`](Self::Quit), while the pool stops: go on with last answers that may have to be repeated, until there
    /// are none, or the next order comes.
    Drain,
}

/// From a child to its parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server) enum Report {
    /// The child can serve.
    Ready,
    /// The worker has served this connection.
    Done(Conn),
    /// The message with this connection came without its descriptor.
    Returned(Conn),
    /// The worker has served as many connections as it may.
    Retiring,
    /// The worker, which was ordered to drain, only repeats last answers.
    Repeating,
}

const NONE: Conn = Conn { index: 0, generation: 0 };

impl Order {
    /// Bytes of an order. What is behind them is a note about the connection.
    pub(in crate::server) const LEN: usize = size_of::<Bytes>();

    /// To a worker that is to end: alone, or because the pool stops.
    pub(in crate::server) fn to_end(pool_stops: bool) -> Self {
        if pool_stops { Self::Drain } else { Self::Quit }
    }

    pub(in crate::server) fn to_bytes(self) -> Bytes {
        match self {
            Self::Serve(conn) => pack(b'S', conn),
            Self::Quit => pack(b'Q', NONE),
            Self::Drain => pack(b'G', NONE),
        }
    }

    pub(in crate::server) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        match unpack(bytes)? {
            (b'S', conn) => Some(Self::Serve(conn)),
            (b'Q', _) => Some(Self::Quit),
            (b'G', _) => Some(Self::Drain),
            _ => None,
        }
    }
}

impl Report {
    pub(in crate::server) fn to_bytes(self) -> Bytes {
        match self {
            Self::Ready => pack(b'R', NONE),
            Self::Done(conn) => pack(b'D', conn),
            Self::Returned(conn) => pack(b'X', conn),
            Self::Retiring => pack(b'T', NONE),
            Self::Repeating => pack(b'L', NONE),
        }
    }

    pub(in crate::server) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        match unpack(bytes)? {
            (b'R', _) => Some(Self::Ready),
            (b'D', conn) => Some(Self::Done(conn)),
            (b'X', conn) => Some(Self::Returned(conn)),
            (b'T', _) => Some(Self::Retiring),
            (b'L', _) => Some(Self::Repeating),
            _ => None,
        }
    }
}

fn pack(kind: u8, conn: Conn) -> Bytes {
    let mut bytes = [kind; 7];
    bytes[1..3].copy_from_slice(&conn.index.to_ne_bytes());
    bytes[3..].copy_from_slice(&conn.generation.to_ne_bytes());
    bytes
}

fn unpack(bytes: &[u8]) -> Option<(u8, Conn)> {
    let (&kind, conn) = bytes.split_first()?;
    let (index, generation) = conn.split_at_checked(2)?;
    let index = u16::from_ne_bytes(index.try_into().ok()?);
    let generation = u32::from_ne_bytes(generation.try_into().ok()?);
    Some((kind, Conn { index, generation }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_read_as_it_was_written() {
        use Report::{Done, Ready, Repeating, Retiring, Returned};
        let conn = Conn { index: 513, generation: 0x0102_0304 };
        for order in [Order::Serve(conn), Order::Quit, Order::Drain] {
            assert_eq!(Order::from_bytes(&order.to_bytes()), Some(order));
        }
        for report in [Ready, Done(conn), Returned(conn), Retiring, Repeating] {
            assert_eq!(Report::from_bytes(&report.to_bytes()), Some(report));
        }
    }

    #[test]
    fn other_bytes_are_no_message() {
        for bytes in [&b""[..], b"S", b"S12345", b"S1234567", b"Z123456"] {
            assert_eq!((Order::from_bytes(bytes), Report::from_bytes(bytes)), (None, None));
        }
    }
}
