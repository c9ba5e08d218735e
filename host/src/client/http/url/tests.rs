//! URLs as users and servers write them, also the ones that mean harm.

use proptest::prelude::*;

use super::*;
use crate::client::http::get;

fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

#[test]
fn a_url_is_where_to_connect_and_what_to_say_there() {
    for (text, server, host, target) in [
        ("http://h", "h:80", "h", "/"),
        ("http://h/", "h:80", "h", "/"),
        ("HTTP://Example.ORG/a", "Example.ORG:80", "Example.ORG", "/a"),
        ("http://h:80/a", "h:80", "h", "/a"),
        ("http://h:/a", "h:80", "h", "/a"),
        ("http://h:8080/a", "h:8080", "h:8080", "/a"),
        ("http://h:00081/", "h:81", "h:81", "/"),
        ("http://h:65535/a/b/", "h:65535", "h:65535", "/a/b/"),
        ("http://127.0.0.1:1/", "127.0.0.1:1", "127.0.0.1:1", "/"),
        ("http://[::1]/", "[::1]:80", "[::1]", "/"),
        ("http://[2001:db8::1]:8080/a", "[2001:db8::1]:8080", "[2001:db8::1]:8080", "/a"),
        ("http://h?q", "h:80", "h", "/?q"),
        ("http://h/?", "h:80", "h", "/?"),
        ("http://h/a?b=c&d=/?#frag?ment", "h:80", "h", "/a?b=c&d=/?"),
        ("http://h#f", "h:80", "h", "/"),
        ("http://h//a//b", "h:80", "h", "//a//b"),
        ("http://h/a%0d%0Ab", "h:80", "h", "/a%0d%0Ab"),
        ("http://h/ä?ö", "h:80", "h", "/%C3%A4?%C3%B6"),
        ("http://h/a b?c d", "h:80", "h", "/a%20b?c%20d"),
        ("http://h/100%?%g0", "h:80", "h", "/100%25?%25g0"),
        (" http://h/[1] ", "h:80", "h", "/%5B1%5D"),
        ("http://h_1.local./", "h_1.local.:80", "h_1.local.", "/"),
    ] {
        let url = url(text);
        assert_eq!(url.server().to_string(), server, "{text}");
        assert!(!url.server().host.contains(['[', ']']), "{text}");
        assert_eq!(url.host(), host, "{text}");
        assert_eq!(url.target(), target, "{text}");
        assert_eq!(Url::parse(url.to_string()), Ok(url), "{text}");
    }
}

#[test]
fn what_cannot_be_asked_for_is_refused_with_its_reason() {
    for (text, expected) in [
        ("", UrlError::Scheme),
        ("h/a", UrlError::Scheme),
        ("/a", UrlError::Scheme),
        ("//h/a", UrlError::Scheme),
        ("h:80/a", UrlError::Scheme),
        ("ftps://h/", UrlError::Scheme),
        ("TFTP://h/", UrlError::Scheme),
        ("httpx://h/", UrlError::Scheme),
        ("file:///etc/passwd", UrlError::Scheme),
        ("http:", UrlError::NoHost),
        ("http:a", UrlError::NoHost),
        ("http:/a", UrlError::NoHost),
        ("http://", UrlError::NoHost),
        ("http:///a", UrlError::NoHost),
        ("http://:80/", UrlError::NoHost),
        ("http://h%41/", UrlError::Host),
        ("http://h%00/", UrlError::Host),
        ("http://bücher.example/", UrlError::Host),
        ("http://[v1.x]/", UrlError::Host),
        ("http://h:0/", UrlError::Port),
        ("http://h:65536/", UrlError::Port),
        ("http://h:99999999999999999999/", UrlError::Port),
        ("http://h:8x/", UrlError::Syntax { at: 10 }),
        ("http://h:-1/", UrlError::Syntax { at: 9 }),
        ("http://::1/", UrlError::Syntax { at: 8 }),
        ("http://[::1/", UrlError::Syntax { at: 11 }),
        ("http://[]/", UrlError::Syntax { at: 8 }),
        ("http://h\\@x/", UrlError::Syntax { at: 8 }),
        ("http://h /", UrlError::Syntax { at: 8 }),
        ("http://h/a\tb", UrlError::Syntax { at: 10 }),
    ] {
        assert_eq!(Url::parse(text), Err(expected), "{text}");
        assert!(!expected.to_string().contains('\n'));
    }
}

