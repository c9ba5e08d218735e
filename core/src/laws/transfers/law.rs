//! The laws.

/// What a transfer must do whatever its shell, its storage and the network do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum TransferLaw {
    /// Over a network that loses, doubles and reorders, both ends are done in the end, the receiver with the
    /// whole file.
    Completes,
    /// It ends in a fault if the network is cut or its storage fails, and the end that received is not done
    /// with a file that is not whole.
    EndsInFault,
    /// Nothing is acknowledged before it is kept: the sender is not done before storage has made the file
    /// valid, and while storage works nothing is read or sent.
    KeepsFirst,
    /// To render changes nothing, and gives the same datagram again.
    Pure,
    /// It has what it wants to send, and an operation if it wants storage; after a tick nothing is due.
    NoSpin,
    /// A tick before it is due changes nothing.
    EarlyTicks,
    /// A datagram that is not of the protocol changes nothing.
    Malformed,
    /// After `abort` it is done with that fault, and sends one datagram more at most.
    Aborts,
    /// It never reopens.
    ClosesForward,
    /// A clock that steps backwards is survived.
    ClockStepsBack,
    /// An address from which a request came, and nothing else, gets three datagrams at most.
    Unanswered,
}
