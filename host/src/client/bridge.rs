//! A device on a line, to a server: the link layer on one side, a connection on the other.
//!
//! ```text
//!   device ══ UART, damaged bytes ══╦══ Link ── bytes of the stream ── connection ── server
//!                                   ╚══ packets with reports ── datagrams ── server of reports
//! ```
//!
//! One process serves one line, for as long as the line lasts, one conversation after another: when the device
//! opens a link, the bridge connects to the server. The bridge has no queue. It reads from the server into the
//! packet that is being filled, and takes a payload from the link when the server has taken it, so a slow end
//! makes the other end wait.
//!
//! A report is a packet beside the link, at any time: its payload goes on as a datagram. Like a datagram it may be
//! lost, and nothing answers it.

use std::fmt;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::str::FromStr;

use tracing::{debug, info, warn};
use windlass_core::fault::{Fault, Peer};
use windlass_core::frame::link::{Decoder, Link, PAYLOAD_MAX, PacketStep, REPORT, Timing};
use windlass_core::stream::{Read, Write};

use crate::addr::{Address, AddressError};
use crate::error::{Error, Result};
use crate::printable::printable;
use crate::sys::connect::connect;
use crate::sys::datagram::{self, Datagrams};
use crate::sys::poll::PollSet;
use crate::sys::ready::{Interest, Token};
use crate::sys::stream::Stream;
use crate::sys::{Errno, clock, serial};

/// The line to a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// A serial port, by its path.
    Serial(PathBuf),
    /// A stream socket, as an emulator or a terminal server has for a line.
    Socket(Address),
}

impl FromStr for Line {
    type Err = AddressError;

    fn from_str(text: &str) -> std::result::Result<Self, AddressError> {
        if text.starts_with('/') {
            return Ok(Self::Serial(text.into()));
        }
        text.parse().map(Self::Socket)
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Serial(path) => write!(f, "{}", printable(path)),
            Self::Socket(address) => write!(f, "{address}"),
        }
    }
}

/// The properties of a line.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Bits per second.
    pub baud: u32,
    /// The largest payload of the packets of the device.
    pub payload: usize,
    /// How long the device, and what is between, may take to answer, in microseconds.
    pub answer_us: u32,
}

/// Bridges a line and the server at `server` until the line ends. Connecting takes `timeout_us` at most. Reports go
/// to the datagram socket at `reports`, or nowhere.
///
/// # Errors
/// The line or the socket for reports cannot be opened, or the line fails.
pub fn bridge(
    line: &Line,
    server: &Address,
    reports: Option<&Address>,
    pace: Pace,
    timeout_us: u64,
) -> Result<()> {
    let mut memory = [0; Link::rx_len(PAYLOAD_MAX)];
    let mut reports = match reports {
        Some(to) => Some(Reports::open(to, &mut memory, timeout_us)?),
        None => None,
    };
    let stream = match line {
        Line::Serial(path) => serial::open(path, pace.baud)?,
        Line::Socket(address) => connect(address, clock::now().after(timeout_us))?,
    };
    info!(%line, %server, "the line is open");
    let timing = Timing::of_line(pace.baud, pace.payload, pace.answer_us);
    loop {
        let mut rx = [0; Link::rx_len(PAYLOAD_MAX)];
        let mut tx = [0; Link::tx_len(PAYLOAD_MAX)];
        let listening = Link::listen(&mut rx, &mut tx).with_timing(&timing);
        let to = || connect(server, clock::now().after(timeout_us));
        let ended = converse(&stream, listening, reports.as_mut(), to)
            .map_err(Error::of("use the line", line))?;
        match ended {
            Ok(()) => debug!(%line, "a conversation has ended"),
            Err(Fault::Peer(Peer::Truncated)) => {
                info!(%line, "the line has ended");
                return Ok(());
            }
            Err(fault) => warn!(%line, "a conversation ended early: {fault}"),
        }
    }
}

/// Waits for a device that opens the link, connects, and moves bytes until the link is over. Returns how it
/// ended.
///
/// # Errors
/// The line fails.
fn converse(
    port: &Stream,
    mut link: Link<'_>,
    mut reports: Option<&mut Reports<'_>>,
    to: impl Fn() -> Result<Stream>,
) -> std::result::Result<std::result::Result<(), Fault>, Errno> {
    let mut server = None;
    let mut polled = PollSet::new();
    loop {
        from_line(port, &mut link, reports.as_deref_mut())?;
        let waits = server.as_mut().map(|server: &mut Server| server.turn(&mut link));
        let is_full = to_line(port, &mut link)?;
        if let Some(how) = link.over() {
            return Ok(how);
        }
        // The answer to the opening is written by now: before it, the device would not understand a reset.
        if link.is_open() && !is_full && server.is_none() {
            match to() {
                Ok(stream) => server = Some(Server::new(stream)),
                Err(error) => {
                    warn!("{error}");
                    link.reset();
                }
            }
            continue;
        }
        polled.clear();
        polled.add(port.as_fd(), Interest { read: true, write: is_full }, LINE);
        // A connection that is waited for in no direction would be reported all the time once it is dead.
        if let (Some(server), Some(interest)) = (&server, waits.filter(|it| *it != Interest::NONE))
        {
            polled.add(server.stream.as_fd(), interest, SERVER);
        }
        polled.wait(link.wake().wait_us(clock::now()))?;
    }
}

