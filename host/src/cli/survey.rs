//! Checks that listeners can be opened, on this machine and beside each other, before any is opened.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::OsString;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, ToSocketAddrs};
use std::os::fd::RawFd;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf, absolute};

use super::args::Serve;
use crate::addr::{Address, HostPort, Transport};
use crate::error::Error;
use crate::server::Spec;
use crate::sys::Errno;
use crate::sys::file::folder_of;
use crate::sys::root::Root;
use crate::sys::user::User;

/// The listeners so far. `P` is the place of each in the command line or file.
#[derive(Debug)]
pub(super) struct Survey<P> {
    taken: HashMap<Socket, (Address, P)>,
    /// The users that were looked up, each once.
    users: HashMap<String, Option<String>>,
    hosts: HashMap<String, Option<String>>,
    /// Whether everything is checked that opening a listener needs. Not on a reload: a listener that is
    /// open does not need it any more.
    is_to_open: bool,
}

/// A mistake, and the option or key that it is about.
#[derive(Debug)]
pub(super) struct Found<P> {
    pub(super) option: &'static str,
    pub(super) what: What<P>,
}

#[derive(Debug)]
pub(super) enum What<P> {
    /// `said` cannot be bound beside `earlier`, which is at that place.
    Taken { said: Address, earlier: Address, place: P },
    /// A file, user or group does not exist, or is not of the right kind.
    Failed(String),
}

/// An address that can be bound once.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Socket {
    Ip(Transport, IpAddr, u16),
    /// The wildcard address of a family, which excludes each address of the family.
    AnyOf(Transport, Family, u16),
    /// A host that is not an IP address.
    Name(Transport, String, u16),
    File(PathBuf),
    Abstract(String),
    Number(RawFd),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Family {
    V4,
    V6,
}

impl<P: Copy> Survey<P> {
    /// With `is_to_open`, everything is checked that opening needs.
    pub(super) fn new(is_to_open: bool) -> Self {
        let (taken, users, hosts) = Default::default();
        Self { taken, users, hosts, is_to_open }
    }

    /// Checks the listeners of one entry, or of the command line. `place` is where an option is
    /// written.
    pub(super) fn look(
        &mut self,
        serve: &Serve,
        specs: &[Spec],
        place: impl Fn(&str) -> P,
    ) -> Vec<Found<P>> {
        let mut found = Vec::new();
        // Members of a group share a port.
        for spec in specs.iter().filter(|spec| spec.group.is_none()) {
            self.take(&spec.address, "listen", place("listen"), &mut found);
        }
        // Everything else is the same for all of them.
        let control = serve.control.clone().map(Address::Unix);
        // The plan reports if both are the same.
        if let Some(control) = control.filter(|it| specs.iter().all(|spec| spec.address != *it)) {
            self.take(&control, "control", place("control"), &mut found);
        }
        let mut failed = |option, what| found.push(Found { option, what: What::Failed(what) });
        if let Some(files) = specs.iter().find(|spec| spec.files.is_some())
            && let Err(error) = files.offer()
        {
            let root = files.files.as_ref().map(|files| Root::open(&files.root));
            let is_push = serve.root.is_none() || root.is_some_and(|root| root.is_ok());
            failed(if is_push { "push" } else { "root" }, error.to_string());
        }
        if let Some(why) = serve.user.as_deref().and_then(|user| self.user(user)) {
            failed("user", why);
        }
        found
    }

