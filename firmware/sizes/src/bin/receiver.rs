//! `Receiver` alone.
#![no_std]
#![no_main]

use windlass_core::session::files::{ReceiveStep, Receiver};
use windlass_sizes::{Port, image, keep};

image!({
    let mut buf = [0; 64];
    let mut port = Port::new();
    let mut receiver = Receiver::new([0; 64]);
    let n = port.read(&mut buf);
    let mut input = buf.get(..n).unwrap_or_default();
    while let Ok(step) = receiver.feed(input) {
        match step {
            ReceiveStep::More => break,
            ReceiveStep::Answered { answer, rest } => {
                port.write(answer.name);
                input = rest;
            }
            ReceiveStep::Refused(why) => {
                port.write(why);
                break;
            }
            ReceiveStep::Body { bytes, rest } => {
                port.write(bytes);
                input = rest;
            }
            ReceiveStep::End { digest, rest } => {
                keep(digest.is_some().into());
                input = rest;
            }
        }
    }
    keep(receiver.finish().is_ok().into());
});
