//! The file of a Unix socket: created, replaced if it is stale, left alone if it is of another server.
//!
//! - A socket file without a server is replaced. One with a server, or a file that is not a socket,
//!   stays.
//! - Its mode and its group are the configured ones.
//! - It is removed when the server ends, and not before: children do not remove it.

use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixListener;
use std::path::Path;

use nix::sys::signal::Signal;
use windlass_tests::{Client, Model, PATIENCE, every_model, serve, supervise, windlass, within};

every_model!(
    a_stale_socket_is_replaced_and_the_file_is_gone_at_the_end,
    the_file_stays_as_long_as_the_server,
    a_group_removes_all_its_files,
);

fn is_socket(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|meta| meta.file_type().is_socket())
}

fn a_stale_socket_is_replaced_and_the_file_is_gone_at_the_end(model: Model) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("socket");
    drop(UnixListener::bind(&path).expect("bind"));
    assert!(is_socket(&path), "closing leaves the file");
    let server = serve!("upper", model).listen(format!("unix:{}", path.display())).start();
    server.connect().upper(b"hello");
    assert!(is_socket(&path));
    assert_eq!(server.stop().code, Some(0));
    assert!(!path.exists());
}

fn the_file_stays_as_long_as_the_server(model: Model) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("socket");
    let listen = format!("unix:{}", path.display());
    let server = serve!("upper", model).listen(&listen).args("--grace 300").start();
    for _ in 0..5 {
        // Under `fork` each of these is a child that ends.
        server.connect().ends_with(b"");
        assert!(is_socket(&path));
    }
    let mut client = server.connect();
    client.upper(b"hello");
    server.signal(Signal::SIGTERM);
    within(PATIENCE, "the file is gone when connecting is refused", || !path.exists());
    // Another server may have taken the place. A server that ends late must not remove its file.
    let other = UnixListener::bind(&path).expect("bind");
    client.upper(b"still here");
    client.ends_with(b"");
    assert_eq!(server.wait().code, Some(0));
    assert!(is_socket(&path), "the other server's file is gone");
    drop(other);
}

fn a_group_removes_all_its_files(model: Model) {
    let folder = tempfile::tempdir().expect("a folder");
    let [a, b] = ["a", "b"].map(|name| format!("unix:{}", folder.path().join(name).display()));
    let server = serve!("upper", model).listen(&a).listen(&b).start();
    for address in [&a, &b] {
        Client::connect(address).upper(b"hello");
    }
    assert_eq!(folder.path().read_dir().expect("list").count(), 2);
    assert_eq!(server.stop().code, Some(0));
    assert_eq!(folder.path().read_dir().expect("list").count(), 0);
}

#[test]
fn a_path_on_which_a_server_answers_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("socket");
    let listen = format!("unix:{}", path.display());
    let server = serve!("upper", Model::Epoll).listen(&listen).start();
    let outcome = windlass!("serve", "upper", "--listen", &listen).run();
    outcome.fails_with(1, &[&listen, "in use"]);
    assert!(is_socket(&path));
    server.connect().upper(b"as before");
}

#[test]
fn what_is_no_socket_is_never_removed() {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, link) = (folder.path().join("file"), folder.path().join("link"));
    std::fs::write(&file, "precious").expect("write");
    std::os::unix::fs::symlink(&file, &link).expect("symlink");
    let inner = folder.path().join("folder");
    std::fs::create_dir(&inner).expect("mkdir");
    for path in [&file, &link, &inner] {
        let listen = format!("unix:{}", path.display());
        windlass!("serve", "upper", "--listen", &listen).run().fails_with(1, &[&listen]);
    }
    assert_eq!(std::fs::read_to_string(&link).expect("read"), "precious");
    assert!(inner.is_dir());
}

/// A link to a stale socket is not the socket: what it points to is left alone.
#[test]
fn a_link_is_not_followed_to_a_stale_socket() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, link) = (folder.path().join("socket"), folder.path().join("link"));
    drop(UnixListener::bind(&path).expect("bind"));
    std::os::unix::fs::symlink(&path, &link).expect("symlink");
    let listen = format!("unix:{}", link.display());
    windlass!("serve", "upper", "--listen", &listen).run().fails_with(1, &[&listen]);
    assert!(is_socket(&path));
}

#[test]
fn a_folder_that_is_missing_or_takes_no_files_is_a_failure() {
    let folder = tempfile::tempdir().expect("a folder");
    let missing = folder.path().join("missing/socket");
    // Not even root makes files in /proc.
    for path in [missing.as_path(), Path::new("/proc/socket")] {
        let listen = format!("unix:{}", path.display());
        windlass!("serve", "upper", "--listen", &listen).run().fails_with(1, &[&listen]);
    }
}

/// Permissions and group of a file.
fn access(path: &Path) -> (u32, u32) {
    let meta = path.symlink_metadata().expect("it is there");
    (meta.mode() & 0o7777, meta.gid())
}

#[test]
fn a_socket_file_has_the_mode_and_the_group_that_were_asked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("socket");
    let group = folder.path().metadata().expect("it is there").gid();
    let options = format!("--mode 0626 --socket-group {group}");
    let server = serve!("upper", Model::Epoll).listen(format!("unix:{}", path.display()));
    let server = server.args(&options).start();
    assert_eq!(access(&path), (0o626, group));
    server.connect().upper(b"hello");
    assert_eq!(server.stop().code, Some(0));
    assert!(!path.exists());
}

#[test]
fn a_mode_is_for_a_socket_file() {
    for listen in ["tcp:127.0.0.1:0", "unix:@windlass-test-mode", "fd:3"] {
        for (option, value) in [("--mode", "0600"), ("--socket-group", "0")] {
            let outcome = windlass!("serve", "upper", "--listen", listen, option, value).run();
            outcome.fails_with(2, &[option, "socket file", listen]);
        }
    }
    let long = windlass!("serve", "upper", "--listen", "unix:a", "--mode", "4755").run();
    long.fails_with(2, &["4755", "octal"]);
    let refused =
        windlass!("serve", "upper", "--listen", "unix:a", "--socket-group", "no-such").run();
    refused.fails_with(2, &["no-such", "there is no such group"]);
}

#[test]
fn a_reload_and_an_upgrade_set_the_mode_that_is_configured_by_then() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("socket");
    let text = |more: &str| {
        let path = path.display();
        format!("[[listener]]\nservice = 'upper'\nlisten = 'unix:{path}'\n{more}\n")
    };
    let (mut supervised, members) = supervise!(&text("mode = '0666'")).by_link().serving(1);
    let mode = || access(&path).0;
    assert_eq!(mode(), 0o666);
    supervised.reload(&text("mode = '0600'"));
    assert_eq!(mode(), 0o600);
    supervised.reload(&text(""));
    assert_ne!(mode(), 0o600, "what the umask leaves");
    std::fs::write(supervised.config(), text("mode = '0622'")).expect("write");
    supervised.signal(Signal::SIGUSR2);
    supervised.until_logged("has taken over", 1);
    assert_eq!(supervised.wait(), Some(0));
    assert_eq!(mode(), 0o622);
    Client::connect(&members[0].address).upper(b"hello");
}
