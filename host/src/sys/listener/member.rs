//! A listener of datagrams as a member of a multicast group.

use nix::errno::Errno;

use super::Listener;
use super::group::{Group, Membership};
use crate::addr::Address;
use crate::error::{Error, Result};
use crate::sys::datagram;
use crate::sys::datagram::group::{join, leave};

impl Listener {
    /// Binds a datagram socket beside others of the same port (`SO_REUSEADDR`), and joins a group: each of
    /// them receives what is sent to it.
    ///
    /// # Errors
    /// As [`bind`](Self::bind) and [`join`](Self::join); the address is none of UDP.
    pub fn bind_member(address: &Address, group: Group) -> Result<Self> {
        let Address::Udp(at) = address else {
            return Err(Error::new("listen on", address, "only udp:HOST:PORT has groups"));
        };
        let mut listener = Self::bind_inet(address, at, |at| datagram::bind_inet(at, true))?;
        listener.join(group)?;
        Ok(listener)
    }

    /// Makes the socket a member of a group. If it is a member already, nothing changes.
    ///
    /// # Errors
    /// It is not the address of a group, there is no such interface, or no route leads to the group.
    pub fn join(&mut self, group: Group) -> Result<()> {
        let failed = |errno| Error::new("join", &group, errno);
        let own = self.socket_address().and_then(|address| address.socket_addr());
        if let Some(why) = group.misfit(own) {
            return Err(Error::new("join", &group, why));
        }
        let on = group.number().map_err(failed)?;
        match join(&self.fd, group.address, on) {
            Ok(()) | Err(Errno::EADDRINUSE) => {}
            Err(errno) => return Err(failed(errno)),
        }
        self.membership = Some(Membership { group, joined: on });
        Ok(())
    }

    /// The group that it joined.
    pub fn group(&self) -> Option<&Group> {
        self.membership.as_ref().map(|it| &it.group)
    }

    /// Joins its group again, if that is needed: whether it was. Call it once a second or so.
    ///
    /// A membership belongs to an interface, by its number. One that goes away and comes back, a wireless
    /// adapter say, has another number, and the kernel does not join again.
    pub fn renew_membership(&mut self) -> bool {
        let Some(Membership { group, joined }) = &mut self.membership else { return false };
        // Without the interface, or a route, there is nothing to join: the next call tries again.
        let Ok(on) = group.number() else { return false };
        // `EADDRINUSE`: it is still a member.
        let is_new = join(&self.fd, group.address, on).is_ok();
        if is_new && on != *joined {
            // The kernel keeps the membership of an interface that is gone until it is left.
            let _ = leave(&self.fd, group.address, *joined);
            *joined = on;
        }
        is_new
    }
}
