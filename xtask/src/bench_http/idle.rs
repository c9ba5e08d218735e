//! What connections cost a server in memory that are kept and idle.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::{KIB, NGINX, ROUNDS, Running, Server, Site, family};
use crate::group::private_memory;
use crate::median::median;
use crate::run::Result;

/// The first server is the one that the others are compared with.
const SERVERS: [Server; 3] = [NGINX, ("epoll", &[]), ("reactor", &[])];

const CONNECTIONS: usize = 10_000;

/// Connections that have had an answer before memory is counted: what a server makes at its first ones is not theirs.
const WARM: usize = 100;

/// The descriptors of a program beside those of connections.
const OTHERS: u64 = 100;

pub(super) fn table(windlass: &Path, peers: &Path, site: &Site) -> Result<()> {
    let connections = allowed()?;
    println!("\n| idle connections | server | bytes each | ratio |\n|---|---|---|---|");
    let mut rounds = [const { Vec::new() }; SERVERS.len()];
    for _ in 0..ROUNDS {
        for (server, all) in SERVERS.iter().zip(&mut rounds) {
            let (_running, address, pid) = Running::start(site.command(windlass, peers, *server))?;
            all.push(
                cost(&address, pid, connections).map_err(|error| format!("{address}: {error}"))?,
            );
        }
    }
    let medians = rounds.map(median);
    for ((name, _), bytes) in SERVERS.iter().zip(medians) {
        let ratio = bytes / medians[0];
        println!("| {connections} | {name} | {bytes:.0} | {ratio:.2} |");
    }
    Ok(())
}

/// How many connections this program and a server may have.
fn allowed() -> Result<usize> {
    let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(_, hard)| {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
        Ok(hard)
    });
    let descriptors = raised.map_err(|error| format!("raise the limit of descriptors: {error}"))?;
    let most = usize::try_from(descriptors.saturating_sub(OTHERS)).unwrap_or(CONNECTIONS);
    Ok(CONNECTIONS.min(most))
}

/// The private memory of a server for each of these connections, in bytes.
fn cost(address: &str, pid: i32, connections: usize) -> io::Result<f64> {
    let memory = || family(pid).into_iter().map(private_memory).sum::<u64>();
    let warm: io::Result<Vec<_>> = (0..WARM).map(|_| answered(address)).collect();
    drop(warm?);
    let before = memory();
    let idle: io::Result<Vec<_>> = (0..connections).map(|_| answered(address)).collect();
    let idle = idle?;
    let grown = memory().saturating_sub(before);
    Ok(grown as f64 / idle.len() as f64)
}

/// A connection that has had the file of 1 KiB.
fn answered(address: &str) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(format!("GET {KIB} HTTP/1.1\r\nHost: bench\r\n\r\n").as_bytes())?;
    let (mut answer, mut piece) = (Vec::new(), [0; 4096]);
    // The file has the same letter throughout, and no head ends in it.
    while !answer.ends_with(&[b'x'; 1024]) {
        match stream.read(&mut piece)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => answer.extend_from_slice(&piece[..n]),
        }
    }
    Ok(stream)
}
