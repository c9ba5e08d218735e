//! A byte stream over a line that loses, doubles and changes bytes: a UART, RS-485, a radio modem.
//!
//! ```text
//!      bytes of the stream                                    bytes on the line
//!   send, close ─────────────▶ ┌──────────────────────────┐ ──────────────▶ UART TX
//!                              │ Link: packets, sequence  │
//!   received, taken, ended ◀── │ numbers, retransmission  │ ◀────────────── UART RX
//!                              └──────────────────────────┘
//! ```
//!
//! Below, packets: [`seal`] makes one for the line and [`Decoder`] finds them in the received
//! bytes. A packet is COBS-coded between zero bytes and has a CRC-32, so a damaged packet is
//! detected, and the next zero ends it. That is enough for reports that may be lost: [`report`] makes one,
//! and an end of a [`Link`] on the same line ignores it.
//!
//! Above, [`Link`]: one end of a reliable stream in both directions, with one packet in flight in each
//! (stop-and-wait). A session runs over it as over a socket. Every byte arrives once and in order, or the
//! end of the link is a named [`Fault`](crate::fault::Fault).
//!
//! # A driver
//!
//! The shell owns the UART and moves bytes. `Link` has no queue: write the bytes that
//! [`output`](Link::output) lends, in order, and pass all received bytes to [`input`](Link::input).
//!
//! ```
//! use windlass_core::fault::Fault;
//! use windlass_core::frame::link::Link;
//! use windlass_core::time::{Instant, Wake};
//!
//! # struct Uart(Vec<u8>);
//! # impl Uart {
//! #     fn write(&mut self, bytes: &[u8]) -> usize { self.0.extend_from_slice(bytes); bytes.len() }
//! #     fn read_until(&mut self, _: Wake, _: &mut [u8]) -> usize { 0 }
//! # }
//! fn turn(
//!     link: &mut Link<'_>,
//!     uart: &mut Uart,
//!     clock: impl Fn() -> Instant,
//! ) -> Option<Result<(), Fault>> {
//!     let mut bytes = [0; 64];
//!     loop {
//!         let to_write = link.output(clock());
//!         if to_write.is_empty() {
//!             break;
//!         }
//!         let n = uart.write(to_write);
//!         link.wrote(n);
//!     }
//!     let n = uart.read_until(link.wake(), &mut bytes); // or until the stream has news
//!     link.input(clock(), &bytes[..n]);
//!     link.over() // if not, it is the stream's turn: received, send, close
//! }
//! # let (mut rx, mut tx) = ([0; 96], [0; 96]);
//! # let mut link = Link::connect(&mut rx, &mut tx, 7);
//! # let mut uart = Uart(Vec::new());
//! # assert_eq!(turn(&mut link, &mut uart, || Instant::ZERO), None);
//! # assert_eq!(turn(&mut link, &mut uart, || Instant::ZERO), None);
//! # assert_eq!(uart.0[0], 0);
//! ```
//!
//! Under Embassy the same loop awaits: `uart.write(..).await` in the place of `write`, and
//! `select(uart.read(..), Timer::at(..))` in that of `read_until`. A read that a timer cancels loses
//! nothing on a buffered or a DMA ring-buffer UART; what is lost on another is sent again. A write is not
//! to be cancelled: await it.
//!
//! # Half duplex
//!
//! On a two-wire bus only one end may send at a time, and most transceivers hear themselves. An end
//! ignores its own packets: every packet says which end sent it. The ends never answer in step: the end
//! that answered the opening waits half as long again before it retransmits, so that two packets that
//! collided do not collide again. While a stream flows in one direction, as a file does, one end sends
//! a packet and the other its acknowledgement, and the line never has two senders.

mod decode;
mod end;
mod line;
mod packet;

pub use decode::{Decoder, PacketStep};
pub use end::{Link, Timing};
pub use packet::{Bad, OVERHEAD, PAYLOAD_MAX, Packet, REPORT, report, seal};

#[cfg(test)]
pub(crate) mod sim;
#[cfg(test)]
mod tests;
