//! What is asked of a server, and what that takes.

use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::run::{Result, output, program};

/// What is asked of a server, over which connections, for how many seconds.
#[derive(Clone, Copy)]
pub(super) enum Load {
    /// Requests on connections that are kept, by `wrk`.
    Requests { path: &'static str, connections: &'static str, seconds: &'static str, asks: Asks },
    /// A connection for each request, one after another, by `openssl s_time`: with a full handshake, or with a
    /// ticket.
    Handshakes { resumed: bool, path: &'static str, seconds: &'static str },
}

/// What each request is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Asks {
    /// The whole file.
    Whole,
    /// 1 MiB of it, at one of 10,000 offsets.
    Part,
    /// The file, if it is another version than the one that the client has.
    Known,
    /// A file that is not there.
    Missing,
}

/// What a server did, and in how much CPU time.
#[derive(Clone, Copy)]
pub(super) struct Figures {
    /// Requests per second.
    pub(super) rate: f64,
    /// Megabytes per second, unless the requests are too small for that.
    pub(super) megabytes: Option<f64>,
    /// Requests; of a large file also parts of one, so that one which is not complete counts.
    pub(super) count: f64,
}

impl Load {
    /// Asks the server at `address`, from the second processor. `ca`: the authority to trust, if it speaks TLS.
    pub(super) fn ask(self, address: &str, ca: Option<&Path>, folder: &Path) -> Result<Figures> {
        match self {
            Self::Requests { path, connections, seconds, asks } => {
                let script = match ca {
                    None => asks.script(address, path)?,
                    Some(_) => None,
                };
                let mut wrk = pinned("wrk");
                // A large file takes longer than its two seconds.
                wrk.args(["-t1", "--timeout", "60s", "-c", connections, "-d", seconds]);
                if let Some(script) = script {
                    let file = folder.join("wrk.lua");
                    fs::write(&file, script)
                        .map_err(|error| format!("{}: {error}", file.display()))?;
                    wrk.arg("-s").arg(file);
                }
                let scheme = if ca.is_some() { "https" } else { "http" };
                let said = output(wrk.arg(format!("{scheme}://{address}{path}")))?;
                of_wrk(&said, path, asks)
            }
            Self::Handshakes { resumed, path, seconds } => {
                let mut client = pinned("openssl");
                let kind = if resumed { "-reuse" } else { "-new" };
                client.args(["s_time", "-tls1_3", kind, "-time", seconds, "-www", path]);
                client.args(["-connect", address, "-CAfile"]).args(ca);
                of_s_time(&output(&mut client)?, resumed)
            }
        }
    }
}

impl Asks {
    /// The script with which `wrk` asks so, if it needs one, after one request that shows that the server answers so.
    fn script(self, address: &str, path: &str) -> Result<Option<String>> {
        let head = |fields: &str| {
            head_of(address, path, fields).map_err(|error| format!("ask {address}: {error}"))
        };
        let (status, fields, script) = match self {
            Self::Whole => ("200", String::new(), None),
            Self::Missing => ("404", String::new(), None),
            Self::Part => {
                let script = "request = function()\n\
                     local at = math.random(0, 9999) * 106000\n\
                     return wrk.format('GET', nil, {['Range'] = 'bytes=' .. at .. '-' .. at + 1048575})\n\
                     end\n";
                ("206", "Range: bytes=0-1048575\r\n".to_owned(), Some(script.to_owned()))
            }
            Self::Known => {
                let first = head("")?;
                let tag = first.lines().find_map(|line| line.strip_prefix("ETag: "));
                let tag = tag.ok_or_else(|| format!("{address} sends no tag: {first}"))?;
                let script = format!("wrk.headers['If-None-Match'] = '{tag}'\n");
                ("304", format!("If-None-Match: {tag}\r\n"), Some(script))
            }
        };
        let answer = head(&fields)?;
        if answer.split(' ').nth(1) == Some(status) {
            Ok(script)
        } else {
            Err(format!("{address} does not answer {path} by {status}: {answer}"))
        }
    }
}

/// The head of the answer to one request.
fn head_of(address: &str, path: &str, fields: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n{fields}\r\n");
    stream.write_all(request.as_bytes())?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.extend(byte);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

fn pinned(client: &str) -> Command {
    let mut command = program("taskset");
    command.args(["-c", "1", client]);
    command
}

/// `  123456 requests in 3.00s, 150.1MB read`
fn of_wrk(said: &str, path: &str, asks: Asks) -> Result<Figures> {
    let line = |word: &str| said.lines().find(|line| line.contains(word));
    let refused = line("Non-2xx").filter(|_| asks != Asks::Missing);
    if let Some(bad) = refused.or(line("Socket errors")) {
        println!("{bad}");
    }
    let words: Vec<_> = line("requests in").unwrap_or_default().split_whitespace().collect();
    let [count, _, _, seconds, read, _] = words[..] else { return Err(format!("wrk: {said}")) };
    let unit = match read.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.') {
        "GB" => 1024.0,
        "KB" => 1.0 / 1024.0,
        _ => 1.0,
    };
    let (Some(count), Some(seconds), Some(read)) = (number(count), number(seconds), number(read))
    else {
        return Err(format!("wrk: {said}"));
    };
    let megabytes = read * unit;
    // A request without a script is for the whole file.
    let count = if path == super::GIB { megabytes / 1024.0 } else { count };
    Ok(Figures { rate: count / seconds, megabytes: Some(megabytes / seconds), count })
}

/// `1234 connections in 4 real seconds, 1262 bytes read per connection`, behind a letter for each connection: `r` if
/// it was resumed.
fn of_s_time(said: &str, resumed: bool) -> Result<Figures> {
    let lines = || said.lines();
    let letters = lines().find(|line| line.len() > 20 && !line.contains(' ')).unwrap_or_default();
    if letters.is_empty() || letters.contains('r') != resumed || letters.contains('*') == resumed {
        return Err(format!("not all handshakes are of one kind: {letters}"));
    }
    let line = lines().find(|line| line.contains("real seconds")).unwrap_or_default();
    let words: Vec<_> = line.split_whitespace().collect();
    let [count, _, _, seconds, ..] = words[..] else { return Err(format!("s_time: {said}")) };
    match (number(count), number(seconds)) {
        (Some(count), Some(seconds)) => {
            Ok(Figures { rate: count / seconds, megabytes: None, count })
        }
        _ => Err(format!("s_time: {said}")),
    }
}

/// A number with or without a unit.
fn number(text: &str) -> Option<f64> {
    text.trim_end_matches(|c: char| !c.is_ascii_digit()).parse().ok()
}
