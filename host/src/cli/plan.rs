//! From options to listeners: the same rules for the command line and the configuration.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::Path;

use tracing::info;

use super::args::Serve;
use super::values::{Micros, PortRange};
use crate::addr::{Address, Transport};
use crate::network::Balancer;
use crate::printable::printable;
use crate::server::{
    Admission, Files, Limits, LineFormat, LogTo, Model, Policy, Pool, Service, Spec, Terms,
    TimeLimits, Web,
};
use crate::sys::file::folder_of;
use crate::sys::listener::{Access, Group};
use crate::tls::CertFiles;

/// The built-in configuration: each service, under a model that suits it, on loopback.
const BUILT_IN: [(Service, Model, &str); 10] = [
    (Service::Time, Model::ThreadPool, "tcp:127.0.0.1:2333"),
    (Service::Upper, Model::Epoll, "tcp:127.0.0.1:9527"),
    (Service::Upper, Model::Poll, "unix:@windlass-upper"),
    (Service::Upper, Model::Select, "udp:127.0.0.1:9527"),
    (Service::Echo, Model::EpollEt, "tcp:127.0.0.1:7007"),
    (Service::Files, Model::PoolStatic, "tcp:127.0.0.1:2334"),
    (Service::Http, Model::Epoll, "tcp:127.0.0.1:8080"),
    (Service::Xfer, Model::Fork, "udp:127.0.0.1:2334"),
    (Service::Tftp, Model::Reactor, "udp:127.0.0.1:6969"),
    (Service::Score, Model::Iterative, "udp:127.0.0.1:2333"),
];

/// Options that contradict each other.
#[derive(Debug)]
pub(super) struct Wrong {
    /// These options; the message names the first one first.
    pub(super) about: Vec<&'static str>,
    pub(super) message: String,
}

/// The listeners, and every mistake.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) specs: Vec<Spec>,
    pub(super) wrong: Vec<Wrong>,
}

