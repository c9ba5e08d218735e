//! Which proxy to ask for a document: the rules of curl.
//!
//! - `http_proxy`, or else `all_proxy` or `ALL_PROXY`. Never `HTTP_PROXY`: in a CGI program a client of the
//!   web server sets that one, by a field `Proxy` of its request.
//! - `no_proxy`, or else `NO_PROXY`: names and addresses that are asked directly.

use std::fmt;
use std::net::IpAddr;

use fluent_uri::{IriRef, UriRef};

use super::escape::escape;
use super::url::{login, server};
use super::{Url, UrlError};
use crate::addr::HostPort;

/// The port of a proxy without one, as in curl.
const PORT: u16 = 1080;

/// A proxy for `http://`.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    server: HostPort,
    login: Option<Box<str>>,
    variable: &'static str,
}

/// A variable of the environment that names no proxy that can be used. Its value may have a password,
/// and is not shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyError {
    variable: &'static str,
    why: UrlError,
}

impl Proxy {
    /// The proxy for `url`, if one is to be asked. `variable` looks one up in the environment.
    ///
    /// # Errors
    /// It is not `http://[USER:PASSWORD@]HOST[:PORT]`.
    pub fn of(
        url: &Url,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, ProxyError> {
        let first = |names: &[&'static str]| {
            let set = |&name: &&'static str| {
                variable(name).filter(|it| !it.is_empty()).map(|it| (name, it))
            };
            names.iter().find_map(set)
        };
        // A proxy would have to be asked for a tunnel, which is not supported: the server is asked directly.
        if url.is_secured() {
            return Ok(None);
        }
        let Some((variable, text)) = first(&["http_proxy", "all_proxy", "ALL_PROXY"]) else {
            return Ok(None);
        };
        if first(&["no_proxy", "NO_PROXY"])
            .is_some_and(|(_, no)| is_excepted(&no, &url.server().host))
        {
            return Ok(None);
        }
        let parsed = Self::parse(variable, text.trim());
        parsed.map(Some).map_err(|why| ProxyError { variable, why })
    }

    fn parse(variable: &'static str, text: &str) -> Result<Self, UrlError> {
        let text = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let uri: UriRef<String> = IriRef::parse(&*escape(text.as_bytes())?)?.to_uri_ref();
        if !uri.scheme().is_some_and(|scheme| scheme.as_str().eq_ignore_ascii_case("http")) {
            return Err(UrlError::Scheme);
        }
        Ok(Self { server: server(&uri, PORT)?, login: login(&uri), variable })
    }

    /// The host and port to connect to.
    pub fn server(&self) -> &HostPort {
        &self.server
    }

    /// The variable that names the proxy.
    pub fn variable(&self) -> &'static str {
        self.variable
    }

    /// The value of a Proxy-Authorization field, if it names a user (RFC 7617).
    pub fn authorization(&self) -> Option<String> {
        self.login.as_ref().map(|login| format!("Basic {login}"))
    }
}

/// Whether `list` has the name or the address `host`, or a domain or a network that it is in. `*` alone is
/// everything.
fn is_excepted(list: &str, host: &str) -> bool {
    if list.trim() == "*" {
        return true;
    }
    let mut entries = list.split([',', ' ', '\t']).filter(|entry| !entry.is_empty());
    // A zone names an interface, not a host.
    match host.split('%').next().unwrap_or_default().parse::<IpAddr>() {
        Ok(address) => entries.any(|entry| has_address(entry, address)),
        Err(_) => entries.any(|entry| has_name(entry, host)),
    }
}

/// `entry` is an address, or a network as `10.0.0.0/8`.
fn has_address(entry: &str, address: IpAddr) -> bool {
    let (network, bits) = match entry.split_once('/') {
        Some((network, bits)) => (network, bits.parse().ok()),
        None => (entry, Some(u32::MAX)),
    };
    let (Ok(network), Some(bits)) = (network.trim_matches(['[', ']']).parse(), bits) else {
        return false;
    };
    let differ = match (network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            (network.to_bits() ^ address.to_bits()).leading_zeros()
        }
        (IpAddr::V6(network), IpAddr::V6(address)) => {
            (network.to_bits() ^ address.to_bits()).leading_zeros()
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return false,
    };
    let all = if address.is_ipv4() { 32 } else { 128 };
    (bits == u32::MAX || bits <= all) && differ >= bits.min(all)
}

/// `entry` is the name, or a domain that it is in, with a dot before it or without.
fn has_name(entry: &str, host: &str) -> bool {
    let domain = entry.strip_prefix('.').unwrap_or(entry);
    let [domain, host] =
        [domain, host].map(|name| name.strip_suffix('.').unwrap_or(name).as_bytes());
    let Some(at) = host.len().checked_sub(domain.len()) else { return false };
    let (front, end) = host.split_at(at);
    !domain.is_empty()
        && end.eq_ignore_ascii_case(domain)
        && (front.is_empty() || front.ends_with(b"."))
}

