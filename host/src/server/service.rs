//! The offer of a listener: a service, what its sessions need, and the job that each client gets.

use std::sync::Arc;

use tracing::info;
use windlass_core::responder::{Responder, ScoreReceiver, TimeResponder};
use windlass_core::session::{Echo, FilesServer, Session, TimeServer, Upper};
use windlass_core::time::Instant;
use windlass_core::transform::{Unchanged, Uppercase};
use windlass_core::wire::Score;

use super::Model;
use super::custom::Custom;
use super::lazy::LazyMemory;
use super::misfit::Misfit;
use super::services::Service;
#[cfg(feature = "transfer")]
use super::transfers::{Terms, Transfers};
use super::web::{Ending, Web};
use crate::addr::Transport;
use crate::digest::OFFERED;
use crate::drive::{Acceptor, Client, Gate, Job, Port, Rules, TimeLimits};
#[cfg(feature = "transfer")]
use crate::drive::{PortTerms, SinglePort};
use crate::printable::words;
use crate::sys::clock;
use crate::sys::datagram::Peer;
#[cfg(feature = "transfer")]
use crate::sys::datagram::receive_room;
use crate::sys::listener::Listener;
use crate::sys::root::Root;
use crate::sys::send_file::queued_max;
#[cfg(feature = "tls")]
use crate::tls::Credentials;

