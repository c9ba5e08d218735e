//! A file that is written in place while it is on its way: every answer of `http` that is whole has the bytes of one
//! version.
//!
//! - The file was opened, and changes before anything of its answer has left.
//! - The client has read nothing yet, or a part, and the rest waits in the queues of both sockets.
//! - Slow clients fetch files and parts of them that are written again and again.
//! - The file itself stays as it is, and its name is removed, or is given to the next version.
//!
//! The sockets of two programs of one host pass pages of the file itself, so a queue alone protects no byte.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use windlass_tests::{Client, Model, PATIENCE, Random, every_model, models, serve, unique, within};

every_model!(
    what_waits_in_queues_is_of_one_version,
    a_file_that_changes_before_its_first_byte_leaves_costs_no_answer,
    a_file_that_loses_its_name_is_sent_to_its_end,
);
models!(slow_clients_of_files_that_are_written_again_and_again: fork Fork, thread Thread, epoll Epoll,
    epoll_et EpollEt, reactor Reactor, pool_static PoolStatic, prefork Prefork);

/// Less than the queue of a client, less than the queues of both sides, more than both, much more.
const SIZES: [usize; 4] = [40_000, 300_000, 3_000_000, 12_000_000];

const PAGE: usize = 4096;

/// Writes all of a file in place, page by page: a page has the bytes of one version at any time.
fn write(file: &File, size: usize, version: u8) {
    let page = [version; PAGE];
    for at in (0..size).step_by(PAGE) {
        file.write_all_at(&page[..PAGE.min(size - at)], at as u64).expect("write");
    }
}

fn image(folder: &Path, size: usize) -> File {
    let file = File::create(folder.join(size.to_string())).expect("create");
    write(&file, size, 0);
    file
}

/// Waits until a change of the file is one of its time too: the clocks of some file systems have a tick.
fn settle(file: &File) {
    let age = || file.metadata().and_then(|it| it.modified()).expect("stat").elapsed();
    within(PATIENCE, "the file is older than a tick", || {
        age().is_ok_and(|age| age > Duration::from_millis(30))
    });
}

fn ask(client: &mut Client, size: usize, more: &str) {
    client.send(format!("GET /{size} HTTP/1.1\r\nHost: a\r\n{more}\r\n").as_bytes());
}

/// Reads a head, and returns the length that it promises. A connection may be cut before its head has left.
fn head(client: &mut Client) -> Option<usize> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.try_read(&mut byte).ok()?;
        head.extend(byte);
    }
    let head = String::from_utf8(head).expect("text");
    let len = head.split("Content-Length: ").nth(1).and_then(|rest| rest.lines().next());
    Some(len.and_then(|len| len.parse().ok()).unwrap_or_else(|| panic!("no length: {head}")))
}

/// Reads what is promised, in pieces that are at most so long. `None` if the connection was cut.
fn body(client: &mut Client, len: usize, piece: usize) -> Option<Vec<u8>> {
    let mut body = Vec::with_capacity(len);
    while body.len() < len {
        let mut room = vec![0; piece.min(len - body.len())];
        client.try_read(&mut room).ok()?;
        body.append(&mut room);
    }
    Some(body)
}

/// Reads an answer to its end. Returns its version, if all of it came.
fn version(client: &mut Client, len: usize) -> Option<u8> {
    let body = body(client, len, 1 << 20)?;
    let first = body[0];
    let other = body.iter().find(|&&byte| byte != first);
    assert_eq!(other, None, "bytes of version {first} and of another one, of {len}");
    Some(first)
}

/// Whether the file was like this at some moment: while it is written, its beginning is of the next version. What is read
/// in pieces while it is written has its beginning of the one before.
fn was_there(body: &[u8]) -> bool {
    let next = body[0];
    let end = body.iter().position(|&byte| byte != next).unwrap_or(body.len());
    body[end..].iter().all(|&byte| byte == next.wrapping_sub(1))
}

fn what_waits_in_queues_is_of_one_version(model: Model) {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().display();
    let server = serve!("http", model).args(&format!("--root {root}")).start();
    let at = format!("unix:@{}", unique("versions"));
    let local = serve!("http", model).args(&format!("--root {root}")).listen(at).start();
    for size in SIZES {
        let file = image(folder.path(), size);
        let mut last = 0;
        for server in [&server, &local] {
            for read in [0, size / 3] {
                settle(&file);
                let mut client = server.connect();
                ask(&mut client, size, "");
                let len = head(&mut client).expect("a head");
                let mut begin = vec![0; read];
                client.try_read(&mut begin).expect("its beginning");
                assert!(begin.iter().all(|&byte| byte == last), "{size}");
                write(&file, size, last + 1);
                let came = version(&mut client, len - read);
                assert!(read == 0 || came.is_none_or(|version| version == last), "{size}");
                last += 1;
            }
            // Nothing is wrong with the file itself.
            settle(&file);
            let mut client = server.connect();
            ask(&mut client, size, "");
            let len = head(&mut client).expect("a head");
            assert_eq!((len, version(&mut client, len)), (size, Some(last)));
        }
        fs::remove_file(folder.path().join(size.to_string())).expect("remove");
    }
}

