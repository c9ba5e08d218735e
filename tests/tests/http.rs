//! The `http` service under every model, with a client that sees each byte.
//!
//! - A file and a part of it come whole, on every transport, several on one connection.
//! - What may not be served is refused with a status, and what a name leads to is never opened for that.
//! - A file that changes while it is sent is never received whole: no bytes of two versions.
//! - A request that is refused is answered, not reset, whatever follows it.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::PathBuf;
use std::thread;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use nix::sys::stat::Mode;
use nix::unistd::{geteuid, mkfifo};
use sha2::{Digest, Sha256};
use windlass_tests::web::{Answer, ask};
use windlass_tests::{
    Client, Model, PATIENCE, Random, Server, every_concurrent_model, every_model, models, serve,
    unique, within,
};

every_model!(
    files_come_on_one_connection_and_every_transport,
    what_is_not_to_be_had_is_refused,
    folders_have_pages,
    a_version_has_a_tag,
    a_digest_is_told_to_a_client_that_asks,
    pipelined_requests_are_answered_in_order,
    a_refusal_is_received_whatever_follows,
    no_descriptor_stays_behind,
    a_sparse_file_beyond_4_gib_has_its_last_bytes,
);
every_concurrent_model!(
    a_slow_head_is_told_so_and_holds_up_no_one_else,
    a_client_that_never_reads_holds_up_no_one_else,
);
// One for each way of sending and each way of waiting.
models!(a_file_that_changes_is_never_received_whole: iterative Iterative, thread Thread, epoll Epoll,
    epoll_et EpollEt, reactor Reactor, prefork Prefork);

/// Of every way to be sent: at once, in one buffer, by `sendfile`.
const SIZES: [usize; 6] = [0, 1, 1000, 100_000, 65_536, 3_000_001];

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().expect("a folder"));
        let root = place.root();
        for folder in ["folder/with", "bare", ".git", ".well-known", "odd/index.html"] {
            fs::create_dir_all(root.join(folder)).expect("mkdir");
        }
        for size in SIZES {
            fs::write(root.join(size.to_string()), content(size)).expect("write");
        }
        for (name, text) in [
            ("folder/index.html", "the page"),
            ("bare/a b.txt", "text"),
            (".git/config", "secret"),
            (".well-known/x", "known"),
            ("page.wasm", "wasm"),
        ] {
            fs::write(root.join(name), text).expect("write");
        }
        fs::write(place.0.path().join("x"), b"secret").expect("write");
        fs::create_dir(root.join("pipe")).expect("mkdir");
        for fifo in ["fifo", "pipe/index.html"] {
            mkfifo(&root.join(fifo), Mode::S_IRWXU).expect("mkfifo");
        }
        for (to, link) in [("../x", "out"), ("/etc/passwd", "passwd"), ("folder/index.html", "in")]
        {
            symlink(to, root.join(link)).expect("symlink");
        }
        fs::write(root.join("closed"), b"").expect("write");
        let none = fs::Permissions::from_mode(0o0);
        fs::set_permissions(root.join("closed"), none).expect("chmod");
        place
    }

    fn root(&self) -> PathBuf {
        self.0.path().join("root")
    }

    fn serve(&self, model: Model, more: &str) -> Server {
        let args = format!("--root {} {more}", self.root().display());
        serve!("http", model).args(&args).start()
    }
}

fn content(size: usize) -> Vec<u8> {
    Random::new(size as u64).bytes(size)
}

#[track_caller]
fn get(client: &mut Client, path: &str, lines: &[&str]) -> Answer {
    ask(client, "GET", path, lines)
}

fn files_come_on_one_connection_and_every_transport(model: Model) {
    let place = Place::new();
    for address in ["tcp:127.0.0.1:0".to_owned(), format!("unix:@{}", unique("http"))] {
        let args = format!("--root {}", place.root().display());
        let server = serve!("http", model).args(&args).listen(address).start();
        let mut client = server.connect();
        for size in SIZES {
            let whole = get(&mut client, &format!("/{size}"), &[]);
            assert_eq!((whole.status, whole.body.len()), (200, size));
            assert!(whole.body == content(size), "other bytes than those of the file");
            let head = ask(&mut client, "HEAD", &format!("/{size}"), &[]);
            let told = |answer: &Answer| {
                // Between the two a second may begin, or the file may settle.
                let fixed = |(name, _): &&(String, String)| {
                    !["Date", "ETag", "Last-Modified"].contains(&&**name)
                };
                answer.fields.iter().filter(fixed).cloned().collect::<Vec<_>>()
            };
            assert_eq!((head.status, told(&head)), (200, told(&whole)));
            if size > 100 {
                let part = get(&mut client, &format!("/{size}"), &["Range: bytes=50-"]);
                assert_eq!(part.status, 206);
                let range = format!("bytes 50-{}/{size}", size - 1);
                assert_eq!(part.field("Content-Range"), Some(&*range));
                assert!(part.body == content(size)[50..], "other bytes than those of the part");
            }
        }
        client.ends_with(b"");
    }
}

