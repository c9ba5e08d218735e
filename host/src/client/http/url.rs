//! The URL of a document: `http://` or `https://[USER[:PASSWORD]@]HOST[:PORT]/PATH`.

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use fluent_uri::component::Host;
use fluent_uri::pct_enc::{EStr, encoder};
use fluent_uri::{IriRef, Uri, UriRef};

use super::escape::escape;
use super::url_error::UrlError;
use super::zone::{Zoneless, without_zone};
use crate::addr::HostPort;
use crate::printable::words;

/// The ports of `http` and `https` (RFC 9110 4.2.1, 4.2.2).
const PORTS: [u16; 2] = [80, 443];

/// An http or https URL, in the parts that a request is made of.
///
/// Its target and host consist of visible ASCII only, so neither can end a line of the request
/// or begin another one. Characters that RFC 3986 does not allow are percent-encoded as they are
/// parsed; a fragment is dropped, since it is never sent.
///
/// It is printed without user and password, and cut if it is long.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    is_secured: bool,
    server: HostPort,
    /// Path and query; begins with `/`.
    target: String,
    /// `USER:PASSWORD` in base64, if it names a user.
    login: Option<Box<str>>,
}

impl Url {
    /// Parses the text of a user.
    pub fn parse(text: impl AsRef<[u8]>) -> Result<Self, UrlError> {
        let zoneless = Zoneless::of(text.as_ref())?;
        zoneless.restore(Self::parse_zoneless(&zoneless.text), |url| &mut url.server)
    }

    fn parse_zoneless(text: &[u8]) -> Result<Self, UrlError> {
        Self::from_reference(&IriRef::parse(&*escape(text)?)?.to_uri_ref())
    }

    /// The target of an answer from here with the Location field `location`, relative or absolute
    /// (RFC 9110 10.2.2, RFC 3986 5).
    ///
    /// An empty one means this URL again. The caller has to notice endless redirects. A user
    /// and a password stay with their server, and are never sent to another one.
    ///
    /// # Errors
    /// As for [`parse`](Self::parse); and no redirect leads from https to http.
    pub fn redirect(&self, location: impl AsRef<[u8]>) -> Result<Self, UrlError> {
        let base = Uri::parse(self.absolute()).map_err(|(error, _)| error)?;
        let location = IriRef::parse(&*escape(location.as_ref())?)?.to_uri_ref();
        let mut next = Self::from_reference(&location.resolve_against(&base)?.into())?;
        if self.is_secured && !next.is_secured {
            return Err(UrlError::Unsecured);
        }
        // An address of the same text is on the same link.
        if next.server.host == without_zone(&self.server.host) {
            next.server.host.clone_from(&self.server.host);
        }
        let is_same = next.is_secured == self.is_secured
            && next.server.port == self.server.port
            && next.server.host.eq_ignore_ascii_case(&self.server.host);
        if is_same && next.login.is_none() {
            next.login.clone_from(&self.login);
        }
        Ok(next)
    }

    fn from_reference(uri: &UriRef<String>) -> Result<Self, UrlError> {
        let scheme = uri.scheme().map_or("", |scheme| scheme.as_str());
        let is_secured = scheme.eq_ignore_ascii_case("https");
        if !is_secured && !scheme.eq_ignore_ascii_case("http") {
            return Err(UrlError::Scheme);
        }
        let server = server(uri, PORTS[usize::from(is_secured)])?;
        let login = login(uri);
        let path = match uri.path().as_str() {
            "" => "/",
            path => path,
        };
        let target = match uri.query() {
            None => path.to_owned(),
            Some(query) => format!("{path}?{query}"),
        };
        let host = server.host.bytes();
        debug_assert!(target.bytes().chain(host).all(|byte| byte.is_ascii_graphic()));
        Ok(Self { is_secured, server, target, login })
    }

    /// Whether it is an https URL.
    pub fn is_secured(&self) -> bool {
        self.is_secured
    }

    /// The host and port to connect to.
    pub fn server(&self) -> &HostPort {
        &self.server
    }

    /// The value of the Host header: the port only where it is not that of the scheme, an IPv6 address in brackets and
    /// without its zone.
    pub fn host(&self) -> String {
        self.authority(without_zone(&self.server.host))
    }

    fn scheme(&self) -> &'static str {
        if self.is_secured { "https" } else { "http" }
    }

    fn authority(&self, host: &str) -> String {
        let with_port = HostPort { host: host.to_owned(), port: self.server.port }.to_string();
        match with_port.rsplit_once(':') {
            Some((host, _)) if self.server.port == PORTS[usize::from(self.is_secured)] => {
                host.to_owned()
            }
            _ => with_port,
        }
    }

    /// The target of the request: path and query.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The value of an Authorization field, if the URL names a user (RFC 7617).
    pub fn authorization(&self) -> Option<String> {
        self.login.as_ref().map(|login| format!("Basic {login}"))
    }

    /// The whole URL without user, password and zone: the target of a request to a proxy.
    pub fn absolute(&self) -> String {
        format!("{}://{}{}", self.scheme(), self.host(), self.target)
    }

    /// A name for the file, if the path ends in one: its last segment, decoded.
    ///
    /// It is one component of a path, never `.` or `..`, and has no control character, which
    /// could make a terminal show another name. It is for the URL that the user wrote: where
    /// redirects lead, the server chooses the name, say `.profile`.
    pub fn file_name(&self) -> Option<String> {
        let (path, _query) = self.target.split_once('?').unwrap_or((&self.target, ""));
        let (_, segment) = path.rsplit_once('/')?;
        let name = EStr::<encoder::Path>::new(segment)?.decode().to_string().ok()?;
        let is_name = !matches!(&*name, "" | "." | "..")
            && !name.contains(|c: char| c == '/' || c.is_control());
        is_name.then(|| name.into_owned())
    }
}

/// The host and port of a URL of any scheme; the port is `default` if the URL has none.
///
/// # Errors
/// It names no host, or something else than a host and a port.
pub(in crate::client) fn server(uri: &UriRef<String>, default: u16) -> Result<HostPort, UrlError> {
    let authority = uri.authority().ok_or(UrlError::NoHost)?;
    let host = match authority.host_parsed() {
        Host::Ipv4 { .. } => authority.host(),
        Host::Ipv6 { .. } => authority.host().trim_matches(['[', ']']),
        Host::RegName(name) if name.is_empty() => return Err(UrlError::NoHost),
        Host::RegName(name) if !name.as_str().contains('%') => name.as_str(),
        // A resolver would look for the percent signs.
        Host::RegName(_) | Host::IpvFuture { .. } => return Err(UrlError::Host),
    };
    let port = match authority.port_to_u16() {
        Ok(None) => default,
        Ok(Some(0)) | Err(_) => return Err(UrlError::Port),
        Ok(Some(port)) => port,
    };
    Ok(HostPort { host: host.to_owned(), port })
}

/// The user and the password of a URL, as they are sent.
pub(super) fn login(uri: &UriRef<String>) -> Option<Box<str>> {
    let userinfo = uri.authority()?.userinfo().filter(|userinfo| !userinfo.is_empty())?;
    let mut login = userinfo.decode().to_bytes().into_owned();
    if !userinfo.as_str().contains(':') {
        login.push(b':');
    }
    Some(BASE64_STANDARD.encode(login).into())
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text =
            format!("{}://{}{}", self.scheme(), self.authority(&self.server.host), self.target);
        words(text.as_bytes()).fmt(f)
    }
}

/// Printed without the password.
impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests;
