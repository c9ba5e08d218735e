//! `windlass serve`: from options to listeners to a running server.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use clap::CommandFactory;
use clap::error::ErrorKind;
use tracing::info;

use super::args::{Args, Serve};
use super::{Failure, print_line};
use crate::addr::Address;
use crate::error::{Error, Result};
use crate::server::group::{self, Member};
use crate::server::{Limits, Model, Offer, Policy, Pool, Server, Service, Stop};
use crate::sys::listener::Listener;
use crate::sys::process;
use crate::sys::root::Root;
use crate::sys::signals::Signals;
use crate::sys::user::User;

/// What runs without a word on the command line: each service of streams, each under a model that
/// suits it, on loopback.
const BUILT_IN: [(Service, Model, &str); 5] = [
    (Service::Time, Model::ThreadPool, "tcp:127.0.0.1:2333"),
    (Service::Upper, Model::Epoll, "tcp:127.0.0.1:9527"),
    (Service::Upper, Model::Poll, "unix:@windlass-upper"),
    (Service::Echo, Model::EpollEt, "tcp:127.0.0.1:7007"),
    (Service::Files, Model::PoolStatic, "tcp:127.0.0.1:2334"),
];

/// Clients that may wait at the control socket for the parent's next round.
const CONTROL_BACKLOG: u32 = 64;

pub(super) fn serve(args: &Serve) -> std::result::Result<(), Failure> {
    let plan = plan(args)?;
    let limits = limits(args)?;
    let files_offer = files_offer(args)?;
    let user = args.user.as_deref().map(User::look_up).transpose()?;
    let files = process::raise_nofile();
    // What was inherited is taken before anything else is opened: no number is ours by then.
    let offer = |service| match (service, &files_offer) {
        (Service::Files, Some(files)) => files.clone(),
        (service, _) => service.into(),
    };
    let mut members = Vec::with_capacity(plan.len());
    let is_inherited = |address: &Address| matches!(address, Address::Fd(_));
    let (inherited, own): (Vec<_>, Vec<_>) =
        plan.into_iter().partition(|(_, _, address)| is_inherited(address));
    for (service, model, address) in inherited {
        let listener = Listener::bind(&address, args.backlog)?;
        members.push(Member { listener, offer: offer(service), model });
    }
    // Before a socket file exists, so that a stop at any moment takes it away.
    let signals = Signals::block().map_err(Error::of("block signals", ""))?;
    for (service, model, address) in own {
        let listener = Listener::bind(&address, args.backlog)?;
        members.push(Member { listener, offer: offer(service), model });
    }
    let bind = |path| Listener::bind_private(path, CONTROL_BACKLOG);
    let control = args.control.as_deref().map(bind).transpose()?;
    if let Some(user) = &user {
        // Nothing is forked yet, and no thread runs: whatever serves is this user.
        let all = members.iter().map(|member| &member.listener).chain(&control);
        all.into_iter().try_for_each(|listener| listener.give_to(user))?;
        user.assume()?;
    }
    info!(descriptors = files, listeners = members.len(), "serving; SIGTERM or SIGINT stops");
    let grace_us = args.grace.0;
    process::trim_memory();
    if members.len() > 1 {
        return Ok(group::serve(members, limits, grace_us, signals, announce)?);
    }
    if let Some(member) = members.pop() {
        announce(&member)?;
        let stop = Stop::on_signals(signals, grace_us);
        let mut server = Server::new(member.listener, member.offer, limits, stop);
        if let Some(control) = control {
            server = server.with_control(control);
        }
        server.run(member.model)?;
    }
    Ok(())
}

/// The line that scripts wait for.
fn announce(member: &Member) -> Result<()> {
    let Member { listener, offer, model } = member;
    let (address, pid) = (listener.address(), std::process::id());
    let service = offer.service().name();
    print_line(&format!("listening {address} {service} {} pid {pid}", model.name()))
}