#[test]
fn nothing_that_could_end_a_line_of_the_request_gets_into_it() {
    for smuggled in [
        "\r",
        "\n",
        "\r\n",
        " ",
        "\t",
        "\0",
        "\x0b",
        "\x7f",
        "\"",
        "<",
        ">",
        "\\",
        "^",
        "`",
        "{",
        "|",
        "}",
        "\u{85}",
        "\u{2028}",
        "\r\nHost: x\r\n\r\n",
        " HTTP/1.1\r\nX: y",
    ] {
        for text in [
            format!("{smuggled}http://h/a"),
            format!("http://h{smuggled}/a"),
            format!("http://h:80{smuggled}/a"),
            format!("http://h/{smuggled}a"),
            format!("http://h/a{smuggled}"),
            format!("http://h/a?{smuggled}b"),
        ] {
            for url in Url::parse(&text).into_iter().chain(url("http://h/x").redirect(&text)) {
                assert_eq!(get(&url).lines().count(), 7, "{text:?}");
                let line = format!("GET {} HTTP/1.1", url.target());
                assert_eq!(get(&url).lines().next(), Some(&*line), "{text:?}");
                assert!(url.target().bytes().all(|byte| byte.is_ascii_graphic()), "{text:?}");
            }
        }
    }
}

#[test]
fn a_redirect_leads_where_the_rfc_says() {
    // RFC 3986 5.4, as far as it stays in http, and what servers send.
    for (location, expected) in [
        ("g", "http://a/b/c/g"),
        ("./g", "http://a/b/c/g"),
        ("g/", "http://a/b/c/g/"),
        ("/g", "http://a/g"),
        ("//g", "http://g/"),
        ("?y", "http://a/b/c/d;p?y"),
        ("g?y", "http://a/b/c/g?y"),
        ("#s", "http://a/b/c/d;p?q"),
        ("g#s", "http://a/b/c/g"),
        ("g?y#s", "http://a/b/c/g?y"),
        (";x", "http://a/b/c/;x"),
        ("g;x=1/../y", "http://a/b/c/y"),
        ("", "http://a/b/c/d;p?q"),
        (".", "http://a/b/c/"),
        ("./", "http://a/b/c/"),
        ("..", "http://a/b/"),
        ("../g", "http://a/b/g"),
        ("../..", "http://a/"),
        ("../../g", "http://a/g"),
        ("../../../../g", "http://a/g"),
        ("/./g", "http://a/g"),
        ("/../g", "http://a/g"),
        ("g.", "http://a/b/c/g."),
        ("..g", "http://a/b/c/..g"),
        ("g?y/../x", "http://a/b/c/g?y/../x"),
        ("http://other.example", "http://other.example/"),
        ("http://other.example:8080/x?y#z", "http://other.example:8080/x?y"),
        ("//other.example:81/x", "http://other.example:81/x"),
        ("//[::1]:81", "http://[::1]:81/"),
        ("HTTP://h/x", "http://h/x"),
        ("/ä", "http://a/%C3%A4"),
        ("/a b", "http://a/a%20b"),
        ("x y:z", "http://a/b/c/x%20y:z"),
        ("/\u{fffd}", "http://a/%EF%BF%BD"),
        ("\\\\h\\x", "http://a/b/c/%5C%5Ch%5Cx"),
    ] {
        let reached = url("http://a/b/c/d;p?q").redirect(location);
        assert_eq!(reached.map(|url| url.to_string()), Ok(expected.to_owned()), "{location:?}");
    }
    assert_eq!(url("http://a:81").redirect("g").unwrap().to_string(), "http://a:81/g");
    assert_eq!(url("http://[::1]:81/x").redirect("/g").unwrap().to_string(), "http://[::1]:81/g");
}

#[test]
fn no_redirect_leaves_http() {
    for (location, expected) in [
        ("ftp://a/b", UrlError::Scheme),
        ("files://a/b", UrlError::Scheme),
        ("file:///etc/passwd", UrlError::Scheme),
        ("javascript:alert(1)", UrlError::Scheme),
        ("g:h", UrlError::Scheme),
        ("http:g", UrlError::NoHost),
        ("///g", UrlError::NoHost),
        ("//h:0/", UrlError::Port),
        ("/a\r\nX: y", UrlError::Syntax { at: 2 }),
    ] {
        assert_eq!(url("http://a/b").redirect(location), Err(expected), "{location:?}");
    }
}

