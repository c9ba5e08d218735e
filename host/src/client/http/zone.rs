//! Zones of link-local addresses in URLs: `http://[fe80::1%eth0]/`.
//!
//! An address that is valid on one link only is reached by the name of an interface too. RFC 9844 has it
//! as people write it, behind a percent sign; RFC 6874, which it replaces, had that sign escaped (`%25`).
//! Both are taken. RFC 3986 has no place for either, so the zone is taken out before a URL is parsed. It
//! means something on this host alone, and is never sent.

use std::ops::Range;

use super::UrlError;
use crate::addr::HostPort;

/// A URL without its zone.
#[derive(Debug)]
pub(in crate::client) struct Zoneless {
    /// The URL without the zone.
    pub(in crate::client) text: Vec<u8>,
    zone: Option<String>,
    /// Where the zone and its percent sign were.
    cut: Range<usize>,
}

impl Zoneless {
    /// Takes the zone out of `text`, if its host is an address with one.
    ///
    /// # Errors
    /// The zone is empty, or has a character that cannot be in one.
    pub(in crate::client) fn of(text: &[u8]) -> Result<Self, UrlError> {
        let Some(cut) = find(text) else {
            return Ok(Self { text: text.to_owned(), zone: None, cut: 0..0 });
        };
        let zone = &text[cut.start + 1..cut.end];
        // `%25` alone is the link of that number, and `%250` is the link 0 of RFC 6874, not the link 250.
        let zone = zone.strip_prefix(b"25").filter(|rest| !rest.is_empty()).unwrap_or(zone);
        let is_good = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~:".contains(byte);
        if zone.is_empty() || !zone.iter().all(is_good) {
            return Err(UrlError::Zone);
        }
        let zone = Some(String::from_utf8_lossy(zone).into_owned());
        let text = [&text[..cut.start], &text[cut.end..]].concat();
        Ok(Self { text, zone, cut })
    }

    /// Puts the zone back: to the host, or to the place in the text where something is wrong.
    pub(in crate::client) fn restore<T>(
        &self,
        parsed: Result<T, UrlError>,
        server: impl FnOnce(&mut T) -> &mut HostPort,
    ) -> Result<T, UrlError> {
        let mut parsed = parsed.map_err(|error| match error {
            UrlError::Syntax { at } if at >= self.cut.start => {
                UrlError::Syntax { at: at + self.cut.len() }
            }
            other => other,
        })?;
        if let Some(zone) = &self.zone {
            let host = &mut server(&mut parsed).host;
            *host = format!("{host}%{zone}");
        }
        Ok(parsed)
    }
}

/// A host without its zone.
pub(super) fn without_zone(host: &str) -> &str {
    host.split_once('%').map_or(host, |(address, _)| address)
}

/// Where the zone is, with the percent sign before it: between the brackets of the host.
fn find(text: &[u8]) -> Option<Range<usize>> {
    let host = memchr::memmem::find(text, b"://")? + 3;
    let end = text[host..].iter().position(|byte| b"/?#".contains(byte));
    let authority = &text[..end.map_or(text.len(), |end| host + end)];
    let host = memchr::memrchr(b'@', &authority[host..]).map_or(host, |at| host + at + 1);
    if authority.get(host) != Some(&b'[') {
        return None;
    }
    let end = host + memchr::memchr(b']', &authority[host..])?;
    let start = host + memchr::memchr(b'%', &authority[host..end])?;
    Some(start..end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::file_url::FileUrl;
    use crate::client::http::Url;

    #[test]
    fn a_zone_is_for_the_connection_alone() {
        for (text, server, host) in [
            ("http://[fe80::1%eth0]/a", "[fe80::1%eth0]:80", "[fe80::1]"),
            ("http://[fe80::1%25eth0]:8080/a", "[fe80::1%eth0]:8080", "[fe80::1]:8080"),
            ("http://[fe80::1%3]/%25a", "[fe80::1%3]:80", "[fe80::1]"),
            ("http://[fe80::1%25]/", "[fe80::1%25]:80", "[fe80::1]"),
            ("http://[fe80::1%2525]/", "[fe80::1%25]:80", "[fe80::1]"),
            ("http://[fe80::1%br-0.7]?q", "[fe80::1%br-0.7]:80", "[fe80::1]"),
        ] {
            let url = Url::parse(text).unwrap();
            assert_eq!((&url.server().to_string()[..], &url.host()[..]), (server, host), "{text}");
            assert_eq!(Url::parse(url.to_string()).as_ref(), Ok(&url), "{text}");
            assert!(!url.absolute().contains("eth0"), "{text}");
        }
        let url = FileUrl::parse("files://[fe80::1%25eth0]/name").unwrap();
        assert_eq!(url.to_string(), "files://[fe80::1%eth0]:2334/name");
    }

    #[test]
    fn a_redirect_to_the_same_address_stays_on_its_link() {
        let url = Url::parse("http://[fe80::1%eth0]:8080/a").unwrap();
        for (location, server) in [
            ("/b", "[fe80::1%eth0]:8080"),
            ("http://[fe80::1]/b", "[fe80::1%eth0]:80"),
            ("http://[fe80::2]/b", "[fe80::2]:80"),
        ] {
            assert_eq!(url.redirect(location).unwrap().server().to_string(), server);
        }
        // It is not the server's to say which interface of this host is used.
        assert!(url.redirect("http://[fe80::2%eth1]/").is_err());
    }

    #[test]
    fn what_is_no_zone_is_refused_where_it_is() {
        for (text, error) in [
            ("http://[fe80::1%]/", UrlError::Zone),
            ("http://[fe80::1%a b]/", UrlError::Zone),
            ("http://[fe80::1%25%41]/", UrlError::Zone),
            ("http://[fe80::1%e\u{9b}]/", UrlError::Zone),
            ("http://[fe80::1%eth0]x/", UrlError::Syntax { at: 21 }),
            ("http://127.0.0.1%eth0/", UrlError::Syntax { at: 16 }),
        ] {
            assert_eq!(Url::parse(text).map(drop), Err(error), "{text}");
        }
    }
}
