//! Why a text is not a URL.

use std::fmt;

use fluent_uri::ParseError;
use fluent_uri::resolve::ResolveError;

/// Why a text is not a URL that can be requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UrlError {
    /// A character that is not allowed there, or an early end.
    Syntax {
        /// The offset of its first byte.
        at: usize,
    },
    /// It does not begin with a known scheme.
    Scheme,
    /// It leads from https to http.
    Unsecured,
    /// It names a user, and the protocol has none.
    Userinfo,
    /// It has no host.
    NoHost,
    /// The host is neither a name in ASCII nor an address.
    Host,
    /// The text behind the percent sign in an IPv6 address is not the name of an interface.
    Zone,
    /// There is no name of a file, or the protocol cannot send it.
    Name,
    /// The mode of a `tftp` URL is unknown (RFC 3617).
    Mode,
    /// The port is not a number from 1 to 65535.
    Port,
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            UrlError::Syntax { at } => {
                return write!(f, "not a URL: byte {at} of it cannot be there");
            }
            UrlError::Scheme => "a URL begins with http://, https://, files://, tftp:// or xfer://",
            UrlError::Unsecured => "it leads from https:// to http://",
            UrlError::Userinfo => "the URL names a user, and this protocol has no login",
            UrlError::NoHost => "the URL has no host",
            UrlError::Host => "the host is neither a name in ASCII nor an address",
            UrlError::Zone => "an IPv6 address is followed by % and no name of an interface",
            UrlError::Name => "the URL names no file, or the name has a NUL",
            UrlError::Mode => "the mode is neither octet nor netascii",
            UrlError::Port => "the port is not a number from 1 to 65535",
        })
    }
}

impl std::error::Error for UrlError {}

impl From<ParseError> for UrlError {
    fn from(error: ParseError) -> Self {
        UrlError::Syntax { at: error.index() }
    }
}

impl From<ResolveError> for UrlError {
    fn from(error: ResolveError) -> Self {
        match error {
            // None of them can be: our base has no fragment and an authority, and `..` above the
            // root is allowed.
            ResolveError::BaseWithFragment
            | ResolveError::InvalidReferenceAgainstOpaqueBase
            | ResolveError::PathUnderflow => UrlError::Syntax { at: 0 },
        }
    }
}
