//! A client of TLS for tests that know nothing of it.
//!
//! ```text
//!   test ── Client ══ pair of sockets ══ thread ── rustls ══ TCP ══ server
//! ```
//!
//! A half-close of the client becomes a `close_notify` and a half-close, and that of the server a half-close. If the
//! server ends without `close_notify`, or breaks TLS, the client sees no end but a reset as far as a Unix
//! socket has one: [`Tunnel::outcome`] says why.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, ProtocolVersion, RootCertStore, StreamOwned,
};
use windlass_certs::{Authority, Certificate, Validity};

use crate::{Client, PATIENCE};

/// A certificate in files, and clients that trust it.
pub struct Secured {
    folder: tempfile::TempDir,
    authority: Authority,
    config: Arc<ClientConfig>,
}

/// The thread of a connection.
#[derive(Debug)]
pub struct Tunnel(JoinHandle<Result<Ended, String>>);

/// How a connection was, that ended with `close_notify`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// Whether its handshake was a short one, by a ticket.
    pub resumed: bool,
    /// Its version.
    pub version: Option<ProtocolVersion>,
}

impl Secured {
    /// A certificate for `localhost` and the loopback addresses.
    pub fn new() -> Self {
        let authority = Authority::new();
        let mut roots = RootCertStore::empty();
        let root = CertificateDer::from_pem_slice(authority.cert.as_bytes()).expect("PEM");
        roots.add(root).expect("a root");
        let provider = Arc::new(rustls_graviola::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.resumption = Resumption::in_memory_sessions(64);
        let folder = tempfile::tempdir().expect("a folder");
        let it = Self { folder, authority, config: Arc::new(config) };
        std::fs::write(it.path("ca.pem"), &it.authority.cert).expect("write");
        it.replace(Validity::Now);
        it
    }

    /// Puts another certificate and key in the place of those before.
    pub fn replace(&self, validity: Validity) {
        let Certificate { cert, key } =
            self.authority.issue(&["localhost", "127.0.0.1", "::1"], validity);
        for (name, text) in [("cert.pem", cert), ("key.pem", key)] {
            let new = self.folder.path().join("new");
            std::fs::write(&new, text).expect("write");
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
            std::fs::set_permissions(&new, mode).expect("chmod");
            std::fs::rename(&new, self.folder.path().join(name)).expect("rename");
        }
    }

    /// A file: `cert.pem`, `key.pem`, `ca.pem`.
    pub fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// The options of `serve` that name the files.
    pub fn options(&self) -> String {
        format!("--tls-cert {} --tls-key {}", self.path("cert.pem"), self.path("key.pem"))
    }

    /// A client, and what it is connected by. The handshake is still to come.
    #[track_caller]
    pub fn connect(&self, address: &str) -> (Client, Tunnel) {
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        let address = address.strip_prefix("tcp:").expect("a TCP address").to_owned();
        let server = TcpStream::connect(&address)
            .unwrap_or_else(|error| panic!("connect to {address}: {error}"));
        server.set_nodelay(true).expect("nodelay");
        let conn = self.connection();
        let tunnel = thread::spawn(move || relay(&theirs, &server, conn));
        (Client::of(ours), Tunnel(tunnel))
    }

    /// A connection without a tunnel, after its handshake. Before that it sends these bytes.
    #[track_caller]
    pub fn handshake(
        &self,
        address: &str,
        before: &[u8],
    ) -> StreamOwned<ClientConnection, TcpStream> {
        let address = address.strip_prefix("tcp:").expect("a TCP address");
        let mut socket = TcpStream::connect(address).expect("connect");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        socket.write_all(before).expect("send");
        let mut conn = self.connection();
        while conn.is_handshaking() {
            conn.complete_io(&mut socket).expect("a handshake");
        }
        StreamOwned::new(conn, socket)
    }

    /// An end of a connection that is not connected.
    pub fn connection(&self) -> ClientConnection {
        let name = ServerName::try_from("localhost").expect("a name");
        ClientConnection::new(Arc::clone(&self.config), name).expect("a connection")
    }

    /// The same, which resumes nothing.
    pub fn fresh_connection(&self) -> ClientConnection {
        let mut config = ClientConfig::clone(&self.config);
        config.resumption = Resumption::disabled();
        let name = ServerName::try_from("localhost").expect("a name");
        ClientConnection::new(Arc::new(config), name).expect("a connection")
    }

    /// A client.
    #[track_caller]
    pub fn client(&self, address: &str) -> Client {
        self.connect(address).0
    }
}

impl Default for Secured {
    fn default() -> Self {
        Self::new()
    }
}

impl Tunnel {
    /// How the connection ended, once it has.
    ///
    /// # Errors
    /// It was reset, ended without `close_notify`, or TLS was broken.
    pub fn outcome(self) -> Result<Ended, String> {
        self.0.join().expect("the thread of the tunnel")
    }
}

/// The largest piece that is moved at once.
const PIECE: usize = 16 * 1024;

/// Moves bytes until both directions have ended.
fn relay(
    client: &UnixStream,
    server: &TcpStream,
    mut conn: ClientConnection,
) -> Result<Ended, String> {
    client.set_nonblocking(true).expect("fcntl");
    server.set_nonblocking(true).expect("fcntl");
    conn.set_buffer_limit(None);
    let (mut client, mut server) = (client, server);
    let mut incoming = Vec::new();
    let (mut client_ended, mut server_ended) = (false, false);
    'moving: loop {
        let reads_client = !client_ended && !conn.wants_write() && !conn.is_handshaking();
        let reads_server = !server_ended && incoming.is_empty();
        if client_ended && server_ended && !conn.wants_write() && incoming.is_empty() {
            break;
        }
        let flag = |on: bool, flag| if on { flag } else { PollFlags::empty() };
        let mut fds = [
            PollFd::new(
                client.as_fd(),
                flag(reads_client, PollFlags::POLLIN)
                    | flag(!incoming.is_empty(), PollFlags::POLLOUT),
            ),
            PollFd::new(
                server.as_fd(),
                flag(reads_server, PollFlags::POLLIN)
                    | flag(conn.wants_write(), PollFlags::POLLOUT),
            ),
        ];
        let limit = PollTimeout::try_from(PATIENCE).expect("a limit");
        if poll(&mut fds, limit) == Ok(0) {
            return Err("nothing moved".to_owned());
        }
        let mut piece = [0; PIECE];
        if reads_client {
            match client.read(&mut piece) {
                Ok(0) => {
                    client_ended = true;
                    conn.send_close_notify();
                }
                Ok(n) => conn.writer().write_all(&piece[..n]).expect("no limit"),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(format!("client: {error}")),
            }
        }
        while conn.wants_write() {
            match conn.write_tls(&mut server) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                // It has closed already, and needs no answer to that.
                Err(_) if server_ended => break 'moving,
                Err(error) => return Err(format!("send: {error}")),
            }
        }
        if client_ended && !conn.wants_write() {
            let _ = server.shutdown(Shutdown::Write);
        }
        if reads_server {
            match conn.read_tls(&mut server) {
                Ok(0) if !server_ended => return Err("ended without close_notify".to_owned()),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(format!("receive: {error}")),
            }
            let state = conn.process_new_packets().map_err(|error| error.to_string())?;
            incoming.resize(state.plaintext_bytes_to_read(), 0);
            conn.reader().read_exact(&mut incoming).expect("so many");
            server_ended = state.peer_has_closed();
        }
        while !incoming.is_empty() {
            match client.write(&incoming) {
                Ok(n) => drop(incoming.drain(..n)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                // The test has what it wanted.
                Err(_) => {
                    incoming.clear();
                    client_ended = true;
                    server_ended = true;
                }
            }
        }
        if server_ended && incoming.is_empty() {
            let _ = client.shutdown(Shutdown::Write);
        }
    }
    let resumed = conn.handshake_kind() == Some(HandshakeKind::Resumed);
    Ok(Ended { resumed, version: conn.protocol_version() })
}
