//! Where a datagram came from.

use std::fmt;
use std::net::SocketAddr;

use nix::sys::socket::{SockaddrLike, SockaddrStorage};

use crate::printable::{printable, printable_bytes};

/// The address of the other end, as the kernel says it.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Peer {
    pub(super) name: libc::sockaddr_storage,
    pub(super) len: libc::socklen_t,
}

impl Peer {
    /// Of a Unix socket without a name: it cannot be answered.
    pub(super) const UNNAMED: Self = {
        // SAFETY: it is numbers and bytes, and all of them may be zero.
        Self { name: unsafe { std::mem::zeroed() }, len: 0 }
    };

    /// How much room there is for a name.
    pub(super) const ROOM: libc::socklen_t = size_of::<libc::sockaddr_storage>() as libc::socklen_t;

    fn storage(&self) -> Option<SockaddrStorage> {
        // SAFETY: the kernel wrote `len` bytes of it, and it is as long as any.
        unsafe { SockaddrStorage::from_raw((&raw const self.name).cast(), Some(self.len)) }
    }

    /// The internet address, if it is one.
    pub fn socket_addr(&self) -> Option<SocketAddr> {
        inet(&self.storage()?)
    }

    /// Whether it is an internet address.
    pub(super) fn is_inet(&self) -> bool {
        [libc::AF_INET, libc::AF_INET6].contains(&libc::c_int::from(self.name.ss_family))
    }

    /// Whether it is the same internet address.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.len == other.len && self.socket_addr() == other.socket_addr()
    }

    /// Whether a datagram can be sent there: a Unix socket may have no name.
    pub fn is_named(&self) -> bool {
        self.len as usize > size_of::<libc::sa_family_t>()
    }
}

/// The internet address, if it is one.
pub(in crate::sys) fn inet(name: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = name.as_sockaddr_in().map(|at| SocketAddr::V4((*at).into()));
    v4.or_else(|| name.as_sockaddr_in6().map(|at| SocketAddr::V6((*at).into())))
}

impl From<SocketAddr> for Peer {
    fn from(at: SocketAddr) -> Self {
        let at = SockaddrStorage::from(at);
        let mut peer = Self { len: at.len().min(Self::ROOM), ..Self::UNNAMED };
        let (from, to) = (at.as_ptr().cast::<u8>(), (&raw mut peer.name).cast::<u8>());
        // SAFETY: both are at least `len` bytes long, and apart.
        unsafe { std::ptr::copy_nonoverlapping(from, to, peer.len as usize) };
        peer
    }
}

/// As in the log: `192.0.2.1:80`, `[::1]:80`, the path of a Unix socket, `an unnamed socket`.
impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(at) = self.socket_addr() {
            return at.fmt(f);
        }
        let storage = self.storage().filter(|_| self.is_named());
        let unix = storage.as_ref().and_then(SockaddrStorage::as_unix_addr);
        match unix.map(|at| (at.path(), at.as_abstract())) {
            Some((Some(path), _)) => write!(f, "{}", printable(path)),
            Some((None, Some(name))) => write!(f, "@{}", printable_bytes(name)),
            Some((None, None)) | None => f.write_str("an unnamed socket"),
        }
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
