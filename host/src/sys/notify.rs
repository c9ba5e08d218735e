//! Messages to a service manager: the protocol of `sd_notify(3)`, over every socket that `NOTIFY_SOCKET` can
//! name.
//!
//! | `NOTIFY_SOCKET` | socket |
//! |---|---|
//! | `/PATH`, `@NAME` | Unix, datagrams; in the file system or abstract |
//! | `vsock:CID:PORT` | of the host of a virtual machine; datagrams, or what this machine has instead |
//! | `vsock-dgram:…`, `vsock-seqpacket:…`, `vsock-stream:…` | the same, of that type |

use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use nix::errno::Errno;
use nix::sys::socket::{
    self, AddressFamily, MsgFlags, Shutdown, SockFlag, SockType, SockaddrLike, UnixAddr, VsockAddr,
};

use super::clock;
use super::poll::{Woken, wait};
use super::ready::Interest;
use super::stream::Stream;
use crate::error::{Error, Result};
use crate::printable::printable;

/// How long a message may take, in microseconds: a manager that is busy, or a host that is, catches up.
const TIMEOUT_US: u64 = 2_000_000;

/// Where messages go.
#[derive(Debug, PartialEq, Eq)]
enum Manager {
    Unix(UnixAddr),
    /// `None`: datagrams, or else whichever type the service manager listens with.
    Vsock(Option<SockType>, VsockAddr),
}

/// Sends one message to the socket that `NOTIFY_SOCKET` says. Each has a socket of its own: the manager may
/// have been restarted meanwhile.
///
/// # Errors
/// The text is none of the forms above; nothing answers there; the message is not taken in time.
pub fn notify(to: &OsStr, message: &str) -> Result<()> {
    let fail = |errno: Errno| Error::new("notify", printable(to), errno);
    let manager = parse(to).map_err(|why| Error::new("notify", printable(to), why))?;
    match manager {
        Manager::Unix(at) => {
            let kinds = [SockType::Datagram];
            send(AddressFamily::Unix, &kinds, &at, message)
        }
        Manager::Vsock(Some(kind), at) => send(AddressFamily::Vsock, &[kind], &at, message),
        Manager::Vsock(None, at) => {
            let kinds = [SockType::Datagram, SockType::SeqPacket, SockType::Stream];
            send(AddressFamily::Vsock, &kinds, &at, message)
        }
    }
    .map_err(fail)
}

fn parse(to: &OsStr) -> std::result::Result<Manager, &'static str> {
    const FORMS: &str = "it is none of /PATH, @NAME and vsock:CID:PORT";
    let bytes = to.as_bytes();
    let long = |_| "the path of a socket has 1 to 107 bytes";
    match bytes {
        [b'/', ..] => return UnixAddr::new(to).map(Manager::Unix).map_err(long),
        [b'@', name @ ..] => {
            return UnixAddr::new_abstract(name).map(Manager::Unix).map_err(long);
        }
        _ => {}
    }
    let (kind, place) = to.to_str().and_then(|text| text.split_once(':')).ok_or(FORMS)?;
    let kind = match kind {
        "vsock" => None,
        "vsock-dgram" => Some(SockType::Datagram),
        "vsock-seqpacket" => Some(SockType::SeqPacket),
        "vsock-stream" => Some(SockType::Stream),
        _ => return Err(FORMS),
    };
    let (cid, port) = place.split_once(':').ok_or(FORMS)?;
    // 4294967295 stands for any, which is no place to send to.
    let number = |text: &str| text.parse().ok().filter(|&number| number != u32::MAX);
    match (number(cid), number(port)) {
        (Some(cid), Some(port)) => Ok(Manager::Vsock(kind, VsockAddr::new(cid, port))),
        _ => Err("CID and PORT are numbers below 4294967295"),
    }
}

