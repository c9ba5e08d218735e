//! SIGHUP: the configuration is read again, and the difference applied.
//!
//! ```text
//! the same address, the same otherwise     its process stays as it is
//! the same address, something else         a process with that is started on the same socket; when it is
//!                                          ready, the one before it takes no more clients and drains
//! a new address                            bound first of all; if one cannot be, nothing changes
//! an address that is gone                  closed; its process drains
//! ```
//!
//! Who is unchanged is left alone, workers of a pool included: a reload that adds a listener is no reason
//! to start the others anew. SIGHUP to the process of a pool replaces its workers, and without a
//! configuration the supervisor passes the signal on to all.

use tracing::{error, info};
use windlass_core::pool::supervisor::{Event, Signal};

use super::{Cx, Supervisor, refuse};
use crate::addr::Address;
use crate::error::{Error, Result};
use crate::server::Offer;
use crate::server::spec::{Opened, Spec};

impl Supervisor {
    pub(super) fn reload(&mut self, cx: &mut Cx) {
        if self.stop.is_requested() {
            return;
        }
        let Some(reread) = &mut self.hooks.reread else {
            self.members.iter().for_each(super::Member::hang_up);
            return;
        };
        if self.upgrade.is_running() || self.inherited.is_upgrade() {
            // The new one was given the listeners that there are, and reads the file itself; the old one
            // still serves on them.
            return refuse(&["an upgrade is under way".to_owned()]);
        }
        self.systemd.reloading(cx.now());
        match reread() {
            Ok(specs) => self.apply(cx, &specs),
            Err(errors) => refuse(&errors),
        }
        self.report();
    }

    fn apply(&mut self, cx: &mut Cx, specs: &[Spec]) {
        let mut gone: Vec<(u32, Address)> = self
            .members
            .iter()
            .filter(|member| !member.is_leaving)
            .map(|member| (member.key, member.spec.address.clone()))
            .collect();
        let (mut kept, mut added) = (Vec::new(), Vec::new());
        for spec in specs {
            let at = gone.iter().position(|(_, address)| *address == spec.address);
            let done = match at {
                Some(at) => {
                    let key = gone.remove(at).0;
                    spec.offer().map(|offer| kept.push((key, spec, offer)))
                }
                None => open(spec.clone()).map(|opened| added.push(opened)),
            };
            if let Err(error) = done {
                return refuse(&[error.to_string()]);
            }
        }
        self.agree(&specs.iter());
        let (all, new, mut changed) = (kept.len(), added.len(), 0);
        for (key, spec, offer) in kept {
            changed += usize::from(self.change(cx, key, spec, offer));
        }
        for (key, _) in &gone {
            self.let_go(cx, *key);
        }
        for opened in added {
            if let Err(error) = self.add(cx, opened) {
                error!("{error}");
            }
        }
        let (same, removed) = (all - changed, gone.len());
        info!(unchanged = same, changed, added = new, removed, "reloaded");
    }

    /// Whether it differs.
    fn change(&mut self, cx: &mut Cx, key: u32, spec: &Spec, offer: Offer) -> bool {
        let Some(member) = self.members.iter_mut().find(|member| member.key == key) else {
            return false;
        };
        if member.spec == *spec {
            return false;
        }
        if let Err(error) = member.change(spec.clone(), offer) {
            error!("{error}");
        }
        self.tell(cx, key, Event::Signal(Signal::Reload));
        true
    }
}

fn open(spec: Spec) -> Result<Opened> {
    if let Address::Fd(_) = spec.address {
        let why = "a descriptor is inherited at the start, and not later";
        return Err(Error::new("listen on", &spec.address, why));
    }
    let offer = spec.offer()?;
    let listener = spec.bind()?;
    let control = spec.bind_control()?;
    spec.opened(offer, listener, control)
}