    /// The socket of a listener or of its control.
    fn take(&mut self, said: &Address, option: &'static str, place: P, found: &mut Vec<Found<P>>) {
        if self.is_to_open
            && let Err(why) = self.can_be_bound(said)
        {
            found.push(Found { option, what: What::Failed(why) });
        }
        let mut taken = |earlier: &(Address, P)| {
            let (earlier, place) = earlier.clone();
            let said = said.clone();
            found.push(Found { option, what: What::Taken { said, earlier, place } });
        };
        let Some(socket) = Socket::of(said) else { return };
        // A wildcard address excludes earlier addresses of its family, and they exclude it.
        let other = match socket {
            Socket::Ip(by, ip, port) => {
                let family = Family::of(ip);
                let first = self.taken.get(&Socket::AnyOf(by, family, port));
                let is_wildcard = ip == family.wildcard();
                first
                    .filter(|_| is_wildcard)
                    .or_else(|| self.taken.get(&Socket::Ip(by, family.wildcard(), port)))
            }
            _ => None,
        };
        if let Some(earlier) = other {
            taken(earlier);
            return;
        }
        if let Socket::Ip(by, ip, port) = socket {
            let any = Socket::AnyOf(by, Family::of(ip), port);
            self.taken.entry(any).or_insert_with(|| (said.clone(), place));
        }
        match self.taken.entry(socket) {
            Entry::Occupied(earlier) => taken(earlier.get()),
            Entry::Vacant(free) => {
                free.insert((said.clone(), place));
            }
        }
    }

    /// Why the server cannot become that user, if it cannot.
    fn user(&mut self, name: &str) -> Option<String> {
        let is_to_open = self.is_to_open;
        let look_up = || {
            let user = User::look_up(name)?;
            if is_to_open { user.may_be_assumed() } else { Ok(()) }
        };
        let known = self.users.entry(name.to_owned());
        known.or_insert_with(|| look_up().err().map(|error| error.to_string())).clone()
    }

    /// The error that opening the address would give. A server that has the address is no error: it
    /// may be the running one.
    fn can_be_bound(&mut self, address: &Address) -> Result<(), String> {
        match address {
            Address::Tcp(at) | Address::Udp(at) => {
                let known = self.hosts.entry(at.host.clone()).or_insert_with(|| {
                    let why = (at.host.as_str(), 0).to_socket_addrs().err()?;
                    Some(why.to_string())
                });
                let why = known.clone().map(|why| Error::new("resolve", address, why).to_string());
                why.map_or(Ok(()), Err)
            }
            Address::Unix(path) | Address::UnixDatagram(path) => {
                free(path).map_err(|why| Error::new("bind", address, why).to_string())
            }
            Address::UnixAbstract(_) | Address::Fd(_) => Ok(()),
        }
    }
}

/// Whether a socket file can be made at the path, or exists.
fn free(path: &Path) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => Ok(()),
        Ok(_) => Err("a file with this name exists, and it is not a socket".into()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let found = fs::metadata(folder_of(path))?;
            if found.is_dir() { Ok(()) } else { Err(Errno::ENOTDIR.into()) }
        }
        Err(error) => Err(error.into()),
    }
}

impl Socket {
    /// `None` if each listener gets another port.
    fn of(address: &Address) -> Option<Self> {
        let by = address.transport().unwrap_or(Transport::Stream);
        Some(match address {
            Address::Tcp(at) | Address::Udp(at) if at.port == 0 => return None,
            Address::Tcp(HostPort { host, port }) | Address::Udp(HostPort { host, port }) => {
                match host.parse::<IpAddr>() {
                    Ok(ip) => Self::Ip(by, ip.to_canonical(), *port),
                    Err(_) => Self::Name(by, host.to_ascii_lowercase(), *port),
                }
            }
            Address::Unix(path) | Address::UnixDatagram(path) => Self::File(one_way(path)),
            Address::UnixAbstract(name) => Self::Abstract(name.clone()),
            Address::Fd(number) => Self::Number(*number),
        })
    }
}

/// The path with its folder made canonical, as far as the folder exists.
fn one_way(path: &Path) -> PathBuf {
    let name = path.file_name().map(OsString::from);
    match (fs::canonicalize(folder_of(path)), name) {
        (Ok(folder), Some(name)) => folder.join(name),
        _ => absolute(path).unwrap_or_else(|_| path.to_owned()),
    }
}

impl Family {
    fn of(ip: IpAddr) -> Self {
        if ip.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    fn wildcard(self) -> IpAddr {
        match self {
            Self::V4 => Ipv4Addr::UNSPECIFIED.into(),
            Self::V6 => Ipv6Addr::UNSPECIFIED.into(),
        }
    }
}
