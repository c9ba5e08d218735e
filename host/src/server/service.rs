//! The services by name, and the session that each client of one gets.

use std::sync::Arc;

use tracing::info;
use windlass_core::responder::{Responder, ScoreReceiver, TimeResponder};
use windlass_core::session::files::REQUEST_MAX;
use windlass_core::session::{Echo, FilesServer, Session, TimeServer, Upper};
use windlass_core::time::Instant;
#[cfg(feature = "transfer")]
use windlass_core::transform::{Unchanged, Uppercase};
use windlass_core::wire::Score;

use super::Model;
use super::custom::Custom;
use super::misfit::Misfit;
#[cfg(feature = "transfer")]
use super::transfers::{Terms, Transfers, is_tftp_request, is_xfer_request};
use super::web::Web;
use crate::addr::Transport;
use crate::digest::OFFERED;
use crate::drive::{Acceptor, Client, Job, Rules, TimeLimits};
#[cfg(feature = "transfer")]
use crate::drive::{Exchange, PortTerms, SinglePort};
use crate::printable::words;
use crate::sys::clock;
use crate::sys::datagram::Peer;
use crate::sys::listener::Listener;
use crate::sys::root::Root;

/// A service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// The time, once, in decimal.
    Time,
    /// Every byte back, in capitals.
    Upper,
    /// Every byte back.
    Echo,
    /// A file, in frames.
    Files,
    /// The files of a folder, by HTTP.
    Http,
    /// Reports in datagrams, which are counted and logged.
    Score,
    /// Files over datagrams, as TFTP has it.
    #[cfg(feature = "transfer")]
    Tftp,
    /// Files over datagrams, block by block.
    #[cfg(feature = "transfer")]
    Xfer,
}

impl Service {
    /// All services, in the order of the built-in configuration.
    pub const ALL: &[Self] = &[
        Self::Time,
        Self::Upper,
        Self::Echo,
        Self::Files,
        Self::Http,
        #[cfg(feature = "transfer")]
        Self::Xfer,
        #[cfg(feature = "transfer")]
        Self::Tftp,
        Self::Score,
    ];

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::Upper => "upper",
            Self::Echo => "echo",
            Self::Files => "files",
            Self::Http => "http",
            Self::Score => "score",
            #[cfg(feature = "transfer")]
            Self::Tftp => "tftp",
            #[cfg(feature = "transfer")]
            Self::Xfer => "xfer",
        }
    }

    /// Whether each client has a transfer, with a socket of its own.
    pub const fn is_of_transfers(self) -> bool {
        match self {
            Self::Time | Self::Upper | Self::Echo | Self::Files | Self::Http | Self::Score => false,
            #[cfg(feature = "transfer")]
            Self::Tftp | Self::Xfer => true,
        }
    }

    /// Whether it has the files of a folder.
    pub const fn has_files(self) -> bool {
        matches!(self, Self::Files | Self::Http) || self.is_of_transfers()
    }

    /// Why it cannot be served under `model` to what arrives by `transport`; `None`: it can.
    pub fn misfit(self, transport: Transport, model: Model) -> Option<String> {
        let name = self.name();
        match (transport, self) {
            (Transport::Stream, Self::Score) => {
                Some(format!("{name} is served on datagrams (udp:HOST:PORT, unix-dgram:PATH)"))
            }
            (Transport::Stream, _) if self.is_of_transfers() => {
                Some(format!("{name} is served on datagrams (udp:HOST:PORT)"))
            }
            (Transport::Datagram, _) if self.is_of_transfers() => None,
            (Transport::Datagram, Self::Files | Self::Http) => {
                Some(format!("{name} is served on streams, and this is a datagram address"))
            }
            (Transport::Stream, _) => None,
            (Transport::Datagram, _) => model.misfit_of_datagrams(name),
        }
    }

    /// A session without configuration; for `files` and `http`, one that refuses every request.
    pub fn session(self) -> Box<dyn Session + Send> {
        Offer::from(self).session()
    }
}

/// The memory for the name of a file, which a connection gets only when it sends a request.
#[derive(Debug, Default)]
struct LazyMemory(Option<Box<[u8; REQUEST_MAX]>>);

impl AsRef<[u8]> for LazyMemory {
    fn as_ref(&self) -> &[u8] {
        self.0.as_deref().map_or(&[], |memory| memory)
    }
}

impl AsMut<[u8]> for LazyMemory {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.0.get_or_insert_with(|| Box::new([0; REQUEST_MAX]))[..]
    }
}