impl Service {
    /// A session without configuration; for `files` and `http`, one that refuses every request.
    pub fn session(self) -> Box<dyn Session + Send> {
        Offer::from(self).session()
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
        /// When an answer is the last of its connection.
        ending: Ending,
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
    /// One of the services on streams, over TLS.
    #[cfg(feature = "tls")]
    Secured(Box<Self>, Arc<Credentials>),
    /// One of the others, to the clients that are admitted.
    Limited(Limited),
}

/// An offer to some clients, with limits for each of them.
#[derive(Debug, Clone)]
pub struct Limited {
    pub(super) gate: Arc<Gate>,
    pub(super) offer: Arc<Offer>,
    /// The same for a client that is refused: the answer is the last.
    pub(super) last: Arc<Offer>,
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
        // It is known then, also to workers without rights.
        queued_max();
        let root = root.with_pages(web.pages());
        let (root, web) = (Some(Arc::new(root)), Arc::new(web));
        Self::Http { root, web, ending: Ending::default() }
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
            Self::Limited(limited) => limited.offer.name(),
            #[cfg(feature = "tls")]
            Self::Secured(offer, _) => offer.name(),
        }
    }

    /// The folder that is served, if there is one.
    pub fn root(&self) -> Option<&Arc<Root>> {
        match self {
            Self::Time | Self::Upper | Self::Echo | Self::Score => None,
            Self::Push { root, .. } => Some(root),
            Self::Limited(limited) => limited.offer.root(),
            #[cfg(feature = "transfer")]
            Self::Tftp(transfers) | Self::Xfer(transfers) => transfers.root.as_ref(),
            Self::Files(root) | Self::Http { root, .. } | Self::Custom(Custom { root, .. }) => {
                root.as_ref()
            }
            #[cfg(feature = "tls")]
            Self::Secured(offer, _) => offer.root(),
        }
    }

    /// When the certificate expires that clients are shown, in microseconds since 1970.
    pub(super) fn certificate_expires_us(&self) -> Option<u64> {
        match self {
            Self::Limited(limited) => limited.offer.certificate_expires_us(),
            #[cfg(feature = "tls")]
            Self::Secured(_, credentials) => Some(credentials.expires_us()),
            _ => None,
        }
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
        if let Self::Limited(limited) = self {
            return limited.open(client, now);
        }
        #[cfg(feature = "tls")]
        let client = match (self, client) {
            (Self::Secured(offer, credentials), Client::Stream(stream)) => {
                return Job::secured(stream, credentials, offer.session(), now);
            }
            (_, client) => client,
        };
        match client {
            Client::Stream(stream) => Job::stream(stream, self.session(), now),
            Client::Port(socket) => self.port(socket, None),
            #[cfg(feature = "transfer")]
            Client::Transfer { socket, request } => {
                Job::transfer(self.exchange(socket, request, now))
            }
        }
    }

    /// Whether a request of a client can be refused, and the client hears it.
    pub(super) fn refuses_requests(&self) -> bool {
        match self {
            Self::Files(_) | Self::Push { .. } | Self::Http { .. } => true,
            #[cfg(feature = "tls")]
            Self::Secured(offer, _) => offer.refuses_requests(),
            _ => false,
        }
    }

    /// Whether its answers say when the connection ends.
    pub(super) fn announces_ends(&self) -> bool {
        match self {
            Self::Http { .. } => true,
            Self::Limited(limited) => limited.offer.announces_ends(),
            #[cfg(feature = "tls")]
            Self::Secured(offer, _) => offer.announces_ends(),
            _ => false,
        }
    }

    /// The same offer, of which answers say that the connection ends.
    pub(super) fn ending(self, ending: Ending) -> Self {
        match self {
            Self::Http { root, web, .. } => Self::Http { root, web, ending },
            Self::Limited(Limited { gate, offer, last }) => {
                let offer = Arc::new((*offer).clone().ending(ending));
                Self::Limited(Limited { gate, offer, last })
            }
            #[cfg(feature = "tls")]
            Self::Secured(offer, credentials) => {
                Self::Secured(Box::new(offer.ending(ending)), credentials)
            }
            other => other,
        }
    }

    /// What serves all that arrives at a datagram socket.
    pub(super) fn port(&self, socket: Listener, gate: Option<&Arc<Gate>>) -> Job {
        #[cfg(feature = "transfer")]
        if let Some(protocol) = self.protocol() {
            let (offer, room) = (self.clone(), receive_room(&socket));
            let terms = PortTerms {
                is_request: protocol.is_request,
                make: Box::new(move || offer.machine(room)),
                overwrite: protocol.overwrite,
                max: protocol.transfers.max,
                gate: gate.cloned(),
            };
            return Job::SinglePort(Box::new(SinglePort::new(socket, terms)));
        }
        Job::Port(Box::new(Port::new(socket, self.responder()).behind(gate.cloned())))
    }

    /// What answers the datagrams of a socket, each by itself.
    pub(super) fn answering_port(&self, socket: Listener) -> Port {
        let gate = if let Self::Limited(limited) = self { Some(&limited.gate) } else { None };
        Port::new(socket, self.responder()).behind(gate.cloned())
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
            Self::Limited(limited) => return limited.offer.misfit(transport, model),
            Self::Custom(Custom { name, responder, .. }) => {
                return match (transport, responder) {
                    (Transport::Stream, _) => None,
                    (Transport::Datagram, None) => Some(format!("{name} has no responder")),
                    (Transport::Datagram, Some(_)) => model.misfit_of_datagrams(name),
                };
            }
            #[cfg(feature = "tls")]
            Self::Secured(offer, _) => {
                return match transport {
                    Transport::Stream => offer.misfit(transport, model),
                    Transport::Datagram => Some("TLS is for streams".to_owned()),
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
            Self::Limited(limited) => limited.offer.answers_from_its_port(),
            Self::Files(_) | Self::Push { .. } | Self::Http { .. } => false,
            #[cfg(feature = "transfer")]
            Self::Tftp(_) | Self::Xfer(_) => false,
            #[cfg(feature = "tls")]
            Self::Secured(..) => false,
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
            Self::Limited(limited) => limited.offer.responder(),
            Self::Files(_) | Self::Push { .. } | Self::Http { .. } | Self::Custom(_) => {
                Box::new(Misfit)
            }
            #[cfg(feature = "transfer")]
            Self::Tftp(_) | Self::Xfer(_) => Box::new(Misfit),
            #[cfg(feature = "tls")]
            Self::Secured(..) => Box::new(Misfit),
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
            Self::Http { web, ending, .. } => Box::new(web.session(ending)),
            Self::Score => Box::new(Misfit),
            #[cfg(feature = "transfer")]
            Self::Tftp(_) | Self::Xfer(_) => Box::new(Misfit),
            Self::Custom(custom) => (custom.open)(),
            Self::Limited(limited) => limited.offer.session(),
            #[cfg(feature = "tls")]
            Self::Secured(offer, _) => offer.session(),
        }
    }

    /// The limits of its clients, derived from `limits`.
    pub fn rules(&self, limits: TimeLimits) -> Rules {
        Rules { limits, root: self.root().cloned(), ..Rules::default() }
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
            Service::Http => {
                Self::Http { root: None, web: Arc::default(), ending: Ending::default() }
            }
            Service::Score => Self::Score,
            #[cfg(feature = "transfer")]
            Service::Tftp => Self::Tftp(Transfers::new(None, Terms::DEFAULT)),
            #[cfg(feature = "transfer")]
            Service::Xfer => Self::Xfer(Transfers::new(None, Terms::DEFAULT)),
        }
    }
}