#[test]
fn a_user_is_sent_to_its_server_and_to_no_other() {
    // RFC 7617 2, and what curl makes of the rest.
    for (text, login) in [
        ("http://Aladdin:open%20sesame@h/x", Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==")),
        ("http://u@h/", Some("Basic dTo=")),
        ("http://u:@h/", Some("Basic dTo=")),
        ("http://:p@h/", Some("Basic OnA=")),
        ("http://u:p:q@h/", Some("Basic dTpwOnE=")),
        ("http://%0d%0a@h/", Some("Basic DQo6")),
        ("http://@h/", None),
        ("http://h/u:p@x", None),
    ] {
        let url = url(text);
        assert_eq!(url.authorization().as_deref(), login, "{text}");
        assert_eq!(url.server().to_string(), "h:80", "{text}");
        let shown = format!("{url} {url:?} {}", url.absolute());
        assert!(shown.starts_with("http://h/") && !shown.contains("sesame"), "{shown}");
        let field = login.map(|login| format!("\r\nAuthorization: {login}\r\n"));
        assert_eq!(get(&url).lines().count(), if login.is_some() { 8 } else { 7 }, "{text}");
        assert!(field.is_none_or(|field| get(&url).contains(&field)), "{text}");
    }
    for (location, login) in [
        ("/y", Some("Basic dTpw")),
        ("http://H:80/y", Some("Basic dTpw")),
        ("http://h:81/y", None),
        ("http://other/y", None),
        ("//h.other/y", None),
        ("http://v@h/y", Some("Basic djo=")),
        ("http://v@other/y", Some("Basic djo=")),
    ] {
        let next = url("http://u:p@h/x").redirect(location).unwrap();
        assert_eq!(next.authorization().as_deref(), login, "{location}");
    }
    // It comes back, without the user.
    let away = url("http://u:p@h/x").redirect("http://other/").unwrap();
    assert_eq!(away.redirect("http://h/").unwrap().authorization(), None);
}

#[test]
fn a_long_one_is_cut_where_it_is_shown() {
    let long = url(&format!("http://h/{}", "x".repeat(60_000)));
    assert_eq!(long.target().len(), 60_001);
    let shown = long.to_string();
    assert!(shown.len() < 250 && shown.ends_with("x… (60009 bytes)"), "{shown}");
    assert_eq!(long.redirect("#x"), Ok(long));
}

#[test]
fn a_file_name_is_one_harmless_component() {
    for (path, expected) in [
        ("", None),
        ("/", None),
        ("/a/", None),
        ("/a", Some("a")),
        ("/a/b.tar.gz?v=1/2", Some("b.tar.gz")),
        ("/a%20b", Some("a b")),
        ("/%C3%A4", Some("ä")),
        ("/ä", Some("ä")),
        ("/a%2", Some("a%2")),
        ("/a b", Some("a b")),
        ("/.hidden", Some(".hidden")),
        ("/...", Some("...")),
        ("/.", None),
        ("/..", None),
        ("/%2e", None),
        ("/%2E%2e", None),
        ("/a%2Fb", None),
        ("/..%2f..%2fetc%2fpasswd", None),
        ("/a%00b", None),
        ("/a%0Ab", None),
        ("/a%1B%5B2J", None),
        ("/a%7f", None),
        ("/a%C2%9B", None),
        ("/a%FF", None),
        ("/a%252Fb", Some("a%2Fb")),
    ] {
        let name = Url::parse(format!("http://h{path}")).ok().and_then(|url| url.file_name());
        assert_eq!(name.as_deref(), expected, "{path}");
    }
}

proptest! {
    #[test]
    fn whatever_is_parsed_stays_within_its_line(
        text in r"(http://)?\PC{0,40}|http://[a-z%\[\]:@.0-9]{0,12}[/?#%.a-f0-9:@ \r\n]{0,30}",
        location in r"\PC{0,30}|(http:)?[/?#%.a-f0-9:@ \r\n\[\]]{0,30}",
    ) {
        let first = Url::parse(&text).ok();
        let base = first.clone().unwrap_or_else(|| Url::parse("http://h/a/b?c").unwrap());
        for url in first.into_iter().chain(base.redirect(&location)) {
            prop_assert!(url.target().starts_with('/'));
            prop_assert!(url.host().bytes().all(|byte| byte.is_ascii_graphic()));
            prop_assert!(url.target().bytes().all(|byte| byte.is_ascii_graphic()));
            prop_assert_eq!(Url::parse(url.absolute()).unwrap().absolute(), url.absolute());
            if let Some(name) = url.file_name() {
                let path = std::path::Path::new(&name);
                prop_assert_eq!(path.file_name(), Some(path.as_os_str()));
                prop_assert!(!name.contains('\0'));
            }
        }
    }
}

#[test]
fn https_has_a_port_of_its_own_and_is_not_left() {
    let url = Url::parse("HTTPS://h/a").unwrap();
    assert_eq!((url.server().port, url.is_secured(), &*url.host()), (443, true, "h"));
    assert_eq!(url.to_string(), "https://h/a");
    assert_eq!(url.redirect("/b").unwrap().to_string(), "https://h/b");
    assert_eq!(url.redirect("http://h/b"), Err(UrlError::Unsecured));
    let plain = Url::parse("http://u@h:443/a").unwrap();
    let next = plain.redirect("https://h/b").unwrap();
    assert_eq!((next.to_string(), next.authorization()), ("https://h/b".to_owned(), None));
}
