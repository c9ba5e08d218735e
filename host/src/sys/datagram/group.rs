//! Multicast groups: which sockets receive what is sent to them, and by which interface it leaves.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno;
use nix::net::if_::if_nametoindex;
use nix::sys::socket::AddressFamily;

/// The number of the interface called `name`.
///
/// # Errors
/// `ENODEV`: there is none.
pub fn interface(name: &str) -> nix::Result<NonZeroU32> {
    if_nametoindex(name).ok().and_then(NonZeroU32::new).ok_or(Errno::ENODEV)
}

/// Of the groups that other sockets of this host have joined this one hears nothing (`IP_MULTICAST_ALL` off).
pub(super) fn only_joined(fd: &impl AsFd, family: AddressFamily) -> nix::Result<()> {
    /// Of linux/in6.h; `libc` has no name for it.
    const IPV6_MULTICAST_ALL: libc::c_int = 29;
    match family {
        AddressFamily::Inet => set(fd, libc::IPPROTO_IP, libc::IP_MULTICAST_ALL, &0_i32),
        AddressFamily::Inet6 => set(fd, libc::IPPROTO_IPV6, IPV6_MULTICAST_ALL, &0_i32),
        _ => Ok(()),
    }
}

/// Joins a group on an interface, or on the one that the route to the group leads to.
///
/// # Errors
/// `EINVAL`: it is no group. `ENODEV`: no interface, or no route. `EADDRINUSE`: it was joined before.
pub fn join(fd: &impl AsFd, group: IpAddr, on: Option<NonZeroU32>) -> nix::Result<()> {
    membership(fd, group, on, [libc::IP_ADD_MEMBERSHIP, libc::IPV6_ADD_MEMBERSHIP])
}

/// Leaves a group that was joined on that interface, which may be gone.
///
/// # Errors
/// `EADDRNOTAVAIL`: it was not joined.
pub fn leave(fd: &impl AsFd, group: IpAddr, on: Option<NonZeroU32>) -> nix::Result<()> {
    membership(fd, group, on, [libc::IP_DROP_MEMBERSHIP, libc::IPV6_DROP_MEMBERSHIP])
}

fn membership(
    fd: &impl AsFd,
    group: IpAddr,
    on: Option<NonZeroU32>,
    [v4, v6]: [libc::c_int; 2],
) -> nix::Result<()> {
    let index = on.map_or(0, NonZeroU32::get);
    match group {
        IpAddr::V4(group) => {
            let ask = libc::ip_mreqn {
                imr_multiaddr: libc::in_addr { s_addr: u32::from(group).to_be() },
                imr_address: libc::in_addr { s_addr: 0 },
                imr_ifindex: index.cast_signed(),
            };
            set(fd, libc::IPPROTO_IP, v4, &ask)
        }
        IpAddr::V6(group) => {
            let ask = libc::ipv6_mreq {
                ipv6mr_multiaddr: libc::in6_addr { s6_addr: group.octets() },
                ipv6mr_interface: index,
            };
            set(fd, libc::IPPROTO_IPV6, v6, &ask)
        }
    }
}

/// What is sent to groups of the family of `group` leaves by this interface.
///
/// # Errors
/// `ENODEV`, `EADDRNOTAVAIL`: there is none of this number.
pub fn send_by(fd: &impl AsFd, group: IpAddr, on: NonZeroU32) -> nix::Result<()> {
    match group {
        IpAddr::V4(_) => {
            let none = libc::in_addr { s_addr: 0 };
            let ask = libc::ip_mreqn {
                imr_multiaddr: none,
                imr_address: none,
                imr_ifindex: on.get().cast_signed(),
            };
            set(fd, libc::IPPROTO_IP, libc::IP_MULTICAST_IF, &ask)
        }
        IpAddr::V6(_) => set(fd, libc::IPPROTO_IPV6, libc::IPV6_MULTICAST_IF, &on.get()),
    }
}

/// The time to live of what is sent to groups, of which each router takes 1: 1 stays on the link, 0 on this host.
///
/// # Errors
/// None that a socket of that family could have.
pub fn set_ttl(fd: &impl AsFd, group: IpAddr, ttl: u8) -> nix::Result<()> {
    match group {
        IpAddr::V4(_) => set(fd, libc::IPPROTO_IP, libc::IP_MULTICAST_TTL, &i32::from(ttl)),
        IpAddr::V6(_) => set(fd, libc::IPPROTO_IPV6, libc::IPV6_MULTICAST_HOPS, &i32::from(ttl)),
    }
}

/// The time to live of what is sent to one host.
///
/// # Errors
/// `EINVAL`: it is 0.
pub fn set_unicast_ttl(fd: &impl AsFd, to: IpAddr, ttl: u8) -> nix::Result<()> {
    match to {
        IpAddr::V4(_) => set(fd, libc::IPPROTO_IP, libc::IP_TTL, &i32::from(ttl)),
        IpAddr::V6(_) => set(fd, libc::IPPROTO_IPV6, libc::IPV6_UNICAST_HOPS, &i32::from(ttl)),
    }
}

pub(super) fn set<T: Copy>(
    fd: &impl AsFd,
    level: libc::c_int,
    name: libc::c_int,
    value: &T,
) -> nix::Result<()> {
    let (value, len) = (std::ptr::from_ref(value).cast(), size_of::<T>() as libc::socklen_t);
    // SAFETY: the value outlives the call, and its length is its own.
    let done = unsafe { libc::setsockopt(fd.as_fd().as_raw_fd(), level, name, value, len) };
    Errno::result(done).map(drop)
}