/// What arrived on the line, and the time, for the link.
fn from_line(
    port: &Stream,
    link: &mut Link<'_>,
    reports: Option<&mut Reports<'_>>,
) -> std::result::Result<(), Errno> {
    let mut bytes = [0; 512];
    match port.recv(&mut bytes)? {
        Read::Moved(count) => {
            let came = &bytes[..count.get()];
            if let Some(reports) = reports {
                reports.pass_on(came);
            }
            link.input(clock::now(), came);
        }
        Read::Interrupted | Read::WouldBlock => link.input(clock::now(), &[]),
        Read::Eof => link.eof(),
    }
    Ok(())
}

/// Writes what the link has for the line. Returns whether the line is full.
fn to_line(port: &Stream, link: &mut Link<'_>) -> std::result::Result<bool, Errno> {
    loop {
        let bytes = link.output(clock::now());
        if bytes.is_empty() {
            return Ok(false);
        }
        match port.send([bytes, &[]])? {
            Write::Moved(count) => link.wrote(count.get()),
            Write::Interrupted => {}
            Write::WouldBlock => return Ok(true),
            Write::Nothing => {
                link.eof();
                return Ok(false);
            }
        }
    }
}

/// The reports among the packets of a line.
struct Reports<'m> {
    decoder: Decoder<'m>,
    socket: Datagrams,
    to: Address,
}

impl<'m> Reports<'m> {
    fn open(to: &Address, memory: &'m mut [u8], timeout_us: u64) -> Result<Self> {
        let socket = datagram::connect_to_send(to, clock::now().after(timeout_us))?;
        Ok(Self { decoder: Decoder::new(memory), socket, to: to.clone() })
    }

    /// Sends the report of each packet that ends in these bytes. One that cannot be sent is lost.
    fn pass_on(&mut self, mut bytes: &[u8]) {
        loop {
            match self.decoder.feed(bytes) {
                PacketStep::Packet { packet, rest } => {
                    if packet.kind == REPORT
                        && let Err(errno) = self.socket.send(packet.payload)
                    {
                        warn!("cannot send a report to {}: {}", self.to, errno.desc());
                    }
                    bytes = rest;
                }
                PacketStep::Bad { rest, .. } => bytes = rest,
                PacketStep::More => return,
            }
        }
    }
}

/// The connection to the server.
struct Server {
    stream: Stream,
    /// The server sends no more.
    has_ended: bool,
    /// The server was told that the device sends no more.
    is_told: bool,
}

impl Server {
    fn new(stream: Stream) -> Self {
        Self { stream, has_ended: false, is_told: false }
    }

    /// Moves bytes in both directions. Returns what it waits for; a connection that is lost resets the link.
    fn turn(&mut self, link: &mut Link<'_>) -> Interest {
        let moved = self.send(link).and_then(|write| Ok((self.receive(link)?, write)));
        match moved {
            Ok((read, write)) => Interest { read, write },
            Err(errno) => {
                warn!("the connection to the server was lost: {}", errno.desc());
                link.reset();
                Interest::NONE
            }
        }
    }

    /// Returns whether the connection is full.
    fn send(&mut self, link: &mut Link<'_>) -> std::result::Result<bool, Errno> {
        while !link.received().is_empty() {
            match self.stream.send([link.received(), &[]])? {
                Write::Moved(count) => link.taken(count.get()),
                Write::Interrupted => {}
                Write::WouldBlock => return Ok(true),
                Write::Nothing => return Err(Errno::EPIPE),
            }
        }
        if link.is_ended() && !self.is_told {
            self.is_told = true;
            self.stream.shutdown_write();
        }
        Ok(false)
    }

    /// Returns whether the link has room for more than has arrived.
    fn receive(&mut self, link: &mut Link<'_>) -> std::result::Result<bool, Errno> {
        while !self.has_ended && !link.room().is_empty() {
            match self.stream.recv(link.room())? {
                Read::Moved(count) => link.sent(count.get()),
                Read::Interrupted => {}
                Read::WouldBlock => return Ok(true),
                Read::Eof => {
                    self.has_ended = true;
                    link.close();
                }
            }
        }
        Ok(false)
    }
}

const LINE: Token = Token { index: 0, generation: 0 };
const SERVER: Token = Token { index: 1, generation: 0 };
