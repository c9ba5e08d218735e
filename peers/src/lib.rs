//! The parts that the Rust peers share: listening, and the line that they print.

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use socket2::{Domain, Socket, Type};

/// Listens on the loopback port that is the program's argument, and prints the line that the bench
/// reads. The listener is nonblocking.
pub fn listen(name: &str) -> io::Result<TcpListener> {
    let port = std::env::args().nth(1).and_then(|arg| arg.parse().ok());
    let port = port.ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidInput, "the argument is a port; 0 picks one")
    })?;
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;

    // Not `TcpListener::bind`: its backlog is for the library to choose.
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
    socket.listen(1024)?;
    let listener = TcpListener::from(socket);

    let (at, pid) = (listener.local_addr()?, std::process::id());
    let mut out = io::stdout().lock();
    writeln!(out, "listening tcp:{at} upper {name} pid {pid}")?;
    out.flush()?;
    Ok(listener)
}

/// Whether only this client was lost. Any other error of `accept` ends the server, because a
/// measurement without some of its clients would be wrong.
pub fn only_this_client(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted)
}