/// The listeners to open.
fn plan(args: &Serve) -> std::result::Result<Vec<(Service, Model, Address)>, Failure> {
    let built_in = || {
        let all = BUILT_IN.iter();
        all.filter_map(|&(service, model, text)| Some((service, model, text.parse().ok()?)))
    };
    let Some(service) = args.service else {
        let has_root = args.root.is_some();
        if !has_root {
            info!("files is not served: there is no --root");
        }
        return Ok(built_in().filter(|&(of, ..)| of != Service::Files || has_root).collect());
    };
    let model = args.model;
    let plan: Vec<_> = if args.listen.is_empty() {
        let own = built_in().filter(|&(of, ..)| of == service);
        own.map(|(_, default, address)| (service, model.unwrap_or(default), address)).collect()
    } else {
        let model = model.unwrap_or(Model::Epoll);
        args.listen.iter().map(|address| (service, model, address.clone())).collect()
    };
    for (index, (_, model, address)) in plan.iter().enumerate() {
        if let Address::Fd(_) = address
            && plan[..index].iter().any(|(_, _, earlier)| earlier == address)
        {
            return Err(usage(&format!("{address} is given twice, and can be taken over once")));
        }
        if let Address::Udp(_) | Address::UnixDatagram(_) = address {
            return Err(usage(&format!(
                "{} is served on streams, and {address} is a datagram address",
                service.name()
            )));
        }
        if let Some((option, models)) = args.strangers(*model).next() {
            return Err(usage(&format!("{option} is for --model {models}, not {}", model.name())));
        }
    }
    if args.control.is_some() && plan.len() > 1 {
        let many = plan.len();
        return Err(usage(&format!(
            "--control is for one listener, not {many}; name it (--listen)"
        )));
    }
    Ok(plan)
}

/// The folder, opened, or the folder of the file that is pushed.
fn files_offer(args: &Serve) -> std::result::Result<Option<Offer>, Failure> {
    let (root, push) = (args.root.as_deref(), args.push.as_deref());
    match args.service {
        Some(Service::Files) if root.is_none() && push.is_none() => {
            return Err(usage("files needs --root DIR, or --push FILE"));
        }
        Some(Service::Time | Service::Upper | Service::Echo)
            if root.is_some() || push.is_some() =>
        {
            return Err(usage("--root and --push are for files"));
        }
        Some(_) | None => {}
    }
    let (root, name) = match (root, push) {
        (Some(root), name) => (root, name),
        (None, Some(file)) => {
            let folder = file.parent().filter(|folder| *folder != Path::new(""));
            let name = file.file_name().map(Path::new);
            let name = name.ok_or_else(|| usage("--push is for a file, by its name"))?;
            (folder.unwrap_or(Path::new(".")), Some(name))
        }
        (None, None) => return Ok(None),
    };
    let folder = Root::open(root)?;
    let name = name.map(|name| name.as_os_str().as_bytes());
    if let Some(name) = name {
        // Better said now than to each client.
        let shown = root.join(OsStr::from_bytes(name));
        folder.file(name).map_err(Error::of("push", shown.display()))?;
    }
    Ok(Some(Offer::files(folder, name)))
}

fn limits(args: &Serve) -> std::result::Result<Limits, Failure> {
    let defaults = Policy::default();
    let min =
        args.min_threads.unwrap_or_else(|| defaults.min.min(args.max_threads.unwrap_or(u32::MAX)));
    let max = args.max_threads.unwrap_or_else(|| defaults.max.max(min));
    let threads = Policy { min, max, queue: args.queue.unwrap_or(defaults.queue), ..defaults };
    if min > max {
        return Err(usage(&format!("--min-threads {min} is above --max-threads {max}")));
    }
    Ok(Limits {
        max_connections: args.max_connections.map_or(usize::MAX, |n| n as usize),
        idle_us: (args.idle_timeout.0 > 0).then_some(args.idle_timeout.0),
        threads,
        pool: pool(args)?,
        sandbox: !args.no_sandbox,
    })
}

fn pool(args: &Serve) -> std::result::Result<Pool, Failure> {
    let defaults = Pool::default();
    let max_workers = args.max_workers.unwrap_or_else(|| {
        defaults.max_workers.max(args.max_spare.unwrap_or(0)).max(args.min_spare.unwrap_or(0))
    });
    let max_spare = args
        .max_spare
        .unwrap_or_else(|| defaults.max_spare.max(args.min_spare.unwrap_or(0)).min(max_workers));
    let min_spare = args.min_spare.unwrap_or_else(|| defaults.min_spare.min(max_spare));
    if min_spare > max_spare || max_spare > max_workers {
        return Err(usage(&format!(
            "--min-spare {min_spare}, --max-spare {max_spare} and --max-workers {max_workers} are not in order"
        )));
    }
    Ok(Pool {
        workers: args.workers.unwrap_or(defaults.workers),
        min_spare,
        max_spare,
        max_workers,
        requests: args.requests_per_worker,
        hold_us: args.hold.unwrap_or(0).saturating_mul(1000),
    })
}

fn usage(message: &str) -> Failure {
    Failure::Usage(Args::command().error(ErrorKind::ArgumentConflict, message))
}
