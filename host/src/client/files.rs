//! The URL of a file of the `files` service: `files://HOST[:PORT]/NAME`.

use std::fmt;

use fluent_uri::{IriRef, UriRef};

use super::http::{UrlError, Zoneless, server};
use crate::addr::HostPort;

/// The port of `files` (docs/PROTOCOL.md).
const PORT: u16 = 2334;

/// A name, and the server of it. The name is what follows the host and its slash, with percent
/// escapes decoded, and is sent as it is: the server decides which file it means. Without a name
/// no request is sent: the server has to push a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilesUrl {
    server: HostPort,
    name: Box<[u8]>,
    /// The path as it was written.
    path: String,
}

impl FilesUrl {
    /// Parses the text of a user.
    ///
    /// # Errors
    /// The text is not a URL, or has more than a host, a port and a name.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let zoneless = Zoneless::of(text.as_bytes())?;
        // It was UTF-8, and only ASCII was removed.
        let rest = str::from_utf8(&zoneless.text).map_err(|_| UrlError::Syntax { at: 0 })?;
        zoneless.restore(Self::parse_zoneless(rest), |url| &mut url.server)
    }

    fn parse_zoneless(text: &str) -> Result<Self, UrlError> {
        let uri: UriRef<String> = IriRef::parse(text)?.to_uri_ref();
        if !uri.scheme().is_some_and(|scheme| scheme.as_str().eq_ignore_ascii_case("files")) {
            return Err(UrlError::Scheme);
        }
        // In a name these characters would have to be escaped.
        if let Some(at) = text.find(['?', '#']) {
            return Err(UrlError::Syntax { at });
        }
        if uri.authority().is_some_and(|authority| authority.has_userinfo()) {
            return Err(UrlError::Userinfo);
        }
        let server = server(&uri, PORT)?;
        let path = uri.path();
        let bytes = path.decode().to_bytes();
        let name = bytes.strip_prefix(b"/").unwrap_or(&bytes).into();
        Ok(Self { server, name, path: path.as_str().to_owned() })
    }

    /// The host and port to connect to.
    pub fn server(&self) -> &HostPort {
        &self.server
    }

    /// The name as it is sent.
    pub fn name(&self) -> &[u8] {
        &self.name
    }
}

impl fmt::Display for FilesUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "files://{}{}", self.server, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_follows_the_host() {
        for (text, host, port, name) in [
            ("files://h/name", "h", 2334, &b"name"[..]),
            ("FILES://h:1/a/b%20c", "h", 1, b"a/b c"),
            ("files://[::1]:9/../x", "::1", 9, b"../x"),
            ("files://h//etc/passwd", "h", 2334, b"/etc/passwd"),
            ("files://h/%00%ff", "h", 2334, b"\0\xff"),
            ("files://h/", "h", 2334, b""),
            ("files://h", "h", 2334, b""),
        ] {
            let url = FilesUrl::parse(text).unwrap();
            assert_eq!((&url.server.host[..], url.server.port, url.name()), (host, port, name));
            let again = FilesUrl::parse(&url.to_string()).unwrap();
            assert_eq!((again.server, again.name), (url.server, url.name), "{text}");
        }
    }

    #[test]
    fn what_has_no_place_there_is_refused() {
        for (text, error) in [
            ("http://h/", UrlError::Scheme),
            ("files:///name", UrlError::NoHost),
            ("files://u@h/name", UrlError::Userinfo),
            ("files://h:0/name", UrlError::Port),
            ("files://h/a b", UrlError::Syntax { at: 11 }),
            ("files://h/a?b", UrlError::Syntax { at: 11 }),
            ("files://h/a#bc", UrlError::Syntax { at: 11 }),
        ] {
            assert_eq!(FilesUrl::parse(text), Err(error), "{text}");
        }
    }
}
