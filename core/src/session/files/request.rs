//! The request of a client.

use super::{NAME_MAX, Options, REQUEST_MAX, header_of};
use crate::bytes::fill;
use crate::file::Refusal;
use crate::text::Text;
use crate::wire::FrameHeader;

/// A request for a file.
#[derive(Debug, Clone, Copy)]
pub struct Request<'n> {
    /// The name below the server's root: at most [`NAME_MAX`] bytes, no NUL.
    pub name: &'n [u8],
    /// The options.
    pub options: Options,
}

#[cfg(feature = "defmt")]
impl defmt::Format for Request<'_> {
    fn format(&self, f: defmt::Formatter<'_>) {
        let name = self.name.len();
        defmt::write!(f, "Request {{ name: {=usize}, options: {} }}", name, self.options);
    }
}

impl Request<'_> {
    /// The longest request on the wire, in bytes.
    pub const WIRE_MAX: usize = FrameHeader::LEN + REQUEST_MAX;

    /// Renders the request as on the wire, and returns its length in bytes.
    ///
    /// # Errors
    /// The name is empty, has a NUL in it, or does not fit.
    pub fn render(&self, to: &mut [u8]) -> Result<usize, Refusal> {
        if self.name.is_empty() || self.name.contains(&0) {
            return Err(Refusal::BadName);
        }
        let (header, payload) =
            to.split_at_mut_checked(FrameHeader::LEN).ok_or(Refusal::TooLong)?;
        let room = payload.len();
        let mut text = Text::new(payload, 0);
        text.put(self.name);
        text.put(&[0]);
        self.options.write(&mut text);
        let len = text.len();
        if self.name.len() > NAME_MAX || len > room {
            return Err(Refusal::TooLong);
        }
        fill(header, header_of(len).as_bytes());
        Ok(FrameHeader::LEN + len)
    }
}
