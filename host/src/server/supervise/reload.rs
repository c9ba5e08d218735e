//! SIGHUP: the configuration is read again, and the difference applied.
//!
//! ```text
//! the same address, the same otherwise     its process stays as it is
//! the same address, something else         a process with that is started on the same socket; when it is
//!                                          ready, the one before it takes no more clients and drains
//! a new address                            bound
//! an address that is gone                  closed; its process drains
//! ```
//!
//! Whatever can fail is done first of all; if it does, nothing changes. A control socket that is there is
//! not bound anew, whichever listener has it.
//!
//! Who is unchanged is left alone, workers of a pool included: a reload that adds a listener is no reason
//! to start the others anew. SIGHUP to the process of a pool replaces its workers, and without a
//! configuration the supervisor passes the signal on to all.

use std::path::Path;

use tracing::{error, info};
use windlass_core::pool::supervisor::{Event, Signal};

use super::member::Member;
use super::{Cx, Supervisor, refuse};
use crate::addr::Address;
use crate::error::{Error, Result};
use crate::server::Offer;
use crate::server::spec::{Opened, Spec};
use crate::sys::listener::{Access, Listener};
use crate::sys::user::User;

/// What becomes of a listener, with all that had to be opened for it.
pub(super) struct Change {
    pub(super) spec: Spec,
    pub(super) offer: Offer,
    pub(super) user: Option<User>,
    /// None: there is to be none, or a member has it.
    pub(super) control: Option<Listener>,
    place: Place,
}

/// Where a listener is.
enum Place {
    /// A member is there, of that key.
    Member(u32),
    New(Listener),
}

const UPGRADING: &str = "an upgrade is under way";

/// A socket file that changes hands: whose it is to be, and whose it was.
type Gift<'a> = (&'a Listener, Owner<'a>, Owner<'a>);

/// The user of a socket file, and who else may connect.
type Owner<'a> = (Option<&'a User>, Access);

impl Supervisor {
    pub(super) fn reload(&mut self, cx: &mut Cx) {
        if self.stop.is_requested() {
            return;
        }
        if self.hooks.reread.is_none() {
            self.members.iter().for_each(Member::hang_up);
        } else if self.is_handing_over() {
            refuse(&[UPGRADING.to_owned()]);
        } else {
            self.reread(cx);
        }
    }

    /// The new binary was given the listeners that there are, and reads the file itself; the old one still
    /// serves on them.
    fn is_handing_over(&self) -> bool {
        self.upgrade.is_running() || self.inherited.is_upgrade()
    }

    /// The configuration was read again, as far as it could be.
    pub(super) fn take(&mut self, cx: &mut Cx, read: Result<Vec<u8>>) {
        if self.stop.is_requested() {
            return;
        }
        let Some(reread) = &self.hooks.reread else { return };
        let read = read.map_err(|error| vec![error.to_string()]);
        match read.and_then(|text| (reread.understand)(&text)) {
            Ok(_) if self.is_handing_over() => refuse(&[UPGRADING.to_owned()]),
            Ok(specs) => self.apply(cx, &specs),
            Err(errors) => refuse(&errors),
        }
        self.report();
    }

    fn apply(&mut self, cx: &mut Cx, specs: &[Spec]) {
        let (places, gone) = self.pair(specs);
        let mut changes = match self.open(specs, &places) {
            Ok(changes) => changes,
            Err(error) => return refuse(&[error.to_string()]),
        };
        self.agree(&specs.iter());
        // All are taken before one is put anywhere, so that they can change places.
        for change in &mut changes {
            if let (Some(path), None) = (&change.spec.control, &change.control) {
                let mut members = self.members.iter_mut();
                let holder = members.find(|member| member.holds(path));
                change.control = holder.and_then(|member| member.control.take());
            }
        }
        for key in &gone {
            self.let_go(cx, *key);
        }
        let (all, removed) = (specs.len(), gone.len());
        let (mut differing, mut new) = (0, 0);
        for change in changes {
            match change.place {
                Place::Member(key) => {
                    differing += 1;
                    self.change(cx, key, change);
                }
                Place::New(listener) => {
                    new += 1;
                    let Change { spec, offer, user, control, .. } = change;
                    let opened = Opened { spec, offer, listener, control, user };
                    if let Err(error) = self.add(cx, opened) {
                        error!("{error}");
                    }
                }
            }
        }
        let unchanged = all - differing - new;
        info!(unchanged, changed = differing, added = new, removed, "reloaded");
    }

