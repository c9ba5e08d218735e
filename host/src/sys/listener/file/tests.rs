//! Socket files, every test with a folder or an abstract name of its own.

use std::sync::Barrier;
use std::thread;

use nix::sys::socket::{AddressFamily, SockType};

use super::*;
use crate::sys::connect::connect;
use crate::sys::listener::tests::{abstract_name, accepted, foreign};
use crate::sys::listener::{Accepted, Listener};

#[test]
fn an_abstract_name_has_no_file() {
    let address = abstract_name("in-use");
    let listener = Listener::bind(&address, 16).unwrap();
    assert_eq!(*listener.address(), address);
    accepted(&listener);
    let error = Listener::bind(&address, 16).unwrap_err();
    assert_eq!(error.to_string(), format!("listen on {address}: Address already in use"));
}

/// A folder that goes with the test, and the address of a socket in it.
pub(in crate::sys::listener) fn folder() -> (tempfile::TempDir, PathBuf, Address) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    (folder, path.clone(), Address::Unix(path))
}

#[test]
fn giving_the_listener_up_leaves_the_file() {
    let (_folder, path, address) = folder();
    Listener::bind(&address, 16).unwrap().give_up();
    assert!(path.exists());
}

#[test]
fn a_process_that_did_not_make_the_file_leaves_it() {
    let (_folder, path, address) = folder();
    let mut listener = Listener::bind(&address, 16).unwrap();
    // As in a child, where the parent's process id is not its own.
    listener.owned_path.as_mut().unwrap().owner += 1;
    drop(listener);
    assert!(path.exists());
}

#[test]
fn a_process_that_adopts_the_listener_removes_the_file() {
    let (_folder, path, address) = folder();
    let mut listener = Listener::bind(&address, 16).unwrap();
    listener.owned_path.as_mut().unwrap().owner += 1;
    listener.adopt();
    drop(listener);
    assert!(!path.exists());
}

/// The first that looks whether it is stale may remove what another has put there meanwhile.
#[test]
fn of_servers_that_find_a_stale_socket_at_once_one_listens() {
    const SERVERS: usize = 4;
    let (folder, _, address) = folder();
    for _ in 0..100 {
        Listener::bind(&address, 16).unwrap().give_up();
        let together = Barrier::new(SERVERS);
        let bound: Vec<_> = thread::scope(|scope| {
            let start = || {
                together.wait();
                Listener::bind(&address, 16)
            };
            let servers = [(); SERVERS].map(|()| scope.spawn(start));
            servers
                .map(|server| server.join().unwrap())
                .into_iter()
                .filter_map(Result::ok)
                .collect()
        });
        let [listener] = &bound[..] else { panic!("{} listen on one path", bound.len()) };
        connect(&address, clock::now().after(60_000_000)).unwrap();
        assert!(matches!(listener.accept(), Accepted::Stream(_)));
    }
    assert_eq!(folder.path().read_dir().unwrap().count(), 0);
}

#[test]
fn a_lock_that_a_killed_server_left_is_taken_over() {
    let (folder, _, address) = folder();
    let left = folder.path().join(".socket.windlass-lock");
    std::fs::write(&left, "").unwrap();
    let listener = Listener::bind(&address, 16).unwrap();
    assert!(!left.exists());
    accepted(&listener);
}

#[test]
fn a_socket_with_a_full_queue_is_in_use() {
    let (_folder, path, address) = folder();
    let listener = Listener::bind(&address, 0).unwrap();
    let _queued = connect(&address, clock::now()).unwrap();
    assert!(Listener::bind(&address, 16).is_err());
    assert!(path.exists());
    drop(listener);
}

