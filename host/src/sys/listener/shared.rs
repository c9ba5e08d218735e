//! Listeners that several processes have: taken over, and copied.

use super::connect::{address_of, resolve};
use super::{
    Address, Backlog, Error, HostPort, Listener, NO_PID, OwnedPath, Owner, RawFd, Result,
    Transport, set_flags, socket,
};

impl Listener {
    /// Takes over the socket that another process of this program listened on, at descriptor `raw`, as
    /// `configured`. If the socket was its own (`own`) it is ours, and so is the socket file, as soon as
    /// this process [`adopt`](Self::adopt)s it; until then this process ends neither.
    ///
    /// # Errors
    /// It is not a listening socket.
    pub fn take_over(raw: RawFd, configured: &Address, own: bool) -> Result<Self> {
        let mut listener = Self::inherit(raw)?;
        listener.owner = if own { Owner::OldBinary } else { Owner::Other };
        match (configured, &listener.address) {
            // The configured name, and not the address that it was resolved to.
            (Address::Tcp(_) | Address::Udp(_), Address::Tcp(_) | Address::Udp(_)) => {
                let real = std::mem::replace(&mut listener.address, configured.clone());
                listener.address.set_port_of(&real);
            }
            (Address::Unix(path) | Address::UnixDatagram(path), _) if own => {
                listener.address = configured.clone();
                listener.owned_path = Some(OwnedPath::at(path, NO_PID));
            }
            _ => {}
        }
        Ok(listener)
    }

    /// A copy to serve with. It cannot end the socket for the holder of the original, nor remove its
    /// file.
    ///
    /// # Errors
    /// `EMFILE`.
    pub fn share(&self) -> Result<Self> {
        let address = self.address.clone();
        let fd = self.fd.try_clone().map_err(Error::of("copy the listener of", &address))?;
        set_flags(&fd).map_err(Error::of("copy the listener of", &address))?;
        let mut copy = Self::of(fd, address, Owner::Other);
        copy.membership.clone_from(&self.membership);
        Ok(copy)
    }

    /// Whether its address is `address`, in any spelling or by name; port 0 is no address.
    pub fn is_at(&self, address: &Address) -> bool {
        match (address, self.socket_address()) {
            // The resolver is not asked for a name that cannot be the address.
            (Address::Tcp(at), Some(ref real @ Address::Tcp(HostPort { port, .. })))
            | (Address::Udp(at), Some(ref real @ Address::Udp(HostPort { port, .. })))
                if at.port == port =>
            {
                let found = resolve(at).unwrap_or_default();
                let mut found = found.iter().filter_map(|at| address_of(at, self.transport));
                found.any(|found| found.is_same(real))
            }
            _ => self.address.is_same(address),
        }
    }

    /// Changes the backlog.
    ///
    /// # Errors
    /// `listen(2)` has no error for a listening socket. A datagram socket has no backlog, and is not changed.
    pub fn set_backlog(&self, backlog: u32) -> Result<()> {
        if self.transport == Transport::Datagram {
            return Ok(());
        }
        let backlog = i32::try_from(backlog).unwrap_or(i32::MAX);
        let backlog = Backlog::new(backlog).unwrap_or(Backlog::MAXCONN);
        socket::listen(&self.fd, backlog).map_err(Error::of("set the backlog of", &self.address))
    }
}
