//! How `upper` and `echo` change the bytes that they send back, on streams and on datagrams.

/// Changes bytes in place, each byte by itself, so that a stream may be cut anywhere.
pub trait Transform {
    /// Changes the bytes in place.
    fn transform(bytes: &mut [u8]);
}

/// `a`–`z` become `A`–`Z`; every other byte stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Uppercase;

impl Transform for Uppercase {
    fn transform(bytes: &mut [u8]) {
        bytes.make_ascii_uppercase();
    }
}

/// Every byte stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Unchanged;

impl Transform for Unchanged {
    fn transform(_: &mut [u8]) {}
}