/// The offer of a listener: a service, and what its sessions need.
#[derive(Debug, Clone)]
pub enum Offer {
    /// The time, once, in decimal.
    Time,
    /// Every byte back, in capitals.
    Upper,
    /// Every byte back.
    Echo,
    /// The files of a folder, by name. Without a folder every request is refused.
    Files(Option<Arc<Root>>),
    /// One file of a folder, sent to each client without a request.
    Push {
        /// The folder.
        root: Arc<Root>,
        /// The file's name in it.
        name: Arc<[u8]>,
    },
    /// The files of a folder, by HTTP. Without a folder every request is refused.
    Http {
        /// The folder, with its pages.
        root: Option<Arc<Root>>,
        /// What is served beside plain files.
        web: Arc<Web>,
    },
    /// Reports in datagrams, which are counted and logged.
    Score,
    /// Files over datagrams, as TFTP has it.
    #[cfg(feature = "transfer")]
    Tftp(Transfers),
    /// Files over datagrams, block by block.
    #[cfg(feature = "transfer")]
    Xfer(Transfers),
    /// The program's own sessions.
    Custom(Custom),
}

impl Offer {
    /// The program's own service ([`Custom::new`]).
    pub fn custom<S: Session + Send + 'static>(
        name: &str,
        open: impl Fn() -> S + Send + Sync + 'static,
    ) -> Self {
        Custom::new(name, open).into()
    }

    /// `files`: the files of a folder, by name, or one of them for every client.
    pub fn files(root: Root, push: Option<&[u8]>) -> Self {
        let root = Arc::new(root);
        match push {
            Some(name) => Self::Push { root, name: name.into() },
            None => Self::Files(Some(root)),
        }
    }

    /// `http`: the files of a folder.
    pub fn http(root: Root, web: Web) -> Self {
        let root = root.with_pages(web.pages());
        Self::Http { root: Some(Arc::new(root)), web: Arc::new(web) }
    }

    /// The name of the service in the status document.
    pub fn name(&self) -> &str {
        match self {
            Self::Time => Service::Time.name(),
            Self::Upper => Service::Upper.name(),
            Self::Echo => Service::Echo.name(),
            Self::Files(_) | Self::Push { .. } => Service::Files.name(),
            Self::Http { .. } => Service::Http.name(),
            Self::Score => Service::Score.name(),
            #[cfg(feature = "transfer")]
            Self::Tftp(_) => Service::Tftp.name(),
            #[cfg(feature = "transfer")]
            Self::Xfer(_) => Service::Xfer.name(),
            Self::Custom(custom) => &custom.name,
        }
    }

    /// The folder that is served, if there is one.
    pub fn root(&self) -> Option<&Arc<Root>> {
        match self {
            Self::Time | Self::Upper | Self::Echo | Self::Score => None,
            Self::Push { root, .. } => Some(root),
            #[cfg(feature = "transfer")]
            Self::Tftp(transfers) | Self::Xfer(transfers) => transfers.root.as_ref(),
            Self::Files(root) | Self::Http { root, .. } | Self::Custom(Custom { root, .. }) => {
                root.as_ref()
            }
        }
    }

    /// Whether clients may send files to the folder.
    #[cfg(feature = "sandbox")]
    #[cfg_attr(
        not(feature = "transfer"),
        expect(clippy::unused_self, reason = "it is about transfers")
    )]
    pub(super) fn writes(&self) -> bool {
        #[cfg(feature = "transfer")]
        if let Self::Tftp(transfers) = self {
            return transfers.terms.allow_write;
        }
        false
    }

    /// Whether each client has a socket that is opened for it.
    #[cfg(feature = "sandbox")]
    #[cfg_attr(
        not(feature = "transfer"),
        expect(clippy::unused_self, reason = "it is about transfers")
    )]
    pub(super) fn opens_sockets(&self) -> bool {
        #[cfg(feature = "transfer")]
        return self.door().is_some();
        #[cfg(not(feature = "transfer"))]
        false
    }

    /// What accepts its clients, so many at a time.
    pub fn acceptor(&self, listener: Listener, max: usize) -> Acceptor {
        #[cfg(feature = "transfer")]
        if let Some(door) = self.door() {
            return Acceptor::of_requests(listener, max, door);
        }
        Acceptor::new(listener, max)
    }

    /// Starts to serve a client.
    pub fn open(&self, client: Client, now: Instant) -> Job {
        match client {
            Client::Stream(stream) => Job::stream(stream, self.session(), now),
            Client::Port(socket) => self.port(socket),
            #[cfg(feature = "transfer")]
            Client::Transfer { socket, request } => {
                let (machine, overwrite) = self.machine();
                let exchange = Exchange::serving(socket, machine, request, overwrite, now);
                Job::transfer(match self.transfers() {
                    Some(transfers) => exchange.known_to(&transfers.peers),
                    None => exchange,
                })
            }
        }
    }

    /// What serves all that arrives at a datagram socket.
    fn port(&self, socket: Listener) -> Job {
        #[cfg(feature = "transfer")]
        if let Self::Tftp(transfers) | Self::Xfer(transfers) = self {
            let offer = self.clone();
            let terms = PortTerms {
                is_request: if let Self::Tftp(_) = self {
                    is_tftp_request
                } else {
                    is_xfer_request
                },
                make: Box::new(move || offer.machine().0),
                overwrite: transfers.terms.overwrite,
                max: transfers.max,
            };
            return Job::SinglePort(Box::new(SinglePort::new(socket, terms)));
        }
        Job::port(socket, self.responder())
    }

    /// Why it cannot be served under `model` to what arrives by `transport`; `None`: it can.
    pub fn misfit(&self, transport: Transport, model: Model) -> Option<String> {
        let service = match self {
            Self::Time => Service::Time,
            Self::Upper => Service::Upper,
            Self::Echo => Service::Echo,
            Self::Files(_) | Self::Push { .. } => Service::Files,
            Self::Http { .. } => Service::Http,
            Self::Score => Service::Score,
            #[cfg(feature = "transfer")]
            Self::Tftp(transfers) | Self::Xfer(transfers) => {
                let single = transfers.terms.single_port;
                if let Some(why) = model.misfit_of_single_port().filter(|_| single) {
                    return Some(why);
                }
                if let Self::Tftp(_) = self { Service::Tftp } else { Service::Xfer }
            }
            Self::Custom(Custom { name, responder, .. }) => {
                return match (transport, responder) {
                    (Transport::Stream, _) => None,
                    (Transport::Datagram, None) => Some(format!("{name} has no responder")),
                    (Transport::Datagram, Some(_)) => model.misfit_of_datagrams(name),
                };
            }
        };
        service.misfit(transport, model)
    }

    /// Whether it answers datagrams from the socket at which they arrive.
    pub(super) fn answers_from_its_port(&self) -> bool {
        match self {
            Self::Time | Self::Upper | Self::Echo | Self::Score => true,
            Self::Custom(custom) => custom.responder.is_some(),
            Self::Files(_) | Self::Push { .. } | Self::Http { .. } => false,
            #[cfg(feature = "transfer")]
            Self::Tftp(_) | Self::Xfer(_) => false,
        }
    }

    /// What answers the datagrams of a port.
    pub fn responder(&self) -> Box<dyn Responder<Peer> + Send> {
        match self {
            Self::Time => Box::new(TimeResponder::new(|_| clock::stamp())),
            Self::Upper => Box::new(Uppercase),
            Self::Echo => Box::new(Unchanged),
            Self::Custom(Custom { responder: Some(make), .. }) => make(),
            Self::Score => Box::new(ScoreReceiver::new(log_score)),
            Self::Files(_) | Self::Push { .. } | Self::Http { .. } | Self::Custom(_) => {
                Box::new(Misfit)
            }
            #[cfg(feature = "transfer")]
            Self::Tftp(_) | Self::Xfer(_) => Box::new(Misfit),
        }
    }

    /// The session for one more connection.
    pub fn session(&self) -> Box<dyn Session + Send> {
        match self {
            Self::Time => Box::new(TimeServer::new(clock::stamp())),
            Self::Upper => Box::new(Upper::new()),
            Self::Echo => Box::new(Echo::new()),
            Self::Files(_) => Box::new(FilesServer::new(LazyMemory::default()).offering(OFFERED)),
            Self::Push { name, .. } => {
                Box::new(FilesServer::pushing(LazyMemory::default(), name).offering(OFFERED))
            }
            Self::Http { web, .. } => Box::new(web.session()),
            Self::Score => Box::new(Misfit),
            #[cfg(feature = "transfer")]
            Self::Tftp(_) | Self::Xfer(_) => Box::new(Misfit),
            Self::Custom(custom) => (custom.open)(),
        }
    }

    /// The limits of its clients, derived from `limits`.
    pub fn rules(&self, limits: TimeLimits) -> Rules {
        Rules { limits, root: self.root().cloned() }
    }
}

fn log_score(_: Instant, peer: &Peer, score: &Score<'_>) {
    let (name, math, chinese) = (words(score.name()), score.math(), score.chinese());
    info!(%peer, %name, math, chinese, "score");
}

impl From<Custom> for Offer {
    fn from(custom: Custom) -> Self {
        Self::Custom(custom)
    }
}

impl From<Service> for Offer {
    fn from(service: Service) -> Self {
        match service {
            Service::Time => Self::Time,
            Service::Upper => Self::Upper,
            Service::Echo => Self::Echo,
            Service::Files => Self::Files(None),
            Service::Http => Self::Http { root: None, web: Arc::default() },
            Service::Score => Self::Score,
            #[cfg(feature = "transfer")]
            Service::Tftp => Self::Tftp(Transfers::new(None, Terms::DEFAULT)),
            #[cfg(feature = "transfer")]
            Service::Xfer => Self::Xfer(Transfers::new(None, Terms::DEFAULT)),
        }
    }
}