fn what_is_not_to_be_had_is_refused(model: Model) {
    let place = Place::new();
    // Root may read every file.
    let user = if geteuid().is_root() { "--user nobody" } else { "" };
    let server = place.serve(model, user);
    let mut client = server.connect();
    for (path, status) in [
        ("/nothing", 404),
        ("/1/", 404),
        ("/1/x", 404),
        ("/.git/config", 404),
        ("/bare/", 404),
        ("/odd/", 404),
        ("/a%2fb", 404),
        ("/%c0%ae%c0%ae/x", 404),
        ("/fifo", 403),
        ("/pipe/", 403),
        ("/out", 403),
        ("/passwd", 403),
        ("/closed", 403),
        ("/.well-known/x", 200),
        ("/in", 200),
        ("/page.wasm", 200),
    ] {
        assert_eq!(get(&mut client, path, &[]).status, status, "{path}");
    }
    let long = format!("/{}", "x".repeat(4000));
    assert_eq!(get(&mut client, &long, &[]).status, 404);
    drop(client);
    for (request, status) in [
        ("GET /../x HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 400),
        ("GET /%2e%2e/x HTTP/1.1\r\nHost: a\r\n\r\n".into(), 400),
        ("GET /a%00 HTTP/1.1\r\nHost: a\r\n\r\n".into(), 400),
        ("GET / HTTP/1.1\r\n\r\n".into(), 400),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n".into(), 505),
        ("\x16\x03\x01\x02".into(), 400),
        (format!("GET /{} HTTP/1.1\r\n", "x".repeat(9000)), 414),
        (format!("GET / HTTP/1.1\r\nX: {}\r\n", "x".repeat(9000)), 431),
        (format!("GET / HTTP/1.1\r\n{}", "X: y\r\n".repeat(10_000)), 431),
    ] {
        let mut client = server.connect();
        client.send(request.as_bytes());
        client.finish();
        assert_eq!(
            Answer::of(&client.rest()).status,
            status,
            "{}",
            &request[..20.min(request.len())]
        );
    }
    let server = place.serve(model, "--dotfiles --cache-control no-cache");
    let mut hidden = server.connect();
    let config = get(&mut hidden, "/.git/config", &[]);
    assert_eq!((config.status, config.field("Cache-Control")), (200, Some("no-cache")));
}

fn folders_have_pages(model: Model) {
    let place = Place::new();
    let server = place.serve(model, "");
    let mut client = server.connect();
    let page = get(&mut client, "/folder/", &[]);
    assert_eq!((page.status, &page.body[..]), (200, &b"the page"[..]));
    assert_eq!(page.field("Content-Type"), Some("text/html; charset=utf-8"));
    let moved = get(&mut client, "//folder?a=b", &[]);
    assert_eq!((moved.status, moved.field("Location")), (301, Some("/folder/?a=b")));
    assert_eq!(get(&mut client, "/", &[]).status, 404);
    drop(client);
    let server = place.serve(model, "--index");
    let mut lists = server.connect();
    let list = get(&mut lists, "/bare/", &[]);
    let text = String::from_utf8(list.body).expect("a page");
    assert!(text.contains("<a href=\"./a%20b.txt\">a b.txt</a>"), "{text}");
    let root = String::from_utf8(get(&mut lists, "/", &[]).body).expect("a page");
    assert!(root.contains("\"./folder/\"") && !root.contains("git") && !root.contains("fifo"));
    assert_eq!(get(&mut lists, "/folder/", &[]).body, b"the page");
}

/// The tag, once the file is older than the tick of the clock.
#[track_caller]
fn strong_tag(client: &mut Client, path: &str) -> String {
    let mut tag = String::new();
    within(PATIENCE, "the tag becomes strong", || {
        tag = ask(client, "HEAD", path, &[]).field("ETag").expect("a tag").into();
        tag.starts_with('"')
    });
    tag
}

fn a_version_has_a_tag(model: Model) {
    let place = Place::new();
    let server = place.serve(model, "");
    let path = place.root().join("1000");
    let mut client = server.connect();
    let tag = strong_tag(&mut client, "/1000");
    let known = format!("If-None-Match: {tag}");
    let same = get(&mut client, "/1000", &[&known]);
    assert_eq!((same.status, same.field("ETag")), (304, Some(&*tag)));
    let rest = ["Range: bytes=500-", &format!("If-Range: {tag}")];
    assert_eq!(get(&mut client, "/1000", &rest).status, 206);
    let date = same.field("Last-Modified").expect("a date").to_owned();
    assert_eq!(get(&mut client, "/1000", &[&format!("If-Modified-Since: {date}")]).status, 304);
    // Another file of this size, with the same date: by a name of its own, and in its place.
    let times = fs::metadata(&path).and_then(|found| found.modified()).expect("a time");
    let other = place.root().join("other");
    fs::write(&other, content(1001).split_off(1)).expect("write");
    File::options()
        .write(true)
        .open(&other)
        .and_then(|file| file.set_modified(times))
        .expect("utimes");
    fs::rename(&other, &path).expect("rename");
    let renamed = get(&mut client, "/1000", &[&known]);
    assert_eq!((renamed.status, renamed.body == content(1001)[1..]), (200, true));
    assert_eq!(get(&mut client, "/1000", &rest).status, 200);
    let tag = strong_tag(&mut client, "/1000");
    let file = File::options().write(true).open(&path).expect("open");
    file.write_all_at(b"in place", 0).expect("write");
    file.set_modified(times).expect("utimes");
    let known = format!("If-None-Match: {tag}");
    assert_eq!(get(&mut client, "/1000", &[&known]).status, 200);
}

/// RFC 9530. The digest is that of the whole file, whatever part of it is sent, and of the version that is sent.
fn a_digest_is_told_to_a_client_that_asks(model: Model) {
    const WANT: &str = "Want-Repr-Digest: sha-512=2, sha-256=1";
    let place = Place::new();
    let server = place.serve(model, "");
    let mut client = server.connect();
    let told = |answer: &Answer| answer.field("Repr-Digest").map(str::to_owned);
    let expected =
        |bytes: &[u8]| Some(format!("sha-256=:{}:", BASE64_STANDARD.encode(Sha256::digest(bytes))));
    for size in SIZES {
        let path = format!("/{size}");
        strong_tag(&mut client, &path);
        // Of a version that is settled it is computed once.
        for _ in 0..2 {
            let whole = get(&mut client, &path, &[WANT]);
            assert_eq!((told(&whole), whole.status), (expected(&content(size)), 200), "{size}");
            assert!(whole.body == content(size));
        }
        let head = ask(&mut client, "HEAD", &path, &[WANT]);
        assert_eq!(told(&head), expected(&content(size)));
        assert_eq!(told(&get(&mut client, &path, &[])), None);
    }
    let part = get(&mut client, "/3000001", &[WANT, "Range: bytes=7-9"]);
    assert_eq!(
        (told(&part), part.body),
        (expected(&content(3_000_001)), content(3_000_001)[7..10].into())
    );
    for change in ["one", "two"] {
        fs::write(place.root().join("1000"), change).expect("write");
        assert_eq!(told(&get(&mut client, "/1000", &[WANT])), expected(change.as_bytes()));
        strong_tag(&mut client, "/1000");
        assert_eq!(told(&get(&mut client, "/1000", &[WANT])), expected(change.as_bytes()));
    }
}

fn pipelined_requests_are_answered_in_order(model: Model) {
    const COUNT: usize = 10_000;
    let place = Place::new();
    let server = place.serve(model, "");
    let one = "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /nothing HTTP/1.1\r\nHost: a\r\n\r\n";
    let answers = server.connect().converse(one.repeat(COUNT / 2).as_bytes());
    let text = String::from_utf8_lossy(&answers);
    let statuses: Vec<_> = text.split("HTTP/1.1 ").skip(1).map(|rest| &rest[..3]).collect();
    assert_eq!(statuses.len(), COUNT);
    assert!(statuses.chunks(2).all(|two| two == ["200", "404"]));
}

/// A connection that is closed while input is unread is reset, and a reset takes the answer with it.
fn a_refusal_is_received_whatever_follows(model: Model) {
    let place = Place::new();
    let server = place.serve(model, "");
    let long = "x".repeat(9000);
    let (long_path, long_field) =
        (format!("GET /{long} HTTP/1.1\r\n\r\n"), format!("GET / HTTP/1.1\r\nX: {long}\r\n\r\n"));
    for (head, status) in [
        (&*long_path, 414),
        (&long_field, 431),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 400000\r\n\r\n", 405),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 400000\r\n\r\n", 413),
        ("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        ("bad\r\n\r\n", 400),
    ] {
        let mut client = server.connect();
        let mut all = head.as_bytes().to_vec();
        all.resize(400_000, b'x');
        let answer = Answer::of(&client.converse(&all));
        assert_eq!((answer.status, answer.field("Connection")), (status, Some("close")));
        if status == 405 {
            assert_eq!(answer.field("Allow"), Some("GET, HEAD"));
        }
    }
    // `Expect: 100-continue` is not waited for.
    let mut client = server.connect();
    client.send(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(Answer::read(&mut client, "PUT").status, 405);
}

fn no_descriptor_stays_behind(model: Model) {
    let place = Place::new();
    let server = place.serve(model, "--index");
    drop(server.connect());
    let mut client = server.connect();
    get(&mut client, "/1000", &[]);
    // An idle connection has its socket, and no file.
    let idle = server.own_descriptors();
    for path in ["/100000", "/", "/nothing", "/1000"] {
        get(&mut client, path, &[]);
    }
    within(PATIENCE, "the files are closed", || server.own_descriptors() <= idle);
    client.ends_with(b"");
}

fn a_slow_head_is_told_so_and_holds_up_no_one_else(model: Model) {
    let place = Place::new();
    let queues = matches!(model, Model::ThreadPool | Model::PoolStatic | Model::Prefork);
    let calm = if queues { "--busy-timeout 0" } else { "" };
    let server = place.serve(model, &format!("--request-timeout 0.5 {calm}"));
    let mut slow = server.connect();
    slow.send(b"GET / HTTP/1.1\r\n");
    let mut silent = server.connect();
    assert_eq!(get(&mut server.connect(), "/1", &[]).status, 200);
    within(PATIENCE, "an answer", || {
        // A byte now and then renews no patience.
        slow.has_input() || slow.try_send(b"X").is_err()
    });
    assert_eq!(Answer::read(&mut slow, "GET").status, 408);
    assert_eq!(silent.rest(), b"", "a client that asked for nothing is told nothing");
}

fn a_client_that_never_reads_holds_up_no_one_else(model: Model) {
    let place = Place::new();
    let server = place.serve(model, "");
    let mut silent = server.connect();
    let one = b"GET /3000001 HTTP/1.1\r\nHost: a\r\n\r\n";
    silent.send(&one.repeat(100));
    within(PATIENCE, "its first answer", || silent.has_input());
    assert_eq!(get(&mut server.connect(), "/1000", &[]).body, content(1000));
}

/// In place, while a part of it is on its way.
fn a_file_that_changes_is_never_received_whole(model: Model) {
    const SIZE: u64 = 64 << 20;
    let place = Place::new();
    let path = place.root().join("image");
    fs::write(&path, vec![b'1'; usize::try_from(SIZE).expect("64 MiB")]).expect("write");
    let file = File::options().write(true).open(&path).expect("open");
    let server = place.serve(model, "");
    for change in 0..3 {
        let mut client = server.connect();
        client.send(b"GET /image HTTP/1.1\r\nHost: a\r\n\r\n");
        let mut head = [0; 4096];
        client.try_read(&mut head).expect("its beginning");
        match change {
            0 => file.write_all_at(b"2", SIZE / 2).expect("write"),
            1 => (&file).write_all(b"11").expect("write"),
            _ => file.set_len(SIZE - 1).expect("truncate"),
        }
        let mut rest = vec![0; 1 << 20];
        let mut received = head.len();
        while client.try_read(&mut rest).is_ok() {
            received += rest.len();
        }
        assert!((received as u64) < SIZE, "change {change}: received whole");
        file.set_len(SIZE).expect("extend");
    }
}

fn a_sparse_file_beyond_4_gib_has_its_last_bytes(model: Model) {
    let place = Place::new();
    let file = File::create(place.root().join("sparse")).expect("create");
    file.set_len(5 << 30).expect("a sparse file");
    file.write_all_at(b"end", (5 << 30) - 3).expect("write");
    let server = place.serve(model, "");
    let mut client = server.connect();
    let end = get(&mut client, "/sparse", &["Range: bytes=-5"]);
    assert_eq!((end.status, &end.body[..]), (206, &b"\0\0end"[..]));
    let range = "bytes 5368709115-5368709119/5368709120";
    assert_eq!(end.field("Content-Range"), Some(range));
    for beyond in ["bytes=5368709120-", "bytes=18446744073709551616-", "bytes=-0"] {
        let none = get(&mut client, "/sparse", &[&format!("Range: {beyond}")]);
        assert_eq!((none.status, none.field("Content-Range")), (416, Some("bytes */5368709120")));
    }
}

/// Many clients at once, under a server that must not mix them up.
#[test]
fn clients_at_once_have_their_files() {
    let place = Place::new();
    for model in [Model::Epoll, Model::Prefork] {
        let server = place.serve(model, "");
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let mut client = server.connect();
                    for size in SIZES {
                        assert!(get(&mut client, &format!("/{size}"), &[]).body == content(size));
                    }
                });
            }
        });
    }
}
