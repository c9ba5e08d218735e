//! Values of options and keys with rules of their own.

use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::str::FromStr;

use clap::builder::TypedValueParser;

use crate::addr::{Address, AddressError, HostPort};
use crate::printable::{is_printable, printable};
use crate::server::{LogTo, REQUEST_MAX_US, WORKERS_MAX};

/// Seconds, whole or with a fraction, as microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Micros(pub(super) u64);

impl TryFrom<f64> for Micros {
    type Error = &'static str;

    fn try_from(seconds: f64) -> Result<Self, Self::Error> {
        if (0.0..=1e9).contains(&seconds) {
            // At most 10^15, which is exactly representable. Rounded up, so that a short time does
            // not become 0.
            Ok(Self((seconds * 1e6).ceil() as u64))
        } else {
            Err("a number of seconds is between 0 and 1000000000")
        }
    }
}

impl FromStr for Micros {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let seconds: f64 = text.parse().map_err(|_| "not a number of seconds")?;
        seconds.try_into()
    }
}

/// Ports: the first and the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PortRange(pub(super) u16, pub(super) u16);

impl FromStr for PortRange {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let ports = text.split_once('-').and_then(|(first, last)| {
            Some((first.parse().ok().filter(|&port| port > 0)?, last.parse().ok()?))
        });
        match ports {
            Some((first, last)) if first <= last => Ok(Self(first, last)),
            Some(_) => Err("the first port is above the last one"),
            None => Err("ports are written as FIRST-LAST, from 1 to 65535"),
        }
    }
}

/// The path of a socket file: the kernel has room for 107 bytes.
pub(super) fn socket_path() -> impl TypedValueParser<Value = PathBuf> {
    clap::builder::PathBufValueParser::new().try_map(socket_file)
}

pub(super) fn socket_file(path: PathBuf) -> Result<PathBuf, &'static str> {
    let bytes = path.as_os_str().as_bytes();
    match bytes.len() {
        1..=107 if path.to_str().is_some_and(is_printable) => Ok(path),
        _ => Err("a socket path has 1 to 107 bytes of printable characters"),
    }
}

pub(super) fn some_time(text: &str) -> Result<Micros, &'static str> {
    match text.parse()? {
        Micros(0) => Err("a transfer takes more than 0 seconds"),
        given => Ok(given),
    }
}

pub(super) fn request_timeout(text: &str) -> Result<Micros, &'static str> {
    request_limit(text.parse()?)
}

/// A limit of a request fits into the 32 bits that a connection has for it.
pub(super) fn request_limit(given: Micros) -> Result<Micros, &'static str> {
    match given {
        Micros(..=REQUEST_MAX_US) => Ok(given),
        Micros(_) => Err("the time of a request is 0 to 1800 seconds"),
    }
}

/// Permissions as chmod(1) takes them in octal.
pub(super) fn file_mode(text: &str) -> Result<u32, &'static str> {
    let is_octal =
        (1..=4).contains(&text.len()) && text.bytes().all(|digit| digit.is_ascii_digit());
    match u32::from_str_radix(text, 8) {
        Ok(mode @ 0..=0o777) if is_octal => Ok(mode),
        Ok(_) | Err(_) => Err("permissions are octal digits, at most 0777"),
    }
}

/// Where an access log goes: a file called `stderr` is `./stderr`.
pub(super) fn log_to(text: &str) -> Result<LogTo, &'static str> {
    match text {
        "" => Err("an access log goes to a file, to stderr or to the journal"),
        "stderr" => Ok(LogTo::Stderr),
        "journal" => Ok(LogTo::Journal),
        path => Ok(LogTo::File(path.into())),
    }
}

pub(super) fn interval(text: &str) -> Result<Micros, &'static str> {
    match text.parse()? {
        given @ Micros(100_000..=3_600_000_000) => Ok(given),
        Micros(_) => Err("an interval is 0.1 to 3600 seconds"),
    }
}

pub(super) fn workers() -> clap::builder::RangedI64ValueParser<u16> {
    clap::value_parser!(u16).range(1..=i64::from(WORKERS_MAX))
}

/// The value of a field of HTTP: one line of visible characters and spaces.
pub(super) fn field_value(text: &str) -> Result<String, &'static str> {
    let is_line = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    if text.trim().is_empty() || !is_line {
        return Err("a value is one line of printable ASCII characters");
    }
    Ok(text.trim().to_owned())
}

/// The server that `talk` connects to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Partner {
    Plain(Address),
    /// It speaks TLS.
    Secured(HostPort),
}

impl FromStr for Partner {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        match text.strip_prefix("tls:") {
            Some(server) => server.parse().map(Self::Secured),
            None => text.parse().map(Self::Plain),
        }
    }
}

/// An address at which the supervisor tells how the server is.
pub(super) fn probe_address(text: &str) -> Result<Address, String> {
    let wrong = |error| format!("\"{}\": {error}", printable(text));
    let address: Address = text.parse().map_err(wrong)?;
    match address {
        Address::Tcp(_) | Address::Unix(_) => Ok(address),
        _ => Err(format!("{address}: it is asked by connections, at tcp:HOST:PORT or unix:PATH")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_may_have_a_fraction() {
        for (text, micros) in [("0", 0), ("5", 5_000_000), ("0.25", 250_000), (".5", 500_000)] {
            assert_eq!(text.parse(), Ok(Micros(micros)), "{text}");
        }
        for text in ["", "x", "-1", "inf", "nan", "1e10"] {
            assert!(text.parse::<Micros>().is_err(), "{text}");
        }
    }
}
