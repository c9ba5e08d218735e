//! Memory that the host lends.

/// Memory for a table: an array, a slice that is lent, or what the program has.
pub trait Memory<T>: AsRef<[T]> + AsMut<[T]> {}

impl<T, M: AsRef<[T]> + AsMut<[T]>> Memory<T> for M {}
