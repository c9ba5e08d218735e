//! Redirects that are followed, and redirects that are not.

use windlass_tests::{Outcome, windlass};

use crate::folder::Folder;
use crate::server::Server;

fn get(server: &Server, path: &str) -> Outcome {
    windlass!("get", server.url(path)).run()
}

#[test]
fn a_redirect_is_followed_and_its_text_is_not_shown() {
    for status in [301, 302, 303, 307, 308] {
        let server = Server::start(move |client, number| match number {
            0 => client
                .say(format!("HTTP/1.1 {status} Moved\r\nLocation: there\r\n\r\nmoved").as_bytes()),
            _ => client.say(b"HTTP/1.1 200 OK\r\n\r\nhere"),
        });
        let outcome = get(&server, "/a/b");
        outcome.succeeds();
        assert_eq!(outcome.stdout, b"here");
        assert_eq!(server.paths(), ["/a/b", "/a/there"]);
    }
}

#[test]
fn locations_are_relative_or_absolute() {
    let other = Server::that_redirects(&[]);
    for (location, to_other, path) in [
        ("there", false, "/a/there"),
        ("../x?y", false, "/x?y"),
        ("/z#fragment", false, "/z"),
        ("?q", false, "/a/b?q"),
        (&*other.url("/far/away"), true, "/far/away"),
        (&*format!("//{}/scheme-less", other.address()), true, "/scheme-less"),
    ] {
        let server = Server::that_redirects(&[location]);
        let folder = Folder::new();
        let outcome = windlass!("get", server.url("/a/b"), "-o", folder.at("file")).run();
        outcome.succeeds();
        folder.has_only("file", b"here");
        let mut paths = server.paths();
        paths.extend(other.paths());
        assert_eq!(paths, ["/a/b", path], "{location}, to another server: {to_other}");
    }
}

#[test]
fn ten_redirects_are_followed_and_no_more() {
    let locations: Vec<String> = (1..=11).map(|number| format!("/{number}")).collect();
    let locations: Vec<&str> = locations.iter().map(String::as_str).collect();
    let server = Server::that_redirects(&locations[..10]);
    let outcome = get(&server, "/0");
    outcome.succeeds();
    assert_eq!(outcome.stdout, b"here");
    let server = Server::that_redirects(&locations);
    get(&server, "/0").fails_with(1, &[&server.url("/0"), &server.url("/11"), "10 redirects"]);
    assert_eq!(server.paths().len(), 11);
}

#[test]
fn a_circle_is_an_error() {
    let server = Server::that_redirects(&["/b", "/a", "/b"]);
    get(&server, "/a").fails_with(1, &[&server.url("/a"), "circle"]);
    assert_eq!(server.paths(), ["/a", "/b"]);
    let server = Server::that_redirects(&["", ""]);
    get(&server, "/a").fails_with(1, &[&server.url("/a"), "circle"]);
    let long = format!("/{}", "a".repeat(60_000));
    let server = Server::that_redirects(&[&long, &long]);
    let outcome = get(&server, "/a");
    outcome.fails_with(1, &[&server.url("/aaa"), "circle", "bytes)"]);
    assert!(outcome.stderr.len() < 500, "{outcome}");
}

#[test]
fn no_redirect_leaves_http_and_https() {
    for location in ["ftp://x/y", "files://x/y", "file:///etc/passwd"] {
        let server = Server::that_redirects(&[location]);
        get(&server, "/").fails_with(1, &[&server.url("/"), location, "http:// and https://"]);
    }
    for (location, why) in [("http://", "host"), ("http://x:0/", "port")] {
        let server = Server::that_redirects(&[location]);
        get(&server, "/").fails_with(1, &[location, why]);
    }
}

#[test]
fn a_redirect_to_nowhere_is_its_status() {
    let server = Server::that_says("HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n");
    get(&server, "/").fails_with(1, &[&server.url("/"), "302 Found"]);
}
