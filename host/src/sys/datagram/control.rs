//! What is said beside a datagram (cmsg(3)): the address that it was sent to, when it came, and how many were
//! dropped; where its reply is to leave from, and into how many it is to be cut.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::sys::clock::Calendar;

/// Control data of one datagram. It has to be aligned as its header is.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub(super) struct Control([u8; CONTROL]);

/// Room for what the kernel says beside a datagram: the longest destination (`in6_pktinfo`, 40 bytes with
/// its header), the count of those that it dropped (24), and when it came (32).
pub(super) const CONTROL: usize = 96;

/// The address that a datagram was sent to, in the form in which its reply names its source.
#[derive(Clone, Copy, Default)]
pub(super) enum Source {
    /// The kernel chooses.
    #[default]
    Any,
    V4(libc::in_pktinfo),
    V6(libc::in6_pktinfo),
}

/// What the kernel said beside a datagram.
#[derive(Clone, Copy, Default)]
pub(super) struct Told {
    /// Where it was sent to.
    pub(super) source: Source,
    /// How many were dropped before.
    pub(super) overflow: Option<u32>,
    /// When it came, by the calendar clock.
    pub(super) came: Option<Calendar>,
}

/// What the kernel said beside a datagram.
pub(super) fn told(header: &libc::msghdr) -> Told {
    let mut told = Told::default();
    // SAFETY: the kernel filled the control data of this header, which says its length.
    let mut next = unsafe { libc::CMSG_FIRSTHDR(header) };
    while !next.is_null() {
        // SAFETY: it is within the control data, as the macros of cmsg(3) have it; data may be unaligned.
        unsafe {
            let data = libc::CMSG_DATA(next);
            match ((*next).cmsg_level, (*next).cmsg_type) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    let mut info = data.cast::<libc::in_pktinfo>().read_unaligned();
                    // The route is looked up again for the reply. Of a broadcast or a group,
                    // `ipi_spec_dst` is the address of this host.
                    info.ipi_addr.s_addr = 0;
                    told.source = Source::V4(info);
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    let mut info = data.cast::<libc::in6_pktinfo>().read_unaligned();
                    // A group is the source of nothing: the kernel chooses, on the same interface.
                    if info.ipi6_addr.s6_addr[0] == 0xff {
                        info.ipi6_addr.s6_addr = [0; 16];
                    }
                    told.source = Source::V6(info);
                }
                (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) => {
                    told.overflow = Some(data.cast::<u32>().read_unaligned());
                }
                (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => {
                    let at = data.cast::<libc::timespec>().read_unaligned();
                    // Below a million.
                    told.came = Some(Calendar::of(at.tv_sec, (at.tv_nsec / 1_000) as u32));
                }
                _ => {}
            }
            next = libc::CMSG_NXTHDR(header, next);
        }
    }
    told
}

impl Control {
    pub(super) const EMPTY: Self = Self([0; CONTROL]);

    pub(super) fn as_mut_ptr(&mut self) -> *mut libc::c_void {
        self.0.as_mut_ptr().cast()
    }
}

impl Source {
    /// This address; one of a link needs the number of the link too.
    #[cfg(feature = "transfer")]
    pub(super) fn of(ip: IpAddr, link: u32) -> Self {
        match ip {
            IpAddr::V4(ip) => {
                let none = libc::in_addr { s_addr: 0 };
                let own = libc::in_addr { s_addr: u32::from(ip).to_be() };
                Self::V4(libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: own, ipi_addr: none })
            }
            IpAddr::V6(ip) => {
                let own = libc::in6_addr { s6_addr: ip.octets() };
                Self::V6(libc::in6_pktinfo { ipi6_addr: own, ipi6_ifindex: link })
            }
        }
    }

    /// The address, if it is one.
    pub(super) fn address(self) -> Option<IpAddr> {
        let address: IpAddr = match self {
            Self::Any => return None,
            Self::V4(info) => Ipv4Addr::from(info.ipi_spec_dst.s_addr.to_ne_bytes()).into(),
            Self::V6(info) => Ipv6Addr::from(info.ipi6_addr.s6_addr).into(),
        };
        Some(address).filter(|address| !address.is_unspecified())
    }

    /// Writes the control data that names it; how many bytes that is.
    pub(super) fn write(self, control: &mut Control) -> usize {
        match self {
            Self::Any => 0,
            Self::V4(info) => put(control, 0, libc::IPPROTO_IP, libc::IP_PKTINFO, info),
            Self::V6(info) => put(control, 0, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, info),
        }
    }

    pub(super) fn is_same(self, other: Self) -> bool {
        match (self, other) {
            (Self::Any, Self::Any) => true,
            (Self::V4(one), Self::V4(other)) => {
                let of = |it: libc::in_pktinfo| (it.ipi_ifindex, it.ipi_spec_dst.s_addr);
                of(one) == of(other)
            }
            (Self::V6(one), Self::V6(other)) => {
                let of = |it: libc::in6_pktinfo| (it.ipi6_ifindex, it.ipi6_addr.s6_addr);
                of(one) == of(other)
            }
            (Self::Any | Self::V4(_) | Self::V6(_), _) => false,
        }
    }
}

/// Writes one part of control data at `at`, which is 0 or the end of the part before; its end.
pub(super) fn put<T: Copy>(
    control: &mut Control,
    at: usize,
    level: libc::c_int,
    kind: libc::c_int,
    value: T,
) -> usize {
    let len = size_of::<T>() as libc::c_uint;
    // SAFETY: it computes a number.
    let end = at + unsafe { libc::CMSG_SPACE(len) } as usize;
    assert!(end <= CONTROL, "the control data has room for two parts");
    // SAFETY: there is room for a header and `T` with their padding; `CMSG_LEN(0)` is the size of the former.
    unsafe {
        let part = control.0.as_mut_ptr().add(at);
        let mut header: libc::cmsghdr = std::mem::zeroed();
        (header.cmsg_level, header.cmsg_type) = (level, kind);
        header.cmsg_len = libc::CMSG_LEN(len) as _;
        std::ptr::write_unaligned(part.cast(), header);
        std::ptr::write_unaligned(part.add(libc::CMSG_LEN(0) as usize).cast(), value);
    }
    end
}