/// Printed without the password.
impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.server, self.variable)
    }
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.why {
            UrlError::Scheme => write!(f, "{}: only http:// proxies are supported", self.variable),
            why => write!(f, "{}: {why}", self.variable),
        }
    }
}

impl std::error::Error for ProxyError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy(url: &str, set: &[(&str, &str)]) -> Result<Option<Proxy>, ProxyError> {
        let variable = |name: &str| {
            set.iter().find(|(it, _)| *it == name).map(|(_, value)| (*value).to_owned())
        };
        Proxy::of(&Url::parse(url).unwrap(), variable)
    }

    #[test]
    fn the_environment_names_a_proxy() {
        for (set, expected) in [
            (&[][..], None),
            (&[("http_proxy", "http://p:3128")], Some("p:3128 of http_proxy")),
            (&[("http_proxy", "http://p:3128/")], Some("p:3128 of http_proxy")),
            (&[("http_proxy", "p")], Some("p:1080 of http_proxy")),
            (&[("http_proxy", "p:1")], Some("p:1 of http_proxy")),
            (&[("http_proxy", "HTTP://[::1]")], Some("[::1]:1080 of http_proxy")),
            (&[("http_proxy", "u:p@h:1")], Some("h:1 of http_proxy")),
            // CVE-2016-5385.
            (&[("HTTP_PROXY", "http://p:1")], None),
            (&[("all_proxy", "p:2")], Some("p:2 of all_proxy")),
            (&[("ALL_PROXY", "p:2")], Some("p:2 of ALL_PROXY")),
            (&[("http_proxy", "p:1"), ("all_proxy", "p:2")], Some("p:1 of http_proxy")),
            (&[("http_proxy", ""), ("all_proxy", "p:2")], Some("p:2 of all_proxy")),
            (&[("https_proxy", "p:1")], None),
            (&[("http_proxy", "p:1"), ("no_proxy", "example.org")], None),
            (&[("http_proxy", "p:1"), ("NO_PROXY", "example.org")], None),
            (
                &[("http_proxy", "p:1"), ("NO_PROXY", "example.org"), ("no_proxy", "x")],
                Some("p:1 of http_proxy"),
            ),
            (&[("http_proxy", "socks5://p"), ("no_proxy", "*")], None),
        ] {
            let found = proxy("http://example.org/x", set).unwrap();
            assert_eq!(found.map(|it| format!("{it:?}")).as_deref(), expected, "{set:?}");
        }
    }

    #[test]
    fn what_is_no_proxy_says_why_and_no_password() {
        for (value, why) in [
            ("socks5://u:secret@p", "http_proxy: only http:// proxies are supported"),
            ("https://u:secret@p", "http_proxy: only http:// proxies are supported"),
            ("http://", "http_proxy: the URL has no host"),
            ("u:secret@p:0", "http_proxy: the port is not a number from 1 to 65535"),
            ("p :1", "http_proxy: not a URL: byte 8 of it cannot be there"),
        ] {
            let error = proxy("http://h/", &[("http_proxy", value)]).unwrap_err();
            assert_eq!(error.to_string(), why, "{value}");
        }
    }

    #[test]
    fn a_user_of_a_proxy_is_told_to_it() {
        let found = proxy("http://h/", &[("http_proxy", "http://u:a%20b@p")]).unwrap().unwrap();
        assert_eq!(found.authorization().as_deref(), Some("Basic dTphIGI="));
        assert!(!format!("{found:?}").contains("a b"));
    }

    #[test]
    fn exceptions_are_names_domains_addresses_and_networks() {
        for (list, host, expected) in [
            ("*", "h", true),
            (" * ", "10.0.0.1", true),
            ("*,x", "h", false),
            ("*.example.org", "a.example.org", false),
            ("", "h", false),
            ("example.org", "example.org", true),
            ("example.org", "EXAMPLE.ORG.", true),
            ("Example.org.", "a.b.example.org", true),
            (".example.org", "example.org", true),
            (".example.org", "a.example.org", true),
            ("example.org", "notexample.org", false),
            ("a.example.org", "example.org", false),
            ("x, example.org", "a.example.org", true),
            ("x example.org", "a.example.org", true),
            (".", "h", false),
            ("localhost,127.0.0.1", "127.0.0.1", true),
            ("0.0.1", "127.0.0.1", false),
            ("10.0.0.0/8", "10.1.2.3", true),
            ("10.0.0.0/8", "11.1.2.3", false),
            ("10.1.2.3/32", "10.1.2.3", true),
            ("10.1.2.3/32", "10.1.2.4", false),
            ("0.0.0.0/0", "10.1.2.3", true),
            ("10.0.0.0/33", "10.0.0.0", false),
            ("10.0.0.0/x", "10.0.0.0", false),
            ("10.0.0.0/8", "10.example.org", false),
            ("::1", "::1", true),
            ("[::1]", "::1", true),
            ("fe80::/10", "fe80::1%eth0", true),
            ("fe80::/10", "2001:db8::1", false),
            ("::/0", "10.0.0.1", false),
            ("h:80", "h", false),
        ] {
            assert_eq!(is_excepted(list, host), expected, "{list:?} {host}");
        }
    }
}