    /// The member that is where each is to be, and those that are nowhere any more. An address that is
    /// written in another way is looked for when all that are written as they were have their place, so
    /// port 0 keeps its port.
    fn pair(&self, specs: &[Spec]) -> (Vec<Option<u32>>, Vec<u32>) {
        let members = self.members.iter().filter(|member| !member.is_leaving);
        let mut gone: Vec<&Member> = members.collect();
        let mut places = vec![None; specs.len()];
        let ways: [fn(&Member, &Address) -> bool; 2] = [
            |member, address| member.spec.address == *address,
            |member, address| member.listener.as_ref().is_some_and(|it| it.is_at(address)),
        ];
        for is_it in ways {
            for (place, spec) in places.iter_mut().zip(specs).filter(|(place, _)| place.is_none()) {
                let at = gone.iter().position(|member| is_it(member, &spec.address));
                *place = at.map(|at| gone.remove(at).key);
            }
        }
        (places, gone.iter().map(|member| member.key).collect())
    }

    /// Opens what is to change. Nothing has when that fails.
    fn open(&self, specs: &[Spec], places: &[Option<u32>]) -> Result<Vec<Change>> {
        let mut changes = Vec::new();
        for (spec, key) in specs.iter().zip(places) {
            if key.and_then(|key| self.by_key(key)).is_none_or(|member| member.spec != *spec) {
                changes.push(self.open_one(spec.clone(), *key)?);
            }
        }
        self.give_files(&changes)?;
        Ok(changes)
    }

    fn open_one(&self, spec: Spec, key: Option<u32>) -> Result<Change> {
        if let (Address::Fd(_), None) = (&spec.address, key) {
            let why = "a descriptor is inherited at the start, and not later";
            return Err(Error::new("listen on", &spec.address, why));
        }
        let offer = spec.offer()?;
        let user = spec.user.as_deref().map(User::look_up).transpose()?;
        let place =
            key.map_or_else(|| spec.bind().map(Place::New), |key| Ok(Place::Member(key)))?;
        let is_there = spec.control.as_deref().is_some_and(|path| self.holder(path).is_some());
        let control = if is_there { None } else { spec.bind_control()? };
        Ok(Change { spec, offer, user, control, place })
    }

    /// The socket files are their users', all of them or none.
    fn give_files(&self, changes: &[Change]) -> Result<()> {
        let mut gifts: Vec<Gift<'_>> = Vec::new();
        for Change { spec, user, control, place, .. } in changes {
            let (listener, before) = match place {
                Place::New(listener) => (Some(listener), (None, spec.access)),
                Place::Member(key) => {
                    let Some(member) = self.by_key(*key) else { continue };
                    (member.listener.as_ref(), (member.user.as_ref(), member.spec.access))
                }
            };
            let holder = spec.control.as_deref().and_then(|path| self.holder(path));
            let (control, had) = match (control, holder) {
                (None, Some(member)) => (member.control.as_ref(), member.user.as_ref()),
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

    fn change(&mut self, cx: &mut Cx, key: u32, change: Change) {
        if let Some(member) = self.members.iter_mut().find(|member| member.key == key) {
            member.change(change);
        }
        self.tell(cx, key, Event::Signal(Signal::Reload));
        if let Some(member) = self.by_key(key) {
            member.warn_if_full();
        }
    }

    fn by_key(&self, key: u32) -> Option<&Member> {
        self.members.iter().find(|member| member.key == key)
    }

    /// Who has the control socket at `path`.
    fn holder(&self, path: &Path) -> Option<&Member> {
        self.members.iter().find(|member| member.holds(path))
    }
}
