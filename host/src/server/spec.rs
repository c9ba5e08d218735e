//! A listener as it is configured, and opened.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;

use tracing::warn;

use super::logger;
use super::{Admission, Limits, Model, Offer, Service, Web};
#[cfg(feature = "transfer")]
use super::{Terms, Transfers};
use crate::addr::Address;
use crate::drive::{AccessLog, LineFormat, LogFile, Sink};
use crate::error::{Error, Result};
use crate::printable::printable;
use crate::sys::datagram::bind_to_device;
use crate::sys::handover::Inherited;
use crate::sys::listener::{Access, Group, Listener};
use crate::sys::root::Root;
use crate::sys::user::User;
#[cfg(feature = "tls")]
use crate::tls::{self, CertFiles, Credentials};

/// A listener as it is configured: its service, model and limits.
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    /// The address.
    pub address: Address,
    /// The name that the service manager gives the socket.
    pub name: Option<String>,
    /// The service.
    pub service: Service,
    /// The files of `files`, `http`, `tftp` and `xfer`.
    pub files: Option<Files>,
    /// What `http` serves beside them.
    pub web: Web,
    /// The certificate of a listener that speaks TLS.
    #[cfg(feature = "tls")]
    pub tls: Option<CertFiles>,
    /// What clients of `tftp` and `xfer` may do.
    #[cfg(feature = "transfer")]
    pub terms: Terms,
    /// Where its access log goes, and how a line of it is written.
    pub access_log: Option<(LogTo, LineFormat)>,
    /// The model.
    pub model: Model,
    /// The limits.
    pub limits: Limits,
    /// Which clients are served, and how much each of them may have.
    pub admission: Admission,
    /// The control socket, if the model has one.
    pub control: Option<PathBuf>,
    /// The user that serves it.
    pub user: Option<String>,
    /// Which processes may connect to a Unix socket.
    pub access: Access,
    /// The multicast group that a datagram socket is a member of.
    pub group: Option<Group>,
    /// The interface at which a datagram socket that is in no group receives alone.
    pub interface: Option<String>,
    /// Connections that may wait to be accepted.
    pub backlog: u32,
    /// The time that connections have to end when the server stops, in microseconds.
    pub grace_us: u64,
    /// The time that they have when another process goes on serving, in microseconds.
    pub drain_us: u64,
}

/// Where an access log goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogTo {
    /// To the end of this file.
    File(PathBuf),
    /// To standard error.
    Stderr,
    /// To standard error, as the journal takes it.
    Journal,
}

/// The files to serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// The folder.
    pub root: PathBuf,
    /// The file of them that is sent to every client.
    pub push: Option<OsString>,
}

/// A listener after it was opened.
#[derive(Debug)]
pub struct Opened {
    /// As configured.
    pub spec: Spec,
    /// The service.
    pub offer: Offer,
    /// The listening socket.
    pub listener: Listener,
    /// The control socket.
    pub control: Option<Listener>,
    /// The user that serves it.
    pub user: Option<User>,
}

/// The backlog of the control socket.
const CONTROL_BACKLOG: u32 = 64;

/// A listener with a socket that was passed to this process, or is still to be opened.
#[derive(Debug)]
pub struct Claimed {
    spec: Spec,
    listener: Option<Listener>,
}

impl Spec {
    /// Finds the sockets that were passed for `specs`, and takes over those that are given by number. Call
    /// it before any other file is opened, so that no number can be one of ours.
    ///
    /// # Errors
    /// The descriptor with that number is not a listening socket, or belongs to another listener.
    pub fn claim(specs: Vec<Self>, inherited: &mut Inherited) -> Result<Vec<Claimed>> {
        let mut places = Vec::with_capacity(specs.len());
        for spec in specs {
            let passed = inherited.claim(&spec.address, spec.name.as_deref())?;
            let listener = match (passed, &spec.address) {
                (Some(mut passed), _) => {
                    if let Some(group) = &spec.group {
                        passed.join(group.clone())?;
                    }
                    // Otherwise the process that opened it decides.
                    if passed.is_own() {
                        passed.set_backlog(spec.backlog)?;
                    } else if spec.access != Access::default() {
                        let at = passed.address();
                        warn!(
                            "{at} was passed by the service manager: mode and group are not changed"
                        );
                    }
                    Some(passed)
                }
                (None, Address::Fd(number)) => {
                    inherited.check_number(*number)?;
                    Some(spec.bind()?)
                }
                (None, _) => None,
            };
            // Only now is it known whether an inherited socket is one of streams or of datagrams.
            let transport = listener.as_ref().map(Listener::transport);
            if let Some(why) = transport.and_then(|by| spec.service.misfit(by, spec.model)) {
                return Err(Error::new("serve on", &spec.address, why));
            }
            places.push(Claimed { spec, listener });
        }
        if !inherited.is_upgrade() {
            for what in inherited.unclaimed() {
                warn!("{what}");
            }
        }
        Ok(places)
    }

