//! `windlass serve`: from options to listeners to a running server.

use std::path::Path;

use tracing::info;

use super::args::{Serve, ServeAll};
use super::config;
use super::outcome::{Failure, print_line};
use super::plan::{self, Names};
use super::survey::{Found, Survey, What};
use crate::addr::Address;
use crate::error::{Error, Result};
use crate::role;
use crate::server::supervise::{self, Hooks, Probe, Reread, Task, Wanted};
use crate::server::{LogTo, Opened, Server, Spec, Stop};
use crate::sys::handover::Inherited;
use crate::sys::process;
use crate::sys::program::Program;
use crate::sys::signals::Signals;
use crate::sys::user::User;

pub(super) fn serve(args: &ServeAll) -> std::result::Result<(), Failure> {
    let wanted = if let Some(path) = &args.config {
        config::read(path, args.top.clone(), args.check).map_err(Failure::Lines)?
    } else {
        let plan = plan::listeners(&args.serve, Names("--"), args.top.grace, args.top.drain);
        if let Some(wrong) = plan.wrong.first() {
            return Err(Failure::Usage(wrong.message.clone()));
        }
        if let Some(wrong) = args.top.wrong() {
            return Err(Failure::Usage(format!("--{wrong}")));
        }
        args.top.clone().with(plan.specs)
    };
    let Wanted { listeners: specs, probes, stop_delay_us } = wanted;
    if args.check {
        if args.config.is_none() {
            check(&args.serve, &specs)?;
        }
        return Ok(specs
            .iter()
            .try_for_each(|spec| print_line(&described("would serve", spec)))?);
    }
    // Passed descriptors are taken before any other file is opened, so no number can be one of ours.
    let mut inherited = Inherited::take()?;
    let places = Spec::claim(specs, &mut inherited)?;
    let probes = probes.try_map(|at| {
        let passed = at.as_ref().map(|at| inherited.claim(at, None)).transpose()?.flatten();
        Ok((at, passed))
    })?;
    // Before a socket file exists, so that it is removed whenever the server is stopped.
    let signals = Signals::catch().map_err(Error::of("catch signals", ""))?;
    let program = Program::current()?;
    let files = process::raise_nofile();
    let mut members = Spec::open(places, &mut inherited)?;
    let probes = probes.try_map(|(at, passed)| Probe::open(at, passed))?;
    if args.config.is_none() {
        // No process is forked and no thread runs yet, so every process that serves has this user.
        let users: Vec<_> = members.iter_mut().filter_map(|member| member.user.take()).collect();
        users.first().map_or(Ok(()), User::assume)?;
    }
    info!(
        descriptors = files,
        listeners = members.len(),
        "serving; SIGTERM or SIGINT ends the server"
    );
    process::trim_memory();
    let stop = Stop::on_signals(signals, args.top.grace.0, args.top.drain.0).and_reap();
    // The parent of a pool tells its state itself. Other models have no loop to do it beside their clients', and none
    // keeps the process that writes an access log.
    let is_watched = |it: &Opened| {
        let log_has_file = matches!(it.spec.access_log, Some((LogTo::File(_), _)));
        log_has_file || (it.control.is_some() && !it.spec.model.is_pool())
    };
    let is_probed = probes.as_ref().into_iter().any(Probe::is_open);
    let is_watched = is_probed || members.iter().any(is_watched);
    if members.len() > 1 || args.config.is_some() || is_watched {
        role::supervise();
        let hooks = Hooks {
            reread: args.config.as_deref().map(|path| reread(path, args)),
            announce: Box::new(announce),
        };
        let task = Task { listeners: members, probes, stop_delay_us };
        return Ok(supervise::serve(task, stop, inherited, program, hooks)?);
    }
    if let Some(Opened { spec, offer, listener, control, user: _ }) = members.pop() {
        let (address, model) = (listener.address().clone(), spec.model);
        role::serve(spec.service.name(), &address, &model.part());
        let mut server = Server::new(listener, offer, spec.limits, stop);
        if let Some(control) = control {
            server = server.with_control(control);
        }
        let say = move || announce(&spec, &address, std::process::id().cast_signed());
        server.when_ready(say).run(model)?;
    }
    Ok(())
}

/// The errors that opening the listeners would give, before they are opened.
fn check(serve: &Serve, specs: &[Spec]) -> std::result::Result<(), Failure> {
    let found = Survey::new(true).look(serve, specs, |_| ());
    let line = |found: Found<()>| match found.what {
        What::Failed(why) => why,
        What::Taken { said, earlier, place: () } if said.is_same(&earlier) => {
            format!("{said} is given twice")
        }
        What::Taken { said, earlier, place: () } => {
            format!("{earlier} and {said} exclude each other")
        }
    };
    let lines: Vec<_> = found.into_iter().map(line).collect();
    if lines.is_empty() { Ok(()) } else { Err(Failure::Lines(lines)) }
}

fn reread(path: &Path, args: &ServeAll) -> Reread {
    let (path, top) = (path.to_owned(), args.top.clone());
    let of = path.clone();
    Reread { path, understand: Box::new(move |text| config::understand(&of, text, top.clone())) }
}

/// The line that scripts wait for.
fn announce(spec: &Spec, address: &Address, pid: i32) -> Result<()> {
    let (service, model) = (spec.service.name(), spec.model.name());
    print_line(&format!("listening {address} {service} {model} pid {pid}"))
}

fn described(verb: &str, spec: &Spec) -> String {
    format!("{verb} {} {} {}", spec.address, spec.service.name(), spec.model.name())
}
