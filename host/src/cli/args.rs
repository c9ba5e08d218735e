//! The commands and options, and their help. No code here acts on them.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand};
use serde::Deserialize;

use super::bench::Bench;
use super::bridge::Bridge;
use super::datagram::{Cast, Score};
use super::get::{Get, TrustOptions};
use super::keys::{
    addresses, balancers, block_size, bytes_per_second, choice, field, group, log_target, mode,
    networks, places, port_range, positive, seconds_of_a_request, socket, within_workers,
};
use super::put::Put;
use super::top::Top;
use super::values::{
    Micros, Partner, PortRange, field_value, file_mode, interval, log_to, request_timeout,
    socket_path, workers,
};
use crate::addr::Address;
use crate::log::Format;
use crate::network::{Balancer, Network};
use crate::server::{Admission, LineFormat, LogTo, Model, Service};
use crate::sys::user::group_id;

/// Windlass: serves and moves lines, files and the time, under eleven Linux server models.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, arg_required_else_help = true)]
pub(super) struct Args {
    /// Log more: -v each connection, -vv everything
    // Below the options of each command: the number is greater than that of any of its own.
    #[arg(short, long, global = true, action = clap::ArgAction::Count, display_order = 900)]
    pub(super) verbose: u8,
    /// Write log lines as text, or each as a JSON object
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text", display_order = 901)]
    pub(super) log_format: Format,
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Start a server: every service on loopback, or one service on the given addresses
    Serve(Box<ServeAll>),
    /// Print the time of a `time` server, in seconds since 1970
    Time {
        /// The server: tcp:HOST:PORT, unix:PATH, unix:@NAME, udp:HOST:PORT or unix-dgram:PATH
        address: Address,
        /// Fail if the answer has not arrived after this time
        #[arg(long, value_name = "SECS", default_value = "10")]
        timeout: Micros,
    },
    /// Send standard input to a server, and print its replies
    ///
    /// The end of standard input half-closes the connection. Replies are printed until the server
    /// closes it. To udp:HOST:PORT and unix-dgram:PATH each line is a datagram, and `talk` ends when each has
    /// been answered.
    Talk {
        /// The server: tcp:HOST:PORT, tls:HOST:PORT, unix:PATH, unix:@NAME, udp:HOST:PORT or unix-dgram:PATH
        address: Partner,
        #[command(flatten)]
        trust: TrustOptions,
        /// Fail if the connection is not established, or the last datagrams are not answered, after
        /// this time
        #[arg(long, value_name = "SECS", default_value = "10")]
        timeout: Micros,
    },
    /// Connect a device on an unreliable line to a server
    ///
    /// On the line it speaks the link layer, which finds damaged packets by a CRC-32 and sends them again. Each time
    /// that the device opens a link, `bridge` connects to the server. It ends when the line ends.
    Bridge(Bridge),
    /// Download a file (`files`, `tftp`, `xfer`), or a document by HTTP, following redirects
    Get(Get),
    /// Send a file to a TFTP server
    Put(Put),
    /// Print the state of a running listener: scoreboard, counters, workers
    ///
    /// The first line has one character for each worker slot, which is a process or thread that serves: `.` can take
    /// a client, `X` has one, blank is neither.
    Status {
        /// The server's control socket (serve --control)
        #[arg(value_parser = socket_path())]
        path: PathBuf,
        /// Print the document as the server sends it: one line of JSON
        #[arg(long)]
        json: bool,
        /// Fail if the server has not answered after this time
        #[arg(long, value_name = "SECS", default_value = "10")]
        timeout: Micros,
    },
    /// Show the state of a running listener live; keys: q quit, p pause, s sort, arrows scroll
    Top {
        /// The server's control socket (serve --control)
        #[arg(value_parser = socket_path())]
        path: PathBuf,
        /// Time between two requests of the state
        #[arg(long, value_name = "SECS", default_value = "1", value_parser = interval)]
        interval: Micros,
    },
    /// Read or write a FIFO on the event loop
    Fifo {
        /// The end to open
        #[command(subcommand)]
        end: FifoEnd,
    },
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page, or write the pages of all commands into a folder
    Man {
        /// An existing folder. Without it windlass(1) is printed on standard output
        #[arg(value_name = "DIR")]
        folder: Option<PathBuf>,
    },
    /// Send a score in a datagram, or print the scores that arrive
    Score {
        /// Send or listen
        #[command(subcommand)]
        what: Score,
    },
    /// Send lines of text to a multicast group, or print those that arrive
    Cast {
        /// Send or listen
        #[command(subcommand)]
        what: Cast,
    },
    /// Compare the cost of models, and of other servers
    ///
    /// The server runs on the first processor and the load on the second.
    Bench(Bench),
}