/// How options are written: `--max-threads` on the command line, `max-threads` in the configuration.
#[derive(Debug, Clone, Copy)]
pub(super) struct Names(pub(super) &'static str);

/// The listeners that `serve` asks for.
pub(super) fn listeners(serve: &Serve, names: Names, grace: Micros, drain: Micros) -> Plan {
    let mut wrong = Vec::new();
    let limits = limits(serve, names, &mut wrong);
    let files = files(serve, names).unwrap_or_else(|found| {
        wrong.push(found);
        None
    });
    let tls = certificate(serve, names, &mut wrong);
    let mut specs: Vec<Spec> = Vec::new();
    let (mut numbers, mut strangers) = (HashSet::new(), Vec::new());
    for (service, model, address) in places(serve) {
        if let Address::Fd(number) = address
            && !numbers.insert(number)
        {
            let message = format!("{address} is given twice, and can be taken over once");
            wrong.push(Wrong { about: vec!["listen"], message });
            continue;
        }
        if let Some(transport) = address.transport()
            && let Some(why) = service.misfit(transport, model)
        {
            let message = format!("{address}: {why}");
            wrong.push(Wrong { about: vec!["listen", "service", "model"], message });
        }
        for (option, models) in serve.strangers(model) {
            let (Names(dashes), model) = (names, model.name());
            let message = format!("{dashes}{option} is for {dashes}model {models}, not {model}");
            // Once for all addresses of one model.
            if !strangers.contains(&message) {
                strangers.push(message.clone());
                wrong.push(Wrong { about: vec![option, "model"], message });
            }
        }
        wrong.extend(strangers_to_udp(serve, names, &address));
        let of_a_file = [("mode", serve.mode), ("socket-group", serve.socket_group)];
        for (option, _) in of_a_file.into_iter().filter(|(_, given)| given.is_some()) {
            if !matches!(address, Address::Unix(_) | Address::UnixDatagram(_)) {
                let Names(dashes) = names;
                let message = format!(
                    "{dashes}{option} is for a socket file (unix:PATH, unix-dgram:PATH), and {address} has none"
                );
                wrong.push(Wrong { about: vec![option, "listen"], message });
            }
        }
        if let Some(message) = misfit_of_single_port(serve, names, model) {
            wrong.push(Wrong { about: vec!["single-port", "model"], message });
        }
        let group = group_of(serve, &address);
        wrong.extend(misfit_of_group(serve, names, &address));
        specs.push(Spec {
            address,
            name: serve.name.clone(),
            service,
            files: files.clone().filter(|_| service.has_files()),
            web: web(serve),
            tls: tls.clone(),
            terms: terms(serve),
            model,
            limits,
            admission: admission(serve),
            access_log: access_log(serve),
            control: serve.control.clone(),
            user: serve.user.clone(),
            access: Access { mode: serve.mode, group: serve.socket_group },
            interface: serve.interface.clone().filter(|_| group.is_none()),
            group,
            backlog: serve.backlog.unwrap_or(1024),
            grace_us: grace.0,
            drain_us: drain.0,
        });
    }
    if !specs.is_empty() && specs.iter().all(|spec| is_of_datagrams(&spec.address)) {
        let Names(dashes) = names;
        let of_transfers = specs.iter().all(|spec| spec.service.is_of_transfers());
        let what = if of_transfers { "transfers have none" } else { "datagrams come without one" };
        for option in serve.of_connections(of_transfers) {
            let message = format!("{dashes}{option} is about connections, and {what}");
            wrong.push(Wrong { about: vec![option, "listen"], message });
        }
    }
    wrong.extend(without_effect(serve, names, &specs));
    let is_file = |spec: &Spec, path| matches!(&spec.address, Address::Unix(at) if at == path);
    if let Some(path) = &serve.control
        && specs.iter().any(|spec| is_file(spec, path))
    {
        let (Names(dashes), path) = (names, printable(path));
        let message = format!("{dashes}control and {dashes}listen are both at {path}");
        wrong.push(Wrong { about: vec!["control", "listen"], message });
    }
    if serve.control.is_some() && specs.len() > 1 {
        let (Names(dashes), many) = (names, specs.len());
        let message =
            format!("{dashes}control is for one listener, not {many}; name it ({dashes}listen)");
        wrong.push(Wrong { about: vec!["control", "listen"], message });
    }
    Plan { specs, wrong }
}

fn access_log(serve: &Serve) -> Option<(LogTo, LineFormat)> {
    Some((serve.access_log.clone()?, serve.access_log_format.unwrap_or_default()))
}

/// Which clients are served, and how much each of them may have.
fn admission(serve: &Serve) -> Admission {
    Admission {
        allow: serve.allow.clone(),
        deny: serve.deny.clone(),
        proxies: serve.proxy_from.clone(),
        per_client: serve.max_per_client,
        rate: serve.rate.and_then(NonZeroU32::new),
        client_rate: serve.client_rate.and_then(NonZeroU32::new),
    }
}

/// Whether it is a Unix socket. What is inherited may be a socket of any kind.
fn has_local_clients(address: &Address) -> bool {
    matches!(address, Address::Unix(_) | Address::UnixAbstract(_) | Address::UnixDatagram(_))
}

/// Whether connections to a Unix socket may come.
fn may_be_unix_stream(address: &Address) -> bool {
    matches!(address, Address::Unix(_) | Address::UnixAbstract(_) | Address::Fd(_))
}

/// What clients of transfers may do.
fn terms(serve: &Serve) -> Terms {
    Terms {
        allow_write: serve.allow_write,
        overwrite: serve.overwrite,
        max_blksize: serve.max_blksize.unwrap_or(Terms::DEFAULT.max_blksize),
        ports: serve.port_range.map(|PortRange(first, last)| (first, last)),
        single_port: serve.single_port,
    }
}

/// Why `model` cannot serve all transfers at one port, if it is to.
fn misfit_of_single_port(serve: &Serve, Names(dashes): Names, model: Model) -> Option<String> {
    let why = model.misfit_of_single_port().filter(|_| serve.single_port)?;
    Some(format!("{dashes}single-port: {why}"))
}

fn is_of_datagrams(address: &Address) -> bool {
    address.transport() == Some(Transport::Datagram)
}

/// The group that is named, or that the address is one of.
fn group_of(serve: &Serve, address: &Address) -> Option<Group> {
    let own = address.socket_addr().map(|at| at.ip()).filter(IpAddr::is_multicast);
    let own = own.filter(|_| is_of_datagrams(address));
    let group = serve.group.or(own);
    group.map(|address| Group { address, interface: serve.interface.clone() })
}

/// Why a socket of UDP cannot be a member of the group that is named.
fn misfit_of_group(serve: &Serve, Names(dashes): Names, address: &Address) -> Option<Wrong> {
    let group = Group { address: serve.group?, interface: None };
    let why = group.misfit(address.socket_addr()).filter(|_| is_of_datagrams(address))?;
    let message = format!("{dashes}group {group}: {why}");
    Some(Wrong { about: vec!["group", "listen"], message })
}

fn places(serve: &Serve) -> Vec<(Service, Model, Address)> {
    let built_in = || {
        let all = BUILT_IN.iter();
        all.filter_map(|&(service, model, text)| Some((service, model, text.parse().ok()?)))
    };
    let Some(service) = serve.service() else {
        let has_root = serve.root.is_some();
        if !has_root {
            info!("the services files, http, xfer and tftp are not started: --root is not given");
        }
        return built_in().filter(|(of, ..)| !of.has_files() || has_root).collect();
    };
    let model = serve.model;
    if serve.listen.is_empty() {
        let own = built_in().filter(|&(of, ..)| of == service);
        let all = own.map(|(_, default, address)| (service, model.unwrap_or(default), address));
        // Of a model that is named, the addresses that it can serve. Without any, the reason is told of all.
        let fits = |(_, model, address): &(_, Model, Address)| {
            address.transport().is_none_or(|by| service.misfit(by, *model).is_none())
        };
        let (fit, misfit): (Vec<_>, Vec<_>) = all.partition(fits);
        if fit.is_empty() { misfit } else { fit }
    } else {
        let model = model.unwrap_or(Model::Epoll);
        serve.listen.iter().map(|address| (service, model, address.clone())).collect()
    }
}

/// The options that are given, and that have no effect at any listener.
fn without_effect(serve: &Serve, names: Names, specs: &[Spec]) -> Vec<Wrong> {
    let mut wrong = strangers_to_unix(serve, names, specs);
    wrong.extend(strangers_to_http(serve, names, specs));
    wrong.extend(strangers_to_tls(names, specs));
    wrong
}

/// The options of `http` that are given, if no listener has it.
fn strangers_to_http(serve: &Serve, Names(dashes): Names, specs: &[Spec]) -> Vec<Wrong> {
    if specs.iter().any(|spec| spec.service == Service::Http) {
        return Vec::new();
    }
    let options = [
        ("index", serve.index),
        ("dotfiles", serve.dotfiles),
        ("cache-control", serve.cache_control.is_some()),
    ];
    let is_given = |&(_, given): &(_, bool)| given;
    let message = |option| format!("{dashes}{option} is for http");
    let wrong = |(option, _)| Wrong { about: vec![option, "service"], message: message(option) };
    options.into_iter().filter(is_given).map(wrong).collect()
}

/// The options of UDP that are given, if the address is none of UDP.
fn strangers_to_udp(serve: &Serve, Names(dashes): Names, address: &Address) -> Vec<Wrong> {
    if let Address::Udp(_) = address {
        return Vec::new();
    }
    let of_udp = [("group", serve.group.is_some()), ("interface", serve.interface.is_some())];
    let wrong = |(option, _)| Wrong {
        about: vec![option, "listen"],
        message: format!("{dashes}{option} is for udp:HOST:PORT, not for {address}"),
    };
    of_udp.into_iter().filter(|&(_, given)| given).map(wrong).collect()
}

/// The options about internet addresses that are given, if no listener has clients with one.
fn strangers_to_unix(serve: &Serve, Names(dashes): Names, specs: &[Spec]) -> Vec<Wrong> {
    let mut addresses = specs.iter().map(|spec| &spec.address);
    let names_unix = serve.proxy_from.contains(&Balancer::Unix);
    if names_unix && !addresses.clone().any(may_be_unix_stream) {
        let message = format!("{dashes}proxy-from unix is for unix:PATH and unix:@NAME");
        return vec![Wrong { about: vec!["proxy-from", "listen"], message }];
    }
    // The clients behind a balancer have an internet address.
    if specs.is_empty() || names_unix || !addresses.all(has_local_clients) {
        return Vec::new();
    }
    if !serve.proxy_from.is_empty() {
        let message =
            format!("{dashes}proxy-from: a balancer that connects to a Unix socket is `unix`");
        return vec![Wrong { about: vec!["proxy-from", "listen"], message }];
    }
    let why = "is about internet addresses, and clients of a Unix socket have none";
    let wrong = |option| Wrong {
        about: vec![option, "listen"],
        message: format!("{dashes}{option} {why}"),
    };
    serve.of_internet().map(wrong).collect()
}

/// The certificate and its key, which are named together.
fn certificate(serve: &Serve, Names(dashes): Names, wrong: &mut Vec<Wrong>) -> Option<CertFiles> {
    let (alone, other) = match (serve.tls_cert.clone(), serve.tls_key.clone()) {
        (Some(cert), Some(key)) => return Some(CertFiles { cert, key }),
        (Some(_), None) => ("tls-cert", "tls-key"),
        (None, Some(_)) => ("tls-key", "tls-cert"),
        (None, None) => return None,
    };
    let message = format!("{dashes}{alone} needs {dashes}{other} FILE");
    wrong.push(Wrong { about: vec![alone, other], message });
    None
}

/// TLS is for streams, and some listener may have none.
fn strangers_to_tls(Names(dashes): Names, specs: &[Spec]) -> Option<Wrong> {
    let is_stranger = |spec: &&Spec| spec.tls.is_some() && is_of_datagrams(&spec.address);
    let address = &specs.iter().find(is_stranger)?.address;
    let message = format!("{dashes}tls-cert is for streams, and {address} has datagrams");
    Some(Wrong { about: vec!["tls-cert", "listen"], message })
}

/// What `http` serves beside plain files.
fn web(serve: &Serve) -> Web {
    Web { index: serve.index, dotfiles: serve.dotfiles, cache_control: serve.cache_control.clone() }
}

/// The folder and the name in it that is pushed.
fn files(serve: &Serve, Names(dashes): Names) -> Result<Option<Files>, Wrong> {
    let (root, push) = (serve.root.as_deref(), serve.push.as_deref());
    let option = if root.is_some() { "root" } else { "push" };
    match serve.service() {
        Some(Service::Files) if root.is_none() && push.is_none() => {
            let message = format!("files needs {dashes}root DIR, or {dashes}push FILE");
            return Err(Wrong { about: vec!["service", "root", "push"], message });
        }
        Some(service @ (Service::Http | Service::Tftp | Service::Xfer)) if root.is_none() => {
            let message = format!("{} needs {dashes}root DIR", service.name());
            return Err(Wrong { about: vec!["service", "root"], message });
        }
        Some(service @ (Service::Http | Service::Tftp | Service::Xfer)) if push.is_some() => {
            let message = format!("{dashes}push is for files, not for {}", service.name());
            return Err(Wrong { about: vec!["push", "service"], message });
        }
        Some(service) if !service.has_files() && (root.is_some() || push.is_some()) => {
            let message = format!(
                "{dashes}root is for files, http, tftp and xfer, and {dashes}push for files"
            );
            return Err(Wrong { about: vec![option, "service"], message });
        }
        Some(_) | None => {}
    }
    let strange = |&(_, of): &(&str, &[Service])| {
        serve.service().is_some_and(|service| !of.contains(&service))
    };
    if let Some((option, of)) = serve.of_transfers().find(strange) {
        let of: Vec<_> = of.iter().map(|service| service.name()).collect();
        let message = format!("{dashes}{option} is for {}", of.join(" and "));
        return Err(Wrong { about: vec![option, "service"], message });
    }
    let (root, push) = match (root, push) {
        (Some(root), name) => (root, name.map(Path::as_os_str)),
        (None, Some(file)) => {
            let name = file.file_name().ok_or_else(|| {
                let message = format!("{dashes}push is for a file, by its name");
                Wrong { about: vec![option], message }
            })?;
            (folder_of(file), Some(name))
        }
        (None, None) => return Ok(None),
    };
    Ok(Some(Files { root: root.to_owned(), push: push.map(OsStr::to_owned) }))
}

fn limits(serve: &Serve, names: Names, wrong: &mut Vec<Wrong>) -> Limits {
    let Names(dashes) = names;
    let defaults = Policy::default();
    let min = serve
        .min_threads
        .unwrap_or_else(|| defaults.min.min(serve.max_threads.unwrap_or(u32::MAX)));
    let max = serve.max_threads.unwrap_or_else(|| defaults.max.max(min));
    let threads = Policy { min, max, queue: serve.queue.unwrap_or(defaults.queue), ..defaults };
    if min > max {
        let message = format!("{dashes}min-threads {min} is above {dashes}max-threads {max}");
        wrong.push(Wrong { about: vec!["min-threads", "max-threads"], message });
    }
    let limits = Limits::default();
    let or = |given: Option<Micros>, default: Option<u64>| {
        given.map_or(default, |given| Some(given.0)).filter(|&us| us > 0)
    };
    let idle_us = or(serve.idle_timeout, limits.time.idle_us);
    // An idle timeout that is shorter than the default for a request also limits requests.
    let request_us = limits.time.request_us.min(idle_us).or(limits.time.request_us);
    Limits {
        max_connections: serve.max_connections.map_or(usize::MAX, |n| n as usize),
        time: TimeLimits {
            idle_us,
            request_us: or(serve.request_timeout, request_us),
            min_rate: serve.min_rate.map_or(limits.time.min_rate, NonZeroU32::new),
            busy_us: or(serve.busy_timeout, limits.time.busy_us),
        },
        threads,
        pool: pool(serve, names, wrong),
        sandbox: !serve.no_sandbox,
    }
}

fn pool(serve: &Serve, Names(dashes): Names, wrong: &mut Vec<Wrong>) -> Pool {
    let defaults = Pool::default();
    let max_workers = serve.max_workers.unwrap_or_else(|| {
        defaults.max_workers.max(serve.max_spare.unwrap_or(0)).max(serve.min_spare.unwrap_or(0))
    });
    let max_spare = serve
        .max_spare
        .unwrap_or_else(|| defaults.max_spare.max(serve.min_spare.unwrap_or(0)).min(max_workers));
    let min_spare = serve.min_spare.unwrap_or_else(|| defaults.min_spare.min(max_spare));
    if min_spare > max_spare || max_spare > max_workers {
        let message = format!(
            "{dashes}min-spare {min_spare}, {dashes}max-spare {max_spare} and {dashes}max-workers \
             {max_workers} are not in order"
        );
        wrong.push(Wrong { about: vec!["min-spare", "max-spare", "max-workers"], message });
    }
    Pool {
        workers: serve.workers.unwrap_or(defaults.workers),
        min_spare,
        max_spare,
        max_workers,
        requests: serve.requests_per_worker,
        hold_us: serve.hold.unwrap_or(0).saturating_mul(1000),
    }
}
