//! `windlass bridge`: its options.

use super::values::Micros;
use crate::addr::Address;
use crate::client::bridge::{self, Line, Pace};
use crate::error::Result;

#[derive(Debug, clap::Args)]
pub(super) struct Bridge {
    /// The line: a serial port by its path, such as /dev/ttyUSB0; or tcp:HOST:PORT, unix:PATH, unix:@NAME
    line: Line,
    /// The server: tcp:HOST:PORT, unix:PATH or unix:@NAME
    server: Address,
    /// Send each report of the device, a packet beside the link, as a datagram to this address: udp:HOST:PORT or
    /// unix-dgram:PATH
    #[arg(long, value_name = "ADDRESS")]
    reports: Option<Address>,
    /// Bits per second of the line
    #[arg(long, value_name = "N", default_value = "115200", value_parser = clap::value_parser!(u32).range(50..=50_000_000))]
    baud: u32,
    /// The largest payload of the device's packets, in bytes
    #[arg(long, value_name = "BYTES", default_value = "248", value_parser = clap::value_parser!(u8).range(8..=248))]
    payload: u8,
    /// How long the device and the adapters of the line take to answer: a packet is sent again after this time
    /// and that of its bytes
    #[arg(long, value_name = "SECS", default_value = "0.02")]
    latency: Micros,
    /// Fail if a connection is not established after this time
    #[arg(long, value_name = "SECS", default_value = "10")]
    timeout: Micros,
}

pub(super) fn bridge(args: &Bridge) -> Result<()> {
    let pace = Pace {
        baud: args.baud,
        payload: args.payload.into(),
        // Longer than the link waits for an answer.
        answer_us: u32::try_from(args.latency.0).unwrap_or(u32::MAX),
    };
    bridge::bridge(&args.line, &args.server, args.reports.as_ref(), pace, args.timeout.0)
}
