//! The request for a document.

use std::fmt::Write;

use super::{Proxy, Url};

/// A request for a document.
///
/// It asks for the bytes as they are, because they are written as they come, and to close the
/// connection, because it makes no other request on it.
#[derive(Debug, Clone, Copy)]
pub struct Request<'r> {
    /// The URL of the document.
    pub url: &'r Url,
    /// The proxy, if there is one.
    pub proxy: Option<&'r Proxy>,
    /// Where to resume: only the bytes from this offset on if the document has this validator, else
    /// all of it.
    pub rest: Option<(u64, &'r str)>,
}

impl Request<'_> {
    /// The bytes to send.
    pub fn render(&self) -> String {
        let Self { url, proxy, rest } = self;
        let target = match proxy {
            Some(_) => &url.absolute(),
            None => url.target(),
        };
        let mut text = format!(
            "GET {target} HTTP/1.1\r\n\
             Host: {host}\r\n\
             User-Agent: windlass/{version}\r\n\
             Accept: */*\r\n\
             Accept-Encoding: identity\r\n",
            host = url.host(),
            version = env!("CARGO_PKG_VERSION"),
        );
        let mut field = |name: &str, value: &str| {
            debug_assert!(!value.contains(['\r', '\n']), "{name} ends its line");
            // Writing to a string does not fail.
            let _ = write!(text, "{name}: {value}\r\n");
        };
        if let Some(login) = url.authorization() {
            field("Authorization", &login);
        }
        if let Some(login) = proxy.and_then(Proxy::authorization) {
            field("Proxy-Authorization", &login);
        }
        if let Some((from, validator)) = rest {
            field("Range", &format!("bytes={from}-"));
            field("If-Range", validator);
        }
        field("Connection", "close");
        text + "\r\n"
    }
}

/// The request for the whole document at `url`.
pub fn get(url: &Url) -> String {
    Request { url, proxy: None, rest: None }.render()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMON: &str = concat!(
        "User-Agent: windlass/",
        env!("CARGO_PKG_VERSION"),
        "\r\nAccept: */*\r\nAccept-Encoding: identity\r\n",
    );

    #[test]
    fn the_request_is_one_head_and_nothing_else() {
        let url = Url::parse("http://[::1]:8080/a%20b?q#f").unwrap();
        let first = "GET /a%20b?q HTTP/1.1\r\nHost: [::1]:8080\r\n";
        assert_eq!(get(&url), format!("{first}{COMMON}Connection: close\r\n\r\n"));
    }

    #[test]
    fn a_proxy_is_told_all_of_the_url_and_both_users() {
        let url = Url::parse("http://u@h/a b").unwrap();
        let proxy = Proxy::of(&url, |_| Some("v@p:1".into())).unwrap();
        let request = Request { url: &url, proxy: proxy.as_ref(), rest: Some((5, "\"tag\"")) };
        let expected = format!(
            "GET http://h/a%20b HTTP/1.1\r\nHost: h\r\n{COMMON}Authorization: Basic dTo=\r\n\
             Proxy-Authorization: Basic djo=\r\nRange: bytes=5-\r\nIf-Range: \"tag\"\r\n\
             Connection: close\r\n\r\n"
        );
        assert_eq!(request.render(), expected);
    }
}
