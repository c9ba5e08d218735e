//! Names that lead into the root and out of it, and the pages of folders.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, symlink};
use std::path::PathBuf;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use super::*;

/// A root with a file, a folder, a FIFO and links of all kinds; a secret beside it.
fn place() -> (tempfile::TempDir, PathBuf) {
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join("root");
    fs::create_dir_all(root.join("folder")).unwrap();
    fs::write(root.join("folder/file"), b"12345").unwrap();
    fs::write(place.path().join("secret"), b"secret").unwrap();
    mkfifo(&root.join("fifo"), Mode::S_IRWXU).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
    for (link, to) in [
        ("inside", PathBuf::from("folder/file")),
        ("round", PathBuf::from("folder/../folder/file")),
        ("out", PathBuf::from("../secret")),
        ("absolute", place.path().join("secret")),
        ("home", root.join("folder/file")),
        ("loop", PathBuf::from("loop")),
        ("nowhere", PathBuf::from("nothing")),
        ("up", PathBuf::from("..")),
        ("magic", PathBuf::from("/proc/self/cwd")),
    ] {
        symlink(to, root.join(link)).unwrap();
    }
    (place, root)
}

#[test]
fn a_name_leads_to_a_file_in_the_root_or_nowhere() {
    let (_place, path) = place();
    let root = Root::open(&path).unwrap();
    for name in ["folder/file", "inside", "round", "./folder//file"] {
        assert_eq!(root.file(name.as_bytes()).unwrap().size, 5, "{name}");
    }
    let (long, longest) = ("x".repeat(256), "x/".repeat(2500));
    for (name, why) in [
        ("", Refusal::BadName),
        ("/etc/passwd", Refusal::BadName),
        ("/", Refusal::BadName),
        ("..", Refusal::BadName),
        ("../secret", Refusal::BadName),
        ("folder/../../secret", Refusal::BadName),
        ("folder/../folder/file", Refusal::BadName),
        ("a\0b", Refusal::BadName),
        ("nothing", Refusal::NotFound),
        ("nowhere", Refusal::NotFound),
        ("folder/file/", Refusal::NotFound),
        ("folder/file/x", Refusal::NotFound),
        ("....//secret", Refusal::NotFound),
        (".", Refusal::IsFolder),
        ("folder", Refusal::IsFolder),
        ("fifo", Refusal::NotAFile),
        ("socket", Refusal::NotAFile),
        ("out", Refusal::NotAllowed),
        ("absolute", Refusal::NotAllowed),
        ("home", Refusal::NotAllowed),
        ("up/secret", Refusal::NotAllowed),
        ("magic", Refusal::NotAllowed),
        ("loop", Refusal::NotAllowed),
        (&long, Refusal::TooLong),
        (&longest, Refusal::TooLong),
    ] {
        assert_eq!(root.file(name.as_bytes()).unwrap_err(), why, "{name}");
    }
}

/// Or it is said that it would take time.
#[test]
fn what_is_known_at_once_is_the_same() {
    let (_place, path) = place();
    let root = Root::open(&path).unwrap();
    for name in ["folder/file", "inside", "", "../secret", "nothing", "folder", "fifo", "out"] {
        let found = root.file(name.as_bytes()).map(|opened| opened.size);
        let at_once = root.file_at_once(name.as_bytes());
        assert!(at_once.is_none_or(|at_once| at_once.map(|opened| opened.size) == found), "{name}");
    }
}

#[test]
fn a_root_is_a_folder() {
    let (_place, path) = place();
    for name in ["folder/file", "nothing", "fifo"] {
        let error = Root::open(&path.join(name)).unwrap_err().to_string();
        assert!(error.starts_with("open the root "), "{error}");
    }
}

fn read(root: &Root, name: &[u8]) -> std::result::Result<String, Refusal> {
    let Opened { file, size, .. } = root.file(name)?;
    let mut content = vec![0; size as usize];
    file.read_exact_at(&mut content, 0).unwrap();
    Ok(String::from_utf8(content).unwrap())
}

#[test]
fn a_folder_is_its_page_a_list_or_nothing() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path();
    for name in ["with", "with/index.html.d", "without/sub", "fifo", "folder/index.html"] {
        fs::create_dir_all(path.join(name)).unwrap();
    }
    fs::write(path.join("with/index.html"), "the page").unwrap();
    mkfifo(&path.join("fifo/index.html"), Mode::S_IRWXU).unwrap();
    mkfifo(&path.join("without/pipe"), Mode::S_IRWXU).unwrap();
    let odd = OsStr::from_bytes(b"<a b>&\n\xff:");
    fs::write(path.join("without").join(odd), "").unwrap();
    fs::write(path.join("without/.hidden"), "").unwrap();
    let plain = Root::open(path).unwrap();
    assert_eq!(read(&plain, b"with/"), Err(Refusal::IsFolder));
    let pages = Root::open(path).unwrap().with_pages(Pages::default());
    assert_eq!(read(&pages, b"with/"), Ok("the page".into()));
    for (name, why) in [
        (&b""[..], Refusal::NotFound),
        (b"without/", Refusal::NotFound),
        (b"folder/", Refusal::NotFound),
        (b"fifo/", Refusal::NotAFile),
        (b"with/index.html/", Refusal::NotFound),
        (b"without", Refusal::IsFolder),
    ] {
        assert_eq!(read(&pages, name), Err(why), "{name:?}");
    }
    let lists = Root::open(path).unwrap().with_pages(Pages { lists: true, dot_files: false });
    assert_eq!(read(&lists, b"with/"), Ok("the page".into()));
    assert_eq!(
        read(&lists, b"without/").unwrap(),
        "<!doctype html>\n<meta charset=\"utf-8\">\n<title>/without/</title>\n<h1>/without/</h1>\n<ul>\n\
         <li><a href=\"../\">../</a>\n\
         <li><a href=\"./%3Ca%20b%3E%26%0A%FF%3A\">&lt;a b&gt;&amp;\u{fffd}\u{fffd}:</a>\n\
         <li><a href=\"./sub/\">sub/</a>\n</ul>\n"
    );
    assert!(read(&lists, b"").unwrap().contains("<a href=\"./with/\">with/</a>"));
    assert!(lists.file_at_once(b"without/").is_none(), "an event loop does not read a folder");
    let all = Root::open(path).unwrap().with_pages(Pages { lists: true, dot_files: true });
    assert!(read(&all, b"without/").unwrap().contains("./.hidden"));
}
