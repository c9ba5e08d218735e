//! A driver over `embedded-io`.

use embedded_io::{Read, ReadReady, Write};

use super::{Engine, Error};
use crate::fault::Peer;
use crate::file::Storage;
use crate::pump::Need;
use crate::session::Session;
use crate::time::{Instant, Wake};

/// The clock of a program without an executor.
pub trait Clock {
    /// The time.
    fn now(&mut self) -> Instant;

    /// Waits until this time, or until input may have arrived, whichever is first: WFI, or a loop. It
    /// may return early.
    fn wait(&mut self, until: Wake);
}

/// Runs `session` to its end. Files are in `storage`; `()` has none.
///
/// A port at its end reads 0 bytes. While the port takes nothing, `write` blocks and `tick`
/// is not called.
///
/// # Errors
/// The session's fault, or the port's error.
pub fn run<S, P>(
    engine: &mut impl Engine,
    session: &mut S,
    storage: &mut impl Storage,
    port: &mut P,
    clock: &mut impl Clock,
) -> Result<(), Error<P::Error>>
where
    S: Session + ?Sized,
    P: Read + ReadReady + Write,
{
    loop {
        let now = clock.now();
        let moved = match engine.next(session, now) {
            Need::Send { bytes, .. } => match port.write(bytes) {
                // A port that takes nothing and reports no error is gone.
                Ok(0) => {
                    session.abort(Peer::Reset.into());
                    return Err(Error::Session(Peer::Reset.into()));
                }
                wrote => wrote.map(|n| engine.sent(n)),
            },
            Need::Recv { buf, until, .. } => match port.read_ready() {
                Ok(false) => {
                    clock.wait(until);
                    Ok(())
                }
                Ok(true) => port.read(buf).map(|n| match n {
                    0 => engine.eof(),
                    n => engine.received(n),
                }),
                Err(error) => Err(error),
            },
            Need::File { op, memory } => {
                let answer = storage.perform(now, op, memory);
                engine.answer(session, now, answer);
                Ok(())
            }
            Need::Shutdown => port.flush(),
            Need::Wait(until) => {
                clock.wait(until);
                Ok(())
            }
            Need::Over(how) => match port.flush() {
                Ok(()) => return how.map_err(Error::Session),
                Err(error) => Err(error),
            },
        };
        if let Err(error) = moved {
            session.abort(Peer::Reset.into());
            return Err(Error::Port(error));
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::pump::Pump;
    use crate::session::{TimeClient, Upper};
    use crate::wire::Stamp;
    use std::vec::Vec;

    /// A port that has input on every second call, and takes three bytes at a time.
    struct Port {
        input: &'static [u8],
        ready: bool,
        output: Vec<u8>,
        broken: bool,
    }

    impl embedded_io::ErrorType for Port {
        type Error = embedded_io::ErrorKind;
    }

    impl ReadReady for Port {
        fn read_ready(&mut self) -> Result<bool, Self::Error> {
            self.ready = !self.ready;
            Ok(self.ready)
        }
    }

    impl Read for Port {
        fn read(&mut self, buf: &mut [u8]) -> Result<usize, Self::Error> {
            if self.broken {
                return Err(embedded_io::ErrorKind::BrokenPipe);
            }
            let n = crate::bytes::fill(buf, &self.input[..self.input.len().min(2)]);
            self.input = &self.input[n..];
            Ok(n)
        }
    }

    impl Write for Port {
        fn write(&mut self, bytes: &[u8]) -> Result<usize, Self::Error> {
            let n = bytes.len().min(3);
            self.output.extend_from_slice(&bytes[..n]);
            Ok(n)
        }

        fn flush(&mut self) -> Result<(), Self::Error> {
            Ok(())
        }
    }

    /// Each wait takes a second.
    struct Seconds(u64);

    impl Clock for Seconds {
        fn now(&mut self) -> Instant {
            Instant::from_micros(self.0 * 1_000_000)
        }

        fn wait(&mut self, _: Wake) {
            self.0 += 1;
        }
    }

    fn port(input: &'static [u8]) -> Port {
        Port { input, ready: true, output: Vec::new(), broken: false }
    }

    #[test]
    fn a_session_runs_over_it() {
        let (mut rx, mut tx) = ([0; 5], [0; 5]);
        let mut port = port(b"hello, world");
        let mut pump = Pump::new(&mut rx, &mut tx);
        run(&mut pump, &mut Upper::new(), &mut (), &mut port, &mut Seconds(0)).unwrap();
        assert_eq!(port.output, b"HELLO, WORLD");
    }

    #[test]
    fn an_error_of_the_port_ends_the_session_too() {
        let (mut rx, mut tx) = ([0; 5], [0; 5]);
        let mut port = Port { broken: true, ..port(b"") };
        let mut client = TimeClient::new();
        let mut pump = Pump::new(&mut rx, &mut tx);
        let how = run(&mut pump, &mut client, &mut (), &mut port, &mut Seconds(0));
        assert_eq!(how, Err(Error::Port(embedded_io::ErrorKind::BrokenPipe)));
        assert!(client.want().close.is_done());
    }

    #[test]
    fn the_idle_timeout_ends_a_silent_peer() {
        struct Silent;
        impl embedded_io::ErrorType for Silent {
            type Error = core::convert::Infallible;
        }
        impl ReadReady for Silent {
            fn read_ready(&mut self) -> Result<bool, Self::Error> {
                Ok(false)
            }
        }
        impl Read for Silent {
            fn read(&mut self, _: &mut [u8]) -> Result<usize, Self::Error> {
                Ok(0)
            }
        }
        impl Write for Silent {
            fn write(&mut self, bytes: &[u8]) -> Result<usize, Self::Error> {
                Ok(bytes.len())
            }
            fn flush(&mut self) -> Result<(), Self::Error> {
                Ok(())
            }
        }
        let (mut rx, mut tx) = ([0; 5], [0; 5]);
        let mut pump = Pump::new(&mut rx, &mut tx).idle_timeout(5_000_000);
        let mut client = TimeClient::new();
        let mut clock = Seconds(0);
        let how = run(&mut pump, &mut client, &mut (), &mut Silent, &mut clock);
        let fault = crate::fault::Fault::TimedOut { waited_us: 5_000_000 };
        assert_eq!((how, clock.0), (Err(Error::Session(fault)), 5));
        assert_eq!(client.stamp(), None::<Stamp>);
    }
}