/// So files are published: the next version is complete before it gets the name.
fn a_file_that_loses_its_name_is_sent_to_its_end(model: Model) {
    let folder = tempfile::tempdir().expect("a folder");
    let args = format!("--root {}", folder.path().display());
    let server = serve!("http", model).args(&args).start();
    for size in SIZES {
        let name = folder.path().join(size.to_string());
        let remove = || fs::remove_file(&name).expect("remove");
        let replace = || {
            let next = folder.path().join("next");
            write(&File::create(&next).expect("create"), size, 1);
            fs::rename(&next, &name).expect("rename");
        };
        for lose in [&remove as &dyn Fn(), &replace] {
            let file = image(folder.path(), size);
            settle(&file);
            let mut client = server.connect();
            ask(&mut client, size, "");
            let len = head(&mut client).expect("a head");
            lose();
            assert_eq!(version(&mut client, len), Some(0), "{size}");
            let _ = fs::remove_file(&name);
        }
    }
}

/// A Unix socket takes all of such an answer or nothing, so each answer that waits has not begun.
fn a_file_that_changes_before_its_first_byte_leaves_costs_no_answer(model: Model) {
    const SIZE: usize = 20_000;
    const COUNT: usize = 100;
    let folder = tempfile::tempdir().expect("a folder");
    let file = image(folder.path(), SIZE);
    settle(&file);
    let at = format!("unix:@{}", unique("versions"));
    let args = format!("--root {}", folder.path().display());
    let server = serve!("http", model).args(&args).listen(at).start();
    let mut client = server.connect();
    for _ in 0..COUNT {
        ask(&mut client, SIZE, "");
    }
    // The next answer waits for room: its file is open.
    within(PATIENCE, "an answer waits", || {
        client.has_input() && server.open_files(&SIZE.to_string()) > 0
    });
    write(&file, SIZE, 1);
    let versions: Vec<_> = (0..COUNT)
        .map(|_| {
            let len = head(&mut client).expect("each has its answer");
            (len, version(&mut client, len).expect("a whole one"))
        })
        .collect();
    assert!(versions.is_sorted() && versions.iter().all(|(len, _)| *len == SIZE), "{versions:?}");
    assert_eq!((versions[0].1, versions[COUNT - 1].1), (0, 1));
}

fn slow_clients_of_files_that_are_written_again_and_again(model: Model) {
    const ROUNDS: usize = 12;
    let folder = tempfile::tempdir().expect("a folder");
    let files = SIZES[..3].iter().map(|&size| (size, image(folder.path(), size)));
    let files: Vec<_> = files.collect();
    if !tells_changes_apart(&files[0].1) {
        return;
    }
    let root = folder.path().display();
    let server = serve!("http", model).args(&format!("--root {root}")).start();
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut version = 0_u8;
            loop {
                version = version.wrapping_add(1);
                for (size, file) in &files {
                    write(file, *size, version);
                    if ended.load(Ordering::Relaxed) {
                        return;
                    }
                    // Some answers are to be whole.
                    thread::sleep(Duration::from_millis(20));
                }
            }
        });
        let clients: Vec<_> = (0..4)
            .map(|seed| {
                let server = &server;
                scope.spawn(move || {
                    let mut random = Random::new(seed);
                    for round in 0..ROUNDS {
                        let size = SIZES[round % 3];
                        let part = format!("Range: bytes={}-\r\n", random.up_to(size - 1));
                        let mut client = server.connect();
                        ask(&mut client, size, if round % 2 == 0 { "" } else { &part });
                        let Some(len) = head(&mut client) else { continue };
                        let piece = 1 + random.up_to(len / 4);
                        let whole = body(&mut client, len, piece);
                        assert!(whole.is_none_or(|body| was_there(&body)), "{len} of {size}");
                    }
                })
            })
            .collect();
        let heard: Vec<_> = clients.into_iter().map(thread::ScopedJoinHandle::join).collect();
        ended.store(true, Ordering::Relaxed);
        writer.join().expect("the writer");
        assert!(heard.iter().all(Result::is_ok), "a client had an answer of two moments");
    });
}

/// Whether two changes, one behind the other, have two times once the first was seen. Where they have not, a file
/// that is written all the time has no version that a server could promise.
fn tells_changes_apart(file: &File) -> bool {
    let change = || {
        file.write_all_at(b"\0", 0).expect("write");
        file.metadata().and_then(|it| it.modified()).expect("stat")
    };
    (0..100).all(|_| change() != change())
}
