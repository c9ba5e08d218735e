//! Transfers that resume an earlier one: only if the document is still the same.

use std::fs;

use windlass_tests::{Outcome, windlass};

use crate::folder::Folder;
use crate::server::Server;

const WHOLE: &[u8] = b"0123456789";
const TAG: &str = "ETag: \"v1\"\r\n";
const DATE: &str =
    "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\nDate: Sun, 06 Nov 1994 10:00:00 GMT\r\n";

/// An answer with so much of the document, and then the end of the connection.
fn head(status: &str, fields: &str, length: usize) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\n{fields}Content-Length: {length}\r\n\r\n").into_bytes()
}

/// Sends the first five bytes to the first client, and `then` to the next ones.
fn cut(fields: &str, then: &[&[u8]]) -> Server {
    let mut answers = vec![[head("200 OK", fields, WHOLE.len()), WHOLE[..5].to_vec()].concat()];
    answers.extend(then.iter().map(|answer| answer.to_vec()));
    Server::start(move |client, number| {
        client.say(answers.get(number).map_or(b"", |answer| answer));
    })
}

fn get(server: &Server, folder: &Folder, more: &str) -> Outcome {
    windlass!("get", server.url("/x"), "-o", folder.at("x")).words(more).run()
}

/// One line of a request.
fn line(request: &str, name: &str) -> Option<String> {
    let mut lines = request.lines();
    lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": ").map(str::to_owned))
}

#[test]
fn the_rest_of_the_same_version_is_asked_for() {
    for (fields, validator) in [
        (TAG.to_owned(), "\"v1\""),
        (format!("{TAG}{DATE}"), "\"v1\""),
        (DATE.to_owned(), "Sun, 06 Nov 1994 08:49:37 GMT"),
    ] {
        let range = format!("{fields}Content-Range: bytes 4-9/10\r\n");
        let server = cut(
            &fields,
            &[&[head("206 Partial Content", &range, 6), WHOLE[4..].to_vec()].concat()],
        );
        let folder = Folder::new();
        get(&server, &folder, "").fails_with(1, &["5 of 10", "5 bytes are kept", "--continue"]);
        assert_eq!(line(&server.request(), "Range"), None);
        get(&server, &folder, "--continue").succeeds();
        folder.has_only("x", WHOLE);
        let request = server.request();
        assert_eq!(line(&request, "Range").as_deref(), Some("bytes=4-"));
        assert_eq!(line(&request, "If-Range").as_deref(), Some(validator));
    }
}

/// What is there may be all of it, and lack only its name.
#[test]
fn it_is_gone_on_from_more_than_once() {
    let first = format!("{TAG}Content-Range: bytes 4-9/10\r\n");
    let second = format!("{TAG}Content-Range: bytes 7-9/10\r\n");
    let server = cut(
        TAG,
        &[
            &[head("206 Partial Content", &first, 6), b"4567".to_vec()].concat(),
            &[head("206 Partial Content", &second, 3), b"789".to_vec()].concat(),
        ],
    );
    let folder = Folder::new();
    get(&server, &folder, "--continue").fails_with(1, &["5 bytes are kept"]);
    get(&server, &folder, "--continue").fails_with(1, &["8 bytes are kept"]);
    get(&server, &folder, "--continue").succeeds();
    folder.has_only("x", WHOLE);
}

#[test]
fn another_version_is_fetched_from_its_beginning() {
    let all = [head("200 OK", "ETag: \"v2\"\r\n", 3), b"new".to_vec()].concat();
    let other = "ETag: \"v2\"\r\nContent-Range: bytes 4-9/10\r\n";
    let other = [head("206 Partial Content", other, 6), b"xxxxxx".to_vec()].concat();
    let unknown =
        [head("206 Partial Content", "Content-Range: bytes 4-9/10\r\n", 6), b"xxxxxx".to_vec()]
            .concat();
    let elsewhere = format!("{TAG}Content-Range: bytes 5-9/10\r\n");
    let elsewhere = [head("206 Partial Content", &elsewhere, 5), b"xxxxx".to_vec()].concat();
    let shorter = head("416 Range Not Satisfiable", "Content-Range: bytes */3\r\n", 0);
    for then in [
        &[&all[..]][..],
        &[&other, &all],
        &[&unknown, &all],
        &[&elsewhere, &all],
        &[&shorter, &all],
    ] {
        let server = cut(TAG, then);
        let folder = Folder::new();
        get(&server, &folder, "").fails_with(1, &["5 bytes are kept"]);
        get(&server, &folder, "--continue").succeeds();
        folder.has_only("x", b"new");
    }
}

/// Without a validator two documents cannot be told apart, and nothing is kept.
#[test]
fn what_cannot_be_asked_about_is_not_kept() {
    let just_now =
        "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
    for fields in ["", "ETag: W/\"v1\"\r\n", "Accept-Ranges: none\r\nETag: \"v1\"\r\n", just_now] {
        let server = cut(fields, &[&[head("200 OK", "", 3), b"new".to_vec()].concat()]);
        let folder = Folder::new();
        let outcome = get(&server, &folder, "");
        outcome.fails_with(1, &["5 of 10"]);
        assert!(!outcome.stderr.contains("kept"), "{outcome}");
        folder.is_empty();
        server.request();
        get(&server, &folder, "--continue").succeeds();
        assert_eq!(line(&server.request(), "Range"), None);
        folder.has_only("x", b"new");
    }
}

#[test]
fn the_part_of_another_url_is_not_gone_on_from() {
    let server = cut(TAG, &[&[head("200 OK", TAG, 3), b"new".to_vec()].concat()]);
    let folder = Folder::new();
    get(&server, &folder, "").fails_with(1, &["5 bytes are kept"]);
    server.request();
    windlass!("get", server.url("/y"), "-o", folder.at("x"), "--continue").run().succeeds();
    assert_eq!(line(&server.request(), "Range"), None);
    folder.has_only("x", b"new");
}

#[test]
fn a_part_waits_for_a_server_that_fails() {
    let busy = head("503 Service Unavailable", "", 0);
    let moved = head("302 Found", "Location: /y\r\n", 0);
    let range = format!("{TAG}Content-Range: bytes 4-9/10\r\n");
    let rest = [head("206 Partial Content", &range, 6), WHOLE[4..].to_vec()].concat();
    let server = cut(TAG, &[&busy, &moved, &rest]);
    let folder = Folder::new();
    get(&server, &folder, "").fails_with(1, &["5 bytes are kept"]);
    get(&server, &folder, "--continue").fails_with(1, &["503"]);
    get(&server, &folder, "--continue").succeeds();
    folder.has_only("x", WHOLE);
    assert_eq!(server.paths(), ["/x", "/x", "/x", "/y"]);
    assert!(!fs::exists(folder.at("y")).expect("look"));
}