#[derive(Debug, Subcommand)]
pub(super) enum FifoEnd {
    /// Print the bytes of all writers, until SIGINT or SIGTERM
    Read {
        /// The FIFO. If it does not exist, it is made, and removed at the end
        path: PathBuf,
        /// End when the last writer closes the FIFO
        #[arg(long)]
        once: bool,
    },
    /// Write standard input to the FIFO; wait until a reader opens it
    Write {
        /// The FIFO. If it does not exist, it is made
        path: PathBuf,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct ServeAll {
    /// Serve the listeners of this TOML file; SIGHUP reads it again
    #[arg(long, value_name = "FILE", conflicts_with = "Serve")]
    pub(super) config: Option<PathBuf>,
    /// Print what would be served, or every mistake, and exit
    #[arg(long)]
    pub(super) check: bool,
    #[command(flatten)]
    pub(super) top: Top,
    #[command(flatten)]
    pub(super) serve: Serve,
}

/// A listener's service, model and limits: options of the command line, and keys with the same names in
/// a `[[listener]]` of the configuration.
#[derive(Debug, Default, clap::Args, Deserialize)]
#[command(group = clap::ArgGroup::new("what").args(["service", "push"]).multiple(true))]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Serve {
    /// The service. Without it: every service of the built-in configuration
    #[serde(deserialize_with = "choice")]
    pub(super) service: Option<Service>,
    /// An address to listen on: tcp:HOST:PORT, unix:PATH, unix:@NAME, udp:HOST:PORT, unix-dgram:PATH or
    /// fd:N; may be repeated
    #[arg(long, value_name = "ADDR", requires = "what")]
    #[serde(deserialize_with = "addresses")]
    pub(super) listen: Vec<Address>,
    /// How the server waits for and serves many clients
    #[arg(long, requires = "what")]
    #[serde(deserialize_with = "choice")]
    pub(super) model: Option<Model>,
    /// Use the socket that the service manager passes under this name (`FileDescriptorName=`)
    #[arg(long, value_name = "NAME", requires = "listen")]
    pub(super) name: Option<String>,
    /// unix:PATH, unix-dgram:PATH: the permissions of the socket file, such as 0660; a client needs permission to write
    #[arg(long, value_name = "OCTAL", requires = "listen", value_parser = file_mode)]
    #[serde(deserialize_with = "mode")]
    pub(super) mode: Option<u32>,
    /// unix:PATH, unix-dgram:PATH: the group of the socket file
    #[arg(long, value_name = "NAME", requires = "listen", value_parser = group_id)]
    #[serde(deserialize_with = "group")]
    pub(super) socket_group: Option<u32>,
    /// udp:HOST:PORT: receive the datagrams of this multicast group; HOST may be a group itself
    #[arg(long, value_name = "ADDR", requires = "listen")]
    pub(super) group: Option<IpAddr>,
    /// udp:HOST:PORT: join the group on this network interface; without a group, receive only what arrives at it
    #[arg(long, value_name = "NAME", requires = "listen")]
    pub(super) interface: Option<String>,
    /// Connections served at a time; further clients wait [default: no limit]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    #[serde(deserialize_with = "positive")]
    pub(super) max_connections: Option<u32>,
    /// Serve clients of these networks alone; may be repeated [default: all]
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    #[serde(deserialize_with = "networks")]
    pub(super) allow: Vec<Network>,
    /// Do not serve clients of these networks, also if --allow has them: --deny comes first
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    #[serde(deserialize_with = "networks")]
    pub(super) deny: Vec<Network>,
    /// The addresses of balancers: each connection from one of them, and no other one, has to begin with a PROXY
    /// protocol header; `unix`: each connection to a Unix socket
    #[arg(long, value_name = "CIDR|unix", value_delimiter = ',')]
    #[serde(deserialize_with = "balancers")]
    pub(super) proxy_from: Vec<Balancer>,
    /// Connections or transfers of one client (an IPv4 address, an IPv6 network of 64 bits) at a time, in all
    /// processes together; a further one is refused [default: no limit]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(Admission::PER_CLIENT_MAX)))]
    #[serde(deserialize_with = "places")]
    pub(super) max_per_client: Option<u32>,
    /// Bytes per second of a connection or transfer at most [default: no limit]
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(i64::from(Admission::RATE_MIN)..))]
    #[serde(deserialize_with = "bytes_per_second")]
    pub(super) rate: Option<u32>,
    /// Bytes per second of all connections, transfers and datagrams of one client at most, in the direction that
    /// has more [default: no limit]
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(i64::from(Admission::RATE_MIN)..))]
    #[serde(deserialize_with = "bytes_per_second")]
    pub(super) client_rate: Option<u32>,
    /// Write a line for each connection, request or transfer to the end of this file, or to `stderr` or the
    /// `journal`; SIGUSR1 opens the file again
    #[arg(long, value_name = "PATH|stderr|journal", value_parser = log_to)]
    #[serde(deserialize_with = "log_target")]
    pub(super) access_log: Option<LogTo>,
    /// How a line of the access log is written [default: text]
    #[arg(long, value_name = "FORMAT", requires = "access_log")]
    #[serde(deserialize_with = "choice")]
    pub(super) access_log_format: Option<LineFormat>,
    /// Close a connection on which no byte moves for this time; 0: no limit [default: 60]
    #[arg(long, value_name = "SECS")]
    pub(super) idle_timeout: Option<Micros>,
    /// files, http: close a connection when its whole request takes longer than this, and every
    /// service: when its TLS handshake does; 0: no limit
    /// [default: 30, or the idle timeout if that is shorter]
    #[arg(long, value_name = "SECS", value_parser = request_timeout)]
    #[serde(deserialize_with = "seconds_of_a_request")]
    pub(super) request_timeout: Option<Micros>,
    /// Bytes per second that a client has to take of its pending output; a client that is behind by
    /// the idle timeout is disconnected; 0: no limit [default: 100]
    #[arg(long, value_name = "BYTES")]
    pub(super) min_rate: Option<u32>,
    /// thread-pool, pool-static, prefork: time for a request, and for a slow reader, while clients wait
    /// and every worker has a client; 0: as at other times [default: 1]
    #[arg(long, value_name = "SECS")]
    pub(super) busy_timeout: Option<Micros>,
    /// Connections that may wait in the accept queue [default: 1024]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    #[serde(deserialize_with = "positive")]
    pub(super) backlog: Option<u32>,
    /// thread-pool: threads kept even when idle [default: 3]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    #[serde(deserialize_with = "positive")]
    pub(super) min_threads: Option<u32>,
    /// thread-pool: threads at most [default: 100]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    #[serde(deserialize_with = "positive")]
    pub(super) max_threads: Option<u32>,
    /// thread-pool: connections that may wait for a thread [default: 100]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    #[serde(deserialize_with = "positive")]
    pub(super) queue: Option<u32>,
    /// files, http, tftp, xfer: serve the regular files below this folder
    #[arg(long, value_name = "DIR")]
    pub(super) root: Option<PathBuf>,
    /// files (the default service with this option): send this file to every client without a request
    #[arg(long, value_name = "FILE")]
    pub(super) push: Option<PathBuf>,
    /// http: show the names of a folder that has no index.html
    #[arg(long)]
    pub(super) index: bool,
    /// http: serve names that begin with a dot; .well-known is served in any case
    #[arg(long)]
    pub(super) dotfiles: bool,
    /// http: the field Cache-Control of each file, such as no-cache or max-age=3600
    #[arg(long, value_name = "VALUE", value_parser = field_value)]
    #[serde(deserialize_with = "field")]
    pub(super) cache_control: Option<String>,
    /// Speak TLS with the certificate in this file, in PEM, followed by those that lead to a root; SIGHUP reads it again
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(super) tls_cert: Option<PathBuf>,
    /// The private key of --tls-cert, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(super) tls_key: Option<PathBuf>,
    /// tftp: take files too; each gets its name only when it is complete
    #[arg(long)]
    pub(super) allow_write: bool,
    /// tftp: files that clients send may replace files that exist
    #[arg(long, requires = "allow_write")]
    pub(super) overwrite: bool,
    /// tftp: the largest block, in bytes, for links that do not carry larger datagrams [default: 65464]
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u16).range(8..=65464))]
    #[serde(deserialize_with = "block_size")]
    pub(super) max_blksize: Option<u16>,
    /// tftp, xfer: the ports of transfers, for a firewall [default: any]
    #[arg(long, value_name = "FIRST-LAST")]
    #[serde(deserialize_with = "port_range")]
    pub(super) port_range: Option<PortRange>,
    /// tftp, xfer: serve all transfers at the port of the listener, for clients behind NAT and for
    /// load balancers
    #[arg(long, conflicts_with = "port_range")]
    pub(super) single_port: bool,
    /// pool-static: workers [default: 5]
    #[arg(long, value_name = "N", value_parser = workers())]
    #[serde(deserialize_with = "within_workers")]
    pub(super) workers: Option<u16>,
    /// prefork: idle workers at least [default: 5]
    #[arg(long, value_name = "N", value_parser = workers())]
    #[serde(deserialize_with = "within_workers")]
    pub(super) min_spare: Option<u16>,
    /// prefork: idle workers at most [default: 10]
    #[arg(long, value_name = "N", value_parser = workers())]
    #[serde(deserialize_with = "within_workers")]
    pub(super) max_spare: Option<u16>,
    /// prefork: workers at most [default: 20]
    #[arg(long, value_name = "N", value_parser = workers())]
    #[serde(deserialize_with = "within_workers")]
    pub(super) max_workers: Option<u16>,
    /// pool-static, prefork: replace a worker after this many connections, transfers or datagrams [default: never]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    #[serde(deserialize_with = "positive")]
    pub(super) requests_per_worker: Option<u64>,
    /// pool-static, prefork: a worker stays busy for this time after each connection, or batch of datagrams [default: 0]
    #[arg(long, value_name = "MS")]
    pub(super) hold: Option<u64>,
    /// Answer `windlass status` and `windlass top` on this socket file
    #[arg(long, value_name = "PATH", value_parser = socket_path(), requires = "what")]
    #[serde(deserialize_with = "socket")]
    pub(super) control: Option<PathBuf>,
    /// Change to this user once all sockets and folders are open; needs root
    #[arg(long, value_name = "NAME[:GROUP]", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(super) user: Option<String>,
    /// pool-static, prefork, fork: run workers without confinement, for debugging
    #[arg(long)]
    pub(super) no_sandbox: bool,
}

