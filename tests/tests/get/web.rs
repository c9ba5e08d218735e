//! Answers as servers on the net give them, which curl and wget take too.

use windlass_tests::{Program, windlass};

use crate::server::Server;

const OK: &str = "HTTP/1.1 200 OK\r\n";
const BODY: &str = "Content-Length: 4\r\n\r\nhere";

#[test]
fn what_means_nothing_to_a_download_is_passed_over() {
    let many = (0..5000).fold(String::new(), |all, n| all + &format!("Set-Cookie: c{n}=1\r\n"));
    let long = format!("Content-Security-Policy: {}\r\n", "x".repeat(256 * 1024));
    for fields in [
        "Content-Type: application/x-gzip\r\nContent-Encoding: gzip\r\n",
        "Content-Encoding: UTF-8\r\n",
        "Content-Encoding: aws-chunked\r\n",
        "Transfer-Encoding: identity\r\n",
        "Access-Control-Allow-Credentials : true\r\n",
        "X-Meta[1]: v\r\nX@Server: v\r\n: v\r\n",
        "PHP Warning: x in Unknown on line 0\r\n",
        "Segmentation fault\r\n",
        "X-Title: a\x01b\0c\u{e4}\r\n",
        "X-Title: a\rb\r\n",
        " folded into nothing\r\n",
        "X: a\r\n\tfolded: b\r\n",
        "Content-Length: 4\r\n",
        &many,
        &long,
    ] {
        let server = Server::that_says(format!("{OK}{fields}{BODY}"));
        let outcome = windlass!("get", server.url("/x")).run();
        let shown = &fields[..fields.len().min(60)];
        assert_eq!((outcome.code, &*outcome.stdout), (Some(0), &b"here"[..]), "{shown}: {outcome}");
    }
}

#[test]
fn odd_status_lines_have_a_status() {
    for line in
        ["HTTP/1.1  200 OK", "HTTP/1.1 200", "HTTP/1.1 200OK", "HTTP/2 200", "http/1.0 200 ok"]
    {
        for end in ["\r\n", "\n"] {
            let server = Server::that_says(format!("{line}{end}Content-Length: 4{end}{end}here"));
            let outcome = windlass!("get", server.url("/x")).run();
            outcome.succeeds();
            assert_eq!(outcome.stdout, b"here", "{line}");
        }
    }
}

/// Where redirects lead, and what a user types: what is asked for.
const ESCAPED: [(&[u8], &str); 12] = [
    (b"/a b", "/a%20b"),
    (b"/caf\xe9", "/caf%E9"),
    (b"/caf\xc3\xa9", "/caf%C3%A9"),
    (b"/[1]%20vol.5.mp3", "/%5B1%5D%20vol.5.mp3"),
    (b"/a|b", "/a%7Cb"),
    (b"/{id}", "/%7Bid%7D"),
    (b"/100%", "/100%25"),
    (b"/a\"b", "/a%22b"),
    (b"/a\\b", "/a%5Cb"),
    (b"/x?title=a b", "/x?title=a%20b"),
    (b"/x?a[]=%&b=%41", "/x?a%5B%5D=%25&b=%41"),
    (b"/a#b c", "/a"),
];

#[test]
fn what_can_be_escaped_in_a_url_is() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    for (path, asked) in ESCAPED {
        let head = [b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: ", path, b"\r\n\r\n"];
        let redirect = head.concat();
        let server = Server::start(move |client, number| match number {
            0 => client.say(&redirect),
            _ => client.say(format!("{OK}{BODY}").as_bytes()),
        });
        let outcome = windlass!("get", server.url("/first")).run();
        outcome.succeeds();
        assert_eq!(outcome.stdout, b"here");
        assert_eq!(server.paths(), ["/first", asked]);
        let typed = [server.url("").as_bytes(), path].concat();
        let program: Program = windlass!("get", OsStr::from_bytes(&typed));
        program.run().succeeds();
        assert_eq!(server.paths(), [asked]);
    }
}

#[test]
fn a_user_and_a_password_are_told_to_the_server_and_to_no_other() {
    let other = Server::that_says(format!("{OK}{BODY}"));
    let away = other.url("/away");
    let server = Server::start(move |client, number| match number {
        0 => client.say(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: /next\r\n\r\n"),
        _ => client.say(format!("HTTP/1.1 302 Found\r\nLocation: {away}\r\n\r\n").as_bytes()),
    });
    let url = server.url("/").replace("http://", "http://Aladdin:open%20sesame@");
    let outcome = windlass!("get", url).run();
    outcome.succeeds();
    assert!(!outcome.stderr.contains("sesame"), "{outcome}");
    let field = "\r\nAuthorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n";
    for _ in 0..2 {
        assert!(server.request().contains(field));
    }
    assert!(!other.request().contains("Authorization"));
    // Nor to a user that looks at an error.
    let refuses = Server::that_says("HTTP/1.1 401 Unauthorized\r\n\r\n");
    let url = refuses.url("/").replace("http://", "http://u:sesame@");
    let outcome = windlass!("get", url).run();
    outcome.fails_with(1, &[&refuses.url("/"), "401"]);
    assert!(!outcome.stderr.contains("sesame"), "{outcome}");
}
