//! The services by name, and the session that each client of one gets.

use std::sync::Arc;

use windlass_core::session::files::REQUEST_MAX;
use windlass_core::session::{Echo, FilesServer, Session, TimeServer, Upper};

use crate::drive::Lent;
use crate::sys::clock;
use crate::sys::root::Root;

/// What is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// The time of day, once, in decimal.
    Time,
    /// Everything back, in capitals.
    Upper,
    /// Everything back.
    Echo,
    /// A file, in frames.
    Files,
}

impl Service {
    /// All services, in the order of the built-in configuration.
    pub const ALL: [Self; 4] = [Self::Time, Self::Upper, Self::Echo, Self::Files];

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::Upper => "upper",
            Self::Echo => "echo",
            Self::Files => "files",
        }
    }

    /// A session of it that needs nothing: of `files`, one that refuses whatever is asked for.
    pub fn open(self) -> Box<dyn Session + Send> {
        Offer::from(self).open()
    }
}

/// The memory for the name of a file, which a connection has only once it asks for one.
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

/// A service with what it needs.
#[derive(Debug, Clone)]
pub struct Offer {
    service: Service,
    /// Of `files`: without one, every file is refused.
    root: Option<Arc<Root>>,
    /// Of `files`: what is sent unasked.
    push: Option<Arc<[u8]>>,
}

impl Offer {
    /// `files`: those of a folder, by name, or one of them to whoever connects.
    pub fn files(root: Root, push: Option<&[u8]>) -> Self {
        let (root, push) = (Some(Arc::new(root)), push.map(Arc::from));
        Self { service: Service::Files, root, push }
    }

    /// Which service it is.
    pub fn service(&self) -> Service {
        self.service
    }

    /// The folder that is served, if one is.
    pub fn root(&self) -> Option<&Arc<Root>> {
        self.root.as_ref()
    }

    /// The session for one more client.
    pub fn open(&self) -> Box<dyn Session + Send> {
        match (self.service, &self.push) {
            (Service::Time, _) => Box::new(TimeServer::new(clock::stamp())),
            (Service::Upper, _) => Box::new(Upper::new()),
            (Service::Echo, _) => Box::new(Echo::new()),
            (Service::Files, Some(name)) => {
                Box::new(FilesServer::pushing(LazyMemory::default(), name))
            }
            (Service::Files, None) => Box::new(FilesServer::new(LazyMemory::default())),
        }
    }

    /// Adds what its sessions ask their shell for.
    pub(super) fn equip(&self, mut lent: Lent) -> Lent {
        lent.set_root(self.root.clone());
        lent
    }
}

impl From<Service> for Offer {
    fn from(service: Service) -> Self {
        Self { service, root: None, push: None }
    }
}
