//! What a client asks.

use super::{NAME_MAX, Options, REQUEST_MAX, options::OPTIONS_MAX};
use crate::bytes::{first, put};
use crate::file::Refusal;
use crate::wire::FrameHeader;

/// A request for a file.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Request<'n> {
    /// The name, as the server's root has it: at most [`NAME_MAX`] bytes, no NUL.
    pub name: &'n [u8],
    /// What else is asked for.
    pub options: Options,
}

impl Request<'_> {
    /// Bytes of a request on the wire at most.
    pub const WIRE_MAX: usize = FrameHeader::LEN + REQUEST_MAX;

    /// Writes the request as it travels, and says how many bytes it is.
    ///
    /// # Errors
    /// The name is empty, has a NUL in it, or does not fit.
    pub fn render(&self, to: &mut [u8]) -> Result<usize, Refusal> {
        if self.name.is_empty() || self.name.contains(&0) {
            return Err(Refusal::BadName);
        }
        let mut text = [0; OPTIONS_MAX];
        let len = self.options.render(&mut text);
        let options = first(&text, len);
        let payload = self.name.len().saturating_add(1 + options.len());
        if self.name.len() > NAME_MAX || to.len() < FrameHeader::LEN.saturating_add(payload) {
            return Err(Refusal::TooLong);
        }
        let header = FrameHeader::new(u32::try_from(payload).map_err(|_| Refusal::TooLong)?);
        let mut len = 0;
        for part in [header.as_bytes(), self.name, &[0], options] {
            len = put(to, len, part);
        }
        Ok(len)
    }
}