    /// Opens the listeners that were not passed.
    ///
    /// # Errors
    /// The first one that could not be opened.
    pub fn open(places: Vec<Claimed>, inherited: &mut Inherited) -> Result<Vec<Opened>> {
        let mut open = |Claimed { spec, listener }: Claimed| {
            let offer = spec.offer()?;
            let listener = listener.map_or_else(|| spec.bind(), Ok)?;
            let offer = spec.limited(offer, &listener, None)?;
            let path = spec.control.clone().map(Address::Unix);
            let passed = path.map(|path| inherited.claim(&path, None)).transpose()?;
            let control = match passed.flatten() {
                Some(passed) => Some(passed),
                None => spec.bind_control()?,
            };
            spec.opened(offer, listener, control)
        };
        places.into_iter().map(&mut open).collect()
    }

    /// Opens everything else that it needs, and gives the socket files to its user.
    pub(super) fn opened(
        self,
        offer: Offer,
        listener: Listener,
        control: Option<Listener>,
    ) -> Result<Opened> {
        let user = self.user.as_deref().map(User::look_up).transpose()?;
        if user.is_some() {
            // The sockets of an old binary are given when it does not need them any more.
            let control = control.as_ref().map(|control| (control, Access::PRIVATE));
            for (listener, access) in [(&listener, self.access)].into_iter().chain(control) {
                if !listener.is_of_old_binary() {
                    listener.give_to(user.as_ref(), access)?;
                }
            }
        }
        Ok(Opened { spec: self, offer, listener, control, user })
    }

    pub(super) fn bind_control(&self) -> Result<Option<Listener>> {
        let Some(path) = &self.control else { return Ok(None) };
        let address = Address::Unix(path.clone());
        Listener::bind_with(&address, CONTROL_BACKLOG, Access::PRIVATE).map(Some)
    }

    /// Opens the folder or the file, and reads the certificate.
    ///
    /// # Errors
    /// The folder, or the file that is to be pushed, cannot be opened; the certificate or its key is not good.
    pub fn offer(&self) -> Result<Offer> {
        let offer = self.plain_offer()?;
        #[cfg(feature = "tls")]
        if let Some(files) = &self.tls {
            let protocols: &[_] = if self.service == Service::Http { &[tls::HTTP] } else { &[] };
            let credentials = Credentials::read(files.clone(), protocols)?;
            return Ok(offer.secured(Arc::new(credentials)));
        }
        Ok(offer)
    }

    fn plain_offer(&self) -> Result<Offer> {
        let Some(Files { root, push }) = &self.files else { return Ok(self.service.into()) };
        let folder = Root::open(root)?;
        if self.service == Service::Http {
            return Ok(Offer::http(folder, self.web.clone()));
        }
        #[cfg(feature = "transfer")]
        if self.service.is_of_transfers() {
            let mut transfers = Transfers::new(Some(folder), self.terms);
            transfers.give_up_us = self.limits.time.idle_us;
            transfers.max = transfers.max.min(self.limits.max_connections);
            return Ok(match self.service {
                Service::Xfer => Offer::Xfer(transfers),
                _ => Offer::Tftp(transfers),
            });
        }
        let name = push.as_deref().map(OsStr::as_bytes);
        if let Some(name) = name {
            // Better an error now than one for each client.
            let shown = root.join(OsStr::from_bytes(name));
            folder.file(name).map_err(Error::of("push", printable(&shown)))?;
        }
        Ok(Offer::files(folder, name))
    }

    /// The offer to the clients that are served. Those of `before`, what was configured and offered at the same
    /// listener, are counted on.
    pub(super) fn limited(
        &self,
        offer: Offer,
        listener: &Listener,
        before: Option<(&Self, &Offer)>,
    ) -> Result<Offer> {
        if self.admission == Admission::default() && self.access_log.is_none() {
            return Ok(offer);
        }
        let is_same =
            |other: &Self| (&other.access_log, &other.user) == (&self.access_log, &self.user);
        let kept = before.filter(|(spec, _)| is_same(spec)).and_then(|(_, it)| it.access_log());
        let log = match (&self.access_log, kept) {
            (None, _) => None,
            (Some(_), Some(log)) => Some(Arc::clone(log)),
            (Some((to, format)), None) => {
                let listener = format!("{} {}", self.service.name(), listener.address());
                Some(Arc::new(AccessLog::new(sink(to)?, *format, &listener)))
            }
        };
        offer.limited(self.admission.clone(), log, before.map(|(_, offer)| offer))
    }

    pub(super) fn bind(&self) -> Result<Listener> {
        let listener = match &self.group {
            Some(group) => Listener::bind_member(&self.address, group.clone())?,
            None => Listener::bind_with(&self.address, self.backlog, self.access)?,
        };
        if let Some(name) = &self.interface {
            bind_to_device(&listener, name)
                .map_err(Error::of("listen on interface", printable(name)))?;
        }
        if let (Some(socket), [_, ..]) = (listener.socket_address(), listener.unserved()) {
            let others: Vec<_> = listener.unserved().iter().map(Address::to_string).collect();
            let name = listener.address();
            warn!("{name} listens on {socket} only, and not on {}", others.join(", "));
        }
        Ok(listener)
    }
}

fn sink(to: &LogTo) -> Result<Sink> {
    Ok(match to {
        LogTo::Stderr => Sink::Stderr { prefixed: false },
        LogTo::Journal => Sink::Stderr { prefixed: true },
        LogTo::File(path) => Sink::File(LogFile::new(path.clone(), logger::open(path)?)?),
    })
}