/// Sends over the first of `kinds` that there is.
fn send<A: SockaddrLike>(
    family: AddressFamily,
    kinds: &[SockType],
    at: &A,
    message: &str,
) -> nix::Result<()> {
    let mut fd = Err(Errno::ESOCKTNOSUPPORT);
    for &kind in kinds {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        fd = socket::socket(family, kind, flags, None);
        // The transport of this virtual machine lacks that type of socket.
        if !matches!(fd, Err(Errno::ENODEV | Errno::ESOCKTNOSUPPORT | Errno::EOPNOTSUPP)) {
            break;
        }
    }
    let fd = fd?;
    connect(&fd, at)?;
    send_all(&fd, message.as_bytes())?;
    // A stream is one message; its end says that it is whole.
    let _ = socket::shutdown(fd.as_raw_fd(), Shutdown::Write);
    Ok(())
}

fn connect<A: SockaddrLike>(fd: &OwnedFd, at: &A) -> nix::Result<()> {
    match socket::connect(fd.as_raw_fd(), at) {
        Err(Errno::EINPROGRESS | Errno::EINTR) => {
            await_room(fd)?;
            Stream::new(fd.try_clone().map_err(|_| Errno::EMFILE)?).connected()
        }
        connected => connected,
    }
}

fn send_all(fd: &OwnedFd, mut bytes: &[u8]) -> nix::Result<()> {
    while !bytes.is_empty() {
        match socket::send(fd.as_raw_fd(), bytes, MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT) {
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => await_room(fd)?,
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

fn await_room(fd: &OwnedFd) -> nix::Result<()> {
    let end = clock::now().after(TIMEOUT_US);
    loop {
        match wait(fd.as_fd(), Interest::WRITE, None, Some(end)) {
            Woken::Ready(_) => return Ok(()),
            Woken::TimedOut => return Err(Errno::ETIMEDOUT),
            Woken::Other | Woken::Interrupted => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixDatagram};

    use super::*;

    fn heard(socket: &UnixDatagram) -> String {
        let mut buf = [0; 64];
        let count = socket.recv(&mut buf).unwrap();
        String::from_utf8_lossy(&buf[..count]).into_owned()
    }

    #[test]
    fn a_path_and_an_abstract_name_are_unix_sockets() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let by_path = UnixDatagram::bind(&path).unwrap();
        notify(path.as_os_str(), "READY=1\n").unwrap();
        assert_eq!(heard(&by_path), "READY=1\n");
        let name = format!("windlass-test-notify-{}", std::process::id());
        let at = SocketAddr::from_abstract_name(&name).unwrap();
        let by_name = UnixDatagram::bind_addr(&at).unwrap();
        notify(OsStr::new(&format!("@{name}")), "STOPPING=1\n").unwrap();
        assert_eq!(heard(&by_name), "STOPPING=1\n");
    }

    #[test]
    fn every_form_of_a_virtual_machine_is_understood() {
        let at = VsockAddr::new(2, 8888);
        for (text, kind) in [
            ("vsock:2:8888", None),
            ("vsock-dgram:2:8888", Some(SockType::Datagram)),
            ("vsock-seqpacket:2:8888", Some(SockType::SeqPacket)),
            ("vsock-stream:2:8888", Some(SockType::Stream)),
        ] {
            assert_eq!(parse(OsStr::new(text)), Ok(Manager::Vsock(kind, at)), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_named() {
        let long = format!("/{}", "x".repeat(108));
        for text in [
            "relative",
            "vsock:2",
            "vsock:a:1",
            "vsock:4294967295:1",
            "vsock:2:4294967295",
            "vsock::1",
            "vsock-raw:2:1",
            "tcp:127.0.0.1:1",
            &long,
        ] {
            let error = notify(OsStr::new(text), "READY=1").unwrap_err().to_string();
            assert!(error.starts_with("notify "), "{error}");
        }
    }

    #[test]
    fn a_manager_that_is_not_there_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing");
        let error = notify(missing.as_os_str(), "READY=1").unwrap_err().to_string();
        assert!(error.ends_with("No such file or directory"), "{error}");
        // CID 1 is this machine; where it has no vsock, that is the error.
        assert!(notify(OsStr::new("vsock-stream:1:1"), "READY=1").is_err());
    }
}