impl Serve {
    /// What is served, if it is one service: `--push` says that it is `files`.
    pub(super) fn service(&self) -> Option<Service> {
        self.service.or(self.push.as_ref().map(|_| Service::Files))
    }

    /// The options that are given and mean nothing to datagrams, or to transfers.
    pub(super) fn of_connections(&self, of_transfers: bool) -> impl Iterator<Item = &'static str> {
        let options = [
            ("max-connections", !of_transfers && self.max_connections.is_some()),
            ("max-per-client", !of_transfers && self.max_per_client.is_some()),
            ("rate", !of_transfers && self.rate.is_some()),
            ("idle-timeout", !of_transfers && self.idle_timeout.is_some()),
            ("request-timeout", self.request_timeout.is_some()),
            ("min-rate", self.min_rate.is_some()),
            ("proxy-from", !self.proxy_from.is_empty()),
            ("busy-timeout", self.busy_timeout.is_some()),
            ("backlog", self.backlog.is_some()),
            ("max-threads", !of_transfers && self.max_threads.is_some()),
            ("queue", !of_transfers && self.queue.is_some()),
        ];
        options.into_iter().filter(|&(_, given)| given).map(|(option, _)| option)
    }

    /// The options that are given and are about clients with an internet address.
    pub(super) fn of_internet(&self) -> impl Iterator<Item = &'static str> {
        let options = [
            ("allow", !self.allow.is_empty()),
            ("deny", !self.deny.is_empty()),
            ("max-per-client", self.max_per_client.is_some()),
            ("client-rate", self.client_rate.is_some()),
        ];
        options.into_iter().filter(|&(_, given)| given).map(|(option, _)| option)
    }

    /// The options of transfers that are given, each with the services that it is for.
    pub(super) fn of_transfers(&self) -> impl Iterator<Item = (&'static str, &'static [Service])> {
        let (one, both) = (&[Service::Tftp][..], &[Service::Tftp, Service::Xfer][..]);
        let options = [
            ("allow-write", self.allow_write, one),
            ("overwrite", self.overwrite, one),
            ("max-blksize", self.max_blksize.is_some(), one),
            ("port-range", self.port_range.is_some(), both),
            ("single-port", self.single_port, both),
        ];
        options.into_iter().filter(|&(_, given, _)| given).map(|(option, _, of)| (option, of))
    }

    /// The options that are given and are not for `model`, each with the models that it is for.
    pub(super) fn strangers(
        &self,
        model: Model,
    ) -> impl Iterator<Item = (&'static str, &'static str)> {
        let (threads, fixed, spare, pools, workers, queues) = (
            "thread-pool",
            "pool-static",
            "prefork",
            "pool-static or prefork",
            "pool-static or prefork or fork",
            "thread-pool or pool-static or prefork",
        );
        let options = [
            ("min-threads", self.min_threads.is_some(), threads),
            ("max-threads", self.max_threads.is_some(), threads),
            ("queue", self.queue.is_some(), threads),
            ("workers", self.workers.is_some(), fixed),
            ("min-spare", self.min_spare.is_some(), spare),
            ("max-spare", self.max_spare.is_some(), spare),
            ("max-workers", self.max_workers.is_some(), spare),
            ("requests-per-worker", self.requests_per_worker.is_some(), pools),
            ("hold", self.hold.is_some(), pools),
            ("no-sandbox", self.no_sandbox, workers),
            ("busy-timeout", self.busy_timeout.is_some(), queues),
        ];
        let for_it = move |models: &str| models.split(" or ").any(|name| name == model.name());
        options
            .into_iter()
            .filter(move |&(_, given, models)| given && !for_it(models))
            .map(|(option, _, models)| (option, models))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }
}
