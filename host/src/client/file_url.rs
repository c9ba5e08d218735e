//! The URL of a file that a server has a name for: `files://HOST[:PORT]/NAME`, `tftp://…`, `xfer://…`.

use std::fmt;

use fluent_uri::{IriRef, UriRef};

use super::http::{UrlError, Zoneless, server};
use crate::addr::HostPort;

/// A protocol that names its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Over TCP, in frames. Without a name no request is sent: the server has to push a file.
    Files,
    /// RFC 1350 and its options.
    Tftp,
    /// Stop-and-wait, without options.
    Xfer,
}

impl Scheme {
    const ALL: [Self; 3] = [Self::Files, Self::Tftp, Self::Xfer];

    /// That of this text, if it has one of them.
    pub fn of(text: &[u8]) -> Option<Self> {
        let scheme = text.split(|&byte| byte == b':').next().unwrap_or_default();
        Self::ALL.into_iter().find(|known| scheme.eq_ignore_ascii_case(known.name().as_bytes()))
    }

    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::Tftp => "tftp",
            Self::Xfer => "xfer",
        }
    }

    /// The port where the URL has none. Those of `files` and `xfer` are ours (docs/PROTOCOL.md).
    const fn port(self) -> u16 {
        match self {
            Self::Files | Self::Xfer => 2334,
            Self::Tftp => 69,
        }
    }
}

/// A name, and the server of it. The name is what follows the host and its slash, with percent
/// escapes decoded, and is sent as it is: the server decides which file it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileUrl {
    scheme: Scheme,
    server: HostPort,
    name: Box<[u8]>,
    is_text: bool,
    /// The path as it was written.
    path: String,
}

impl FileUrl {
    /// Parses the text of a user.
    ///
    /// # Errors
    /// The text is not a URL of a [`Scheme`], or has more than a host, a port, a name and a mode.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let zoneless = Zoneless::of(text.as_bytes())?;
        // It was UTF-8, and only ASCII was removed.
        let rest = str::from_utf8(&zoneless.text).map_err(|_| UrlError::Syntax { at: 0 })?;
        zoneless.restore(Self::parse_zoneless(rest), |url| &mut url.server)
    }

    fn parse_zoneless(text: &str) -> Result<Self, UrlError> {
        let uri: UriRef<String> = IriRef::parse(text)?.to_uri_ref();
        let scheme = uri.scheme().and_then(|scheme| Scheme::of(scheme.as_str().as_bytes()));
        let scheme = scheme.ok_or(UrlError::Scheme)?;
        // In a name these characters would have to be escaped.
        if let Some(at) = text.find(['?', '#']) {
            return Err(UrlError::Syntax { at });
        }
        if uri.authority().is_some_and(|authority| authority.has_userinfo()) {
            return Err(UrlError::Userinfo);
        }
        let server = server(&uri, scheme.port())?;
        let path = uri.path();
        let bytes = path.decode().to_bytes();
        let mode_at = if scheme == Scheme::Tftp { mode_at(path.as_str()) } else { None };
        let is_text = mode_at.map_or(Ok(false), |at| is_text(&path.as_str()[at..]))?;
        // A mode has no escapes: it is as long as it is written.
        let mode_len = mode_at.map_or(0, |at| path.as_str().len() - at);
        let bytes = &bytes[..bytes.len() - mode_len];
        let name: Box<[u8]> = bytes.strip_prefix(b"/").unwrap_or(bytes).into();
        if scheme != Scheme::Files && (name.is_empty() || name.contains(&0)) {
            return Err(UrlError::Name);
        }
        Ok(Self { scheme, server, name, is_text, path: path.as_str().to_owned() })
    }

    /// The protocol.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host and port to ask.
    pub fn server(&self) -> &HostPort {
        &self.server
    }

    /// The name as it is sent.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// Whether the file travels as text (`;mode=netascii`).
    pub fn is_text(&self) -> bool {
        self.is_text
    }
}

/// Where the mode of a `tftp` URL begins (RFC 3617): `;mode=netascii` at the end of its path. In a name it would be
/// escaped.
fn mode_at(path: &str) -> Option<usize> {
    let at = path.rfind(';')?;
    let word = path.as_bytes()[at + 1..].get(..MODE.len())?;
    word.eq_ignore_ascii_case(MODE).then_some(at)
}

const MODE: &[u8] = b"mode=";

fn is_text(mode: &str) -> Result<bool, UrlError> {
    match mode.as_bytes().get(1 + MODE.len()..).unwrap_or_default() {
        mode if mode.eq_ignore_ascii_case(b"netascii") => Ok(true),
        mode if mode.eq_ignore_ascii_case(b"octet") => Ok(false),
        _ => Err(UrlError::Mode),
    }
}

impl fmt::Display for FileUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme.name(), self.server, self.path)
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
            ("files://h/a;mode=netascii", "h", 2334, b"a;mode=netascii"),
            ("tftp://h/pxe/a%20b", "h", 69, b"pxe/a b"),
            ("TFTP://[::1]:6969//a", "::1", 6969, b"/a"),
            ("tftp://h/a;b", "h", 69, b"a;b"),
            ("tftp://h/a;mode=octet", "h", 69, b"a"),
            ("tftp://h/a%3Bmode=octet;MODE=Octet", "h", 69, b"a;mode=octet"),
            ("xfer://h/a;mode=octet", "h", 2334, b"a;mode=octet"),
        ] {
            let url = FileUrl::parse(text).unwrap();
            assert_eq!((&url.server.host[..], url.server.port, url.name()), (host, port, name));
            let again = FileUrl::parse(&url.to_string()).unwrap();
            assert_eq!((again.server, again.name), (url.server, url.name), "{text}");
        }
    }

    #[test]
    fn text_is_a_mode_of_tftp() {
        for (text, is_text) in [
            ("tftp://h/a", false),
            ("tftp://h/a%20b;mode=octet", false),
            ("tftp://h/a%20b;mode=netascii", true),
            ("tftp://h/a;x;Mode=NetASCII", true),
            ("xfer://h/a;mode=netascii", false),
        ] {
            let url = FileUrl::parse(text).unwrap();
            assert_eq!(url.is_text(), is_text, "{text}");
            assert_eq!(FileUrl::parse(&url.to_string()), Ok(url), "{text}");
        }
    }

    #[test]
    fn what_has_no_place_there_is_refused() {
        for (text, error) in [
            ("http://h/", UrlError::Scheme),
            ("files:///name", UrlError::NoHost),
            ("files://u@h/name", UrlError::Userinfo),
            ("files://h:0/name", UrlError::Port),
            ("tftp://h", UrlError::Name),
            ("tftp://h/", UrlError::Name),
            ("tftp://h/a%00b", UrlError::Name),
            ("tftp://h/;mode=octet", UrlError::Name),
            ("tftp://h/a;mode=mail", UrlError::Mode),
            ("tftp://h/a;mode=", UrlError::Mode),
            ("tftp://h/a;mode=oct%65t", UrlError::Mode),
            ("xfer://h/", UrlError::Name),
            ("files://h/a b", UrlError::Syntax { at: 11 }),
            ("files://h/a?b", UrlError::Syntax { at: 11 }),
            ("files://h/a#bc", UrlError::Syntax { at: 11 }),
        ] {
            assert_eq!(FileUrl::parse(text), Err(error), "{text}");
        }
    }
}