#[test]
fn a_file_that_is_no_stale_socket_is_never_removed() {
    let (folder, path, address) = folder();
    let in_use = format!("listen on {address}: Address already in use");
    let check = |what: &str| {
        let error = Listener::bind(&address, 16).unwrap_err();
        let is_socket = what.ends_with("socket");
        let more = if is_socket { "" } else { "; the file there is not a socket" };
        assert_eq!(error.to_string(), format!("{in_use}{more}"), "{what}");
        assert!(path.symlink_metadata().is_ok(), "{what} was removed");
    };
    std::fs::write(&path, "precious").unwrap();
    check("a file");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    remove_file(&path).unwrap();

    std::fs::create_dir(&path).unwrap();
    check("a folder");
    std::fs::remove_dir(&path).unwrap();

    // A link, also one to a stale socket: this server does not judge it.
    let stale = folder.path().join("stale");
    Listener::bind(&Address::Unix(stale.clone()), 16).unwrap().give_up();
    std::os::unix::fs::symlink(&stale, &path).unwrap();
    check("a link");
    assert!(stale.exists());
    remove_file(&path).unwrap();

    let datagrams = foreign(AddressFamily::Unix, SockType::Datagram);
    bind(datagrams.as_raw_fd(), &UnixAddr::new(&path).unwrap()).unwrap();
    check("a datagram socket");
}

#[test]
fn the_backlog_bounds_the_clients_that_wait() {
    let listener = Listener::bind(&abstract_name("backlog"), 2).unwrap();
    let join = || connect(listener.address(), clock::now());
    // The kernel lets one more wait than the backlog says.
    let _waiting: Vec<_> = (0..3).map(|_| join().unwrap()).collect();
    let error = join().unwrap_err();
    let expected = format!("connect to {}: Connection refused", listener.address());
    assert_eq!(error.to_string(), expected);
    assert!(matches!(listener.accept(), Accepted::Stream(_)));
    join().unwrap();
}

#[test]
fn a_private_socket_is_its_owners_alone() {
    let (_folder, path, address) = folder();
    // The kernel limits the backlog.
    let bind = || Listener::bind_with(&address, u32::MAX, Access::PRIVATE);
    let listener = bind().unwrap();
    assert_eq!((mode(&path), listener.address()), (0o600, &address));
    accepted(&listener);
    let taken = bind().unwrap_err().to_string();
    assert_eq!(taken, format!("listen on {address}: Address already in use"));
    drop(listener);
    assert!(!path.exists());
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().mode() & 0o7777
}

#[test]
fn a_mode_is_the_files_whatever_the_umask() {
    for wanted in [0o666, 0o660, 0o600, 0o777, 0] {
        let (_folder, path, address) = folder();
        let access = Access { mode: Some(wanted), group: None };
        let listener = Listener::bind_with(&address, 16, access).unwrap();
        assert_eq!(mode(&path), wanted);
        drop(listener);
        assert!(!path.exists());
    }
}

#[test]
fn a_group_and_a_mode_can_be_changed_and_undone() {
    let (_folder, path, address) = folder();
    let made = Listener::bind(&address, 16).unwrap();
    let group = || path.metadata().unwrap().gid();
    let before = (mode(&path), group());
    // Only root may give a file to a group that it is not in.
    let is_root = Uid::effective().is_root();
    let other = if is_root { 3_999_999_998 } else { nix::unistd::getegid().as_raw() };
    let access = Access { mode: Some(0o620), group: Some(other) };
    made.give_to(None, access).unwrap();
    assert_eq!((mode(&path), group()), (0o620, other));
    made.give_to(None, Access::default()).unwrap();
    assert_eq!((mode(&path), group()), (0o620, other), "nothing was said of it");
    made.give_to(None, Access::default().after(access, None)).unwrap();
    assert_eq!((mode(&path), group()), before);
}

#[test]
fn a_group_that_this_process_may_not_give_leaves_no_file() {
    if Uid::effective().is_root() {
        return;
    }
    let (folder, _, address) = folder();
    let access = Access { mode: None, group: Some(3_999_999_998) };
    let error = Listener::bind_with(&address, 16, access).unwrap_err().to_string();
    assert!(error.contains("Operation not permitted"), "{error}");
    assert_eq!(folder.path().read_dir().unwrap().count(), 0);
}
