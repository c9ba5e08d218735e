//! SIGHUP: the configuration is read again, and the difference applied.
//!
//! ```text
//! a listener that did not change           its process stays as it is
//! another configuration, same address      a process with it is started on the same socket; when that is
//!                                          ready, the process before it takes no more clients and drains
//! a new address                            bound
//! an address that is gone                  closed; its process drains
//! ```
//!
//! All that can fail is done first; if something does, nothing changes. A control socket that is there is not
//! bound anew, even if another listener has it now.
//!
//! A certificate that changed in its file is another configuration, and so is a root that is another folder. If
//! the new one is not good, the listener stays as it is.
//!
//! A listener that did not change keeps its process, and a pool its workers: a reload that adds a listener is
//! no reason to start the others anew. SIGHUP to the process of a pool replaces its workers, and without a
//! configuration the supervisor passes the signal on to all processes that it does not replace.

use std::path::Path;

use tracing::{error, info};
use windlass_core::pool::processes::{Event, Signal};

use super::hooks::Wanted;
use super::listener::{Key, Supervised};
use super::supervisor::{Cx, Supervisor, refuse};
use crate::addr::Address;
use crate::error::{Error, Result};
use crate::server::Offer;
use crate::server::children::handle;
use crate::server::spec::{Opened, Spec};
use crate::sys::listener::{Access, Listener};
use crate::sys::user::User;

/// A listener that is new or has another configuration, with all that had to be opened for it.
struct Change {
    spec: Spec,
    offer: Offer,
    user: Option<User>,
    /// None: it has no control socket, or a listener has that socket already.
    control: Option<Listener>,
    target: Target,
}

/// The listener that a change is made to.
enum Target {
    /// The listener of that key.
    Existing(Key),
    New(Listener),
}

const UPGRADING: &str = "an upgrade is under way";

/// A socket file that gets another owner: the socket, the new owner, the old one.
type Gift<'a> = (&'a Listener, Owner<'a>, Owner<'a>);

/// The user of a socket file, and which other processes may connect.
type Owner<'a> = (Option<&'a User>, Access);

impl Supervisor {
    pub(super) fn reload_all(&mut self, cx: &mut Cx) {
        if self.state.stop.is_requested() {
            return;
        }
        if self.hooks.reread.is_none() {
            self.renew(cx);
        } else if self.is_handing_over() {
            refuse(&[UPGRADING.to_owned()]);
        } else {
            self.reread(cx);
        }
    }

    /// Replaces the processes of listeners with a new certificate or another root, and passes the signal on to
    /// the others.
    fn renew(&mut self, cx: &mut Cx) {
        let keys: Vec<Key> = self.listeners.iter().map(|it| it.key).collect();
        for key in keys {
            let Some(it) = self.get(key).filter(|it| !it.is_leaving) else { continue };
            if !it.differs_from(&it.spec) {
                it.hang_up();
                continue;
            }
            let spec = it.spec.clone();
            match self.open_one(spec, Some(key)) {
                Ok(change) => {
                    let control = self.get_mut(key).and_then(|it| it.control.take());
                    self.change(cx, key, Change { control, ..change });
                }
                Err(error) => error!("{error}"),
            }
        }
    }

    /// Two binaries have the listeners: the new one was given them and reads the file itself, and the old one
    /// still serves on them.
    fn is_handing_over(&self) -> bool {
        self.upgrade.is_running() || self.inherited.is_upgrade()
    }

    /// The configuration was read again, or could not be.
    pub(super) fn take(&mut self, cx: &mut Cx, read: Result<Vec<u8>>) {
        if self.state.stop.is_requested() {
            return;
        }
        let Some(reread) = &self.hooks.reread else { return };
        let read = read.map_err(|error| vec![error.to_string()]);
        match read.and_then(|text| (reread.understand)(&text)) {
            Ok(_) if self.is_handing_over() => refuse(&[UPGRADING.to_owned()]),
            Ok(wanted) => self.apply(cx, &wanted),
            Err(errors) => refuse(&errors),
        }
        self.report(cx);
    }

    fn apply(&mut self, cx: &mut Cx, Wanted { listeners: specs, probes, stop_delay_us }: &Wanted) {
        let (keys, gone) = self.pair(specs);
        // Before the listeners: the owners of their files change with the last step that can fail.
        let moved = self.probes.as_ref().zip(probes.as_ref());
        let moved = moved.try_map(|(probe, address)| probe.moved_to(address.as_ref()));
        let opened = moved.and_then(|moved| Ok((self.open(specs, &keys)?, moved)));
        let (mut changes, moved) = match opened {
            Ok(opened) => opened,
            Err(error) => return refuse(&[error.to_string()]),
        };
        for (probe, moved) in self.probes.as_mut().zip(moved) {
            if let Some(moved) = moved {
                drop(probe.leave(cx));
                *probe = moved;
            }
        }
        if let Err(error) = self.answer_probes(cx) {
            error!("{error}");
        }
        self.stop_delay_us = *stop_delay_us;
        self.agree(&specs.iter());
        // All control sockets are taken before one is given, so that listeners can swap them.
        for change in &mut changes {
            if let (Some(path), None) = (&change.spec.control, &change.control) {
                let holder = self.listeners.iter_mut().find(|it| it.has_control(path));
                change.control = holder.and_then(|it| it.control.take());
            }
        }
        for key in &gone {
            self.remove(cx, *key);
        }
        let (all, removed) = (specs.len(), gone.len());
        let (mut differing, mut new) = (0, 0);
        for change in changes {
            match change.target {
                Target::Existing(key) => {
                    differing += 1;
                    self.change(cx, key, change);
                }
                Target::New(listener) => {
                    new += 1;
                    let Change { spec, offer, user, control, .. } = change;
                    let opened = Opened { spec, offer, listener, control, user };
                    if let Err(error) = self.add(cx, opened) {
                        error!("{error}");
                    }
                }
            }
        }
        self.know_logs(cx);
        let unchanged = all - differing - new;
        info!(unchanged, changed = differing, added = new, removed, "reloaded");
    }

    /// For each of `specs` the listener at its address, and the listeners that are in none of them.
    /// First those are paired that have addresses written alike, so that a port 0 keeps its port;
    /// then those with addresses are the same.
    fn pair(&self, specs: &[Spec]) -> (Vec<Option<Key>>, Vec<Key>) {
        let mut gone: Vec<&Supervised> =
            self.listeners.iter().filter(|it| !it.is_leaving).collect();
        let mut keys = vec![None; specs.len()];
        let ways: [fn(&Supervised, &Address) -> bool; 2] = [
            |it, address| it.spec.address == *address,
            |it, address| it.listener.as_ref().is_some_and(|socket| socket.is_at(address)),
        ];
        for is_it in ways {
            for (key, spec) in keys.iter_mut().zip(specs).filter(|(key, _)| key.is_none()) {
                let at = gone.iter().position(|listener| is_it(listener, &spec.address));
                *key = at.map(|at| gone.remove(at).key);
            }
        }
        (keys, gone.iter().map(|listener| listener.key).collect())
    }

    /// Opens what is new or to change. If that fails, nothing has changed.
    fn open(&self, specs: &[Spec], keys: &[Option<Key>]) -> Result<Vec<Change>> {
        let mut changes = Vec::new();
        for (spec, key) in specs.iter().zip(keys) {
            if key.and_then(|key| self.get(key)).is_none_or(|it| it.differs_from(spec)) {
                changes.push(self.open_one(spec.clone(), *key)?);
            }
        }
        self.give_files(&changes)?;
        Ok(changes)
    }

    fn open_one(&self, spec: Spec, key: Option<Key>) -> Result<Change> {
        if let (Address::Fd(_), None) = (&spec.address, key) {
            let why = "a descriptor is inherited at the start, and not later";
            return Err(Error::new("listen on", &spec.address, why));
        }
        let offer = spec.offer()?;
        let user = spec.user.as_deref().map(User::look_up).transpose()?;
        let before = key.and_then(|key| self.get(key));
        let (target, offer) = match (key, before.and_then(|it| it.listener.as_ref())) {
            (Some(key), Some(listener)) => {
                let known = before.map(|it| (&it.spec, &it.offer));
                (Target::Existing(key), spec.limited(offer, listener, known)?)
            }
            (Some(key), None) => (Target::Existing(key), offer),
            (None, _) => {
                let listener = spec.bind()?;
                let offer = spec.limited(offer, &listener, None)?;
                (Target::New(listener), offer)
            }
        };
        let is_there = spec.control.as_deref().is_some_and(|path| self.holder(path).is_some());
        let control = if is_there { None } else { spec.bind_control()? };
        Ok(Change { spec, offer, user, control, target })
    }

    /// Gives the socket files to their users: all of them or none.
    fn give_files(&self, changes: &[Change]) -> Result<()> {
        let mut gifts: Vec<Gift<'_>> = Vec::new();
        for Change { spec, user, control, target, .. } in changes {
            let (listener, before) = match target {
                Target::New(listener) => (Some(listener), (None, spec.access)),
                Target::Existing(key) => {
                    let Some(it) = self.get(*key) else { continue };
                    (it.listener.as_ref(), (it.user.as_ref(), it.spec.access))
                }
            };
            let holder = spec.control.as_deref().and_then(|path| self.holder(path));
            let (control, had) = match (control, holder) {
                (None, Some(it)) => (it.control.as_ref(), it.user.as_ref()),
                (control, _) => (control.as_ref(), None),
            };
            let (user, private) = (user.as_ref(), Access::PRIVATE);
            gifts.extend(listener.map(|listener| (listener, (user, spec.access), before)));
            gifts.extend(control.map(|control| (control, (user, private), (had, private))));
        }
        gifts.retain(|(_, to, from)| to != from);
        for (at, (listener, to, from)) in gifts.iter().enumerate() {
            let give = |listener: &Listener, (user, access): Owner<'_>, (_, before): Owner<'_>| {
                listener.give_to(user, access.after(before, user))
            };
            if let Err(error) = give(listener, *to, *from) {
                for (listener, to, from) in &gifts[..at] {
                    let _ = give(listener, *from, *to);
                }
                return Err(error);
            }
        }
        Ok(())
    }

    fn change(&mut self, cx: &mut Cx, key: Key, change: Change) {
        let Change { spec, offer, user, control, .. } = change;
        if let Some(listener) = self.get_mut(key) {
            listener.change(spec, offer, user, control);
        }
        if let Err(error) = self.answer(cx, key) {
            error!("{error}");
        }
        handle(self, cx, key, Event::Signal(Signal::Reload));
        if let Some(listener) = self.get(key) {
            listener.warn_if_full();
        }
    }

    /// The listener that has the control socket at `path`.
    fn holder(&self, path: &Path) -> Option<&Supervised> {
        self.listeners.iter().find(|it| it.has_control(path))
    }
}
