//! The same over the link layer.
#![no_std]
#![no_main]

use windlass_core::file::DigestKind;
use windlass_core::frame::{Decoder, Encoder, FrameStep};
use windlass_core::session::files::{Options, Request};
use windlass_core::session::{FilesClient, TimeClient, TimeServer, Upper};
use windlass_core::stream::{LineStep, ReadLine};
use windlass_core::wire::Stamp;
use windlass_sizes::{Flash, Port, image, keep, number, run_over_link};

image!({
    upper();
    time_client();
    time_server();
    frames();
    read_line();
    files_client();
});

fn upper() {
    keep(run_over_link(&mut Upper::new(), &mut ()).is_ok().into());
}

fn time_client() {
    let mut session = TimeClient::new();
    keep(run_over_link(&mut session, &mut ()).is_ok().into());
    keep(session.stamp().map_or(0, |stamp| stamp.0.is_negative().into()));
}

fn time_server() {
    let mut session = TimeServer::new(Stamp(number().into()));
    keep(run_over_link(&mut session, &mut ()).is_ok().into());
}

fn frames() {
    let (mut buf, mut memory) = ([0; 64], [0; 64]);
    let mut port = Port::new();
    let mut frames = Decoder::new(&mut memory);
    let n = port.read(&mut buf);
    let mut input = buf.get(..n).unwrap_or_default();
    loop {
        match frames.feed(input) {
            FrameStep::More => break,
            FrameStep::Frame { payload, rest } => {
                if let Ok(mut frame) = Encoder::new(payload, 4096) {
                    let mut out = [0; 32];
                    while !frame.is_done() {
                        let n = frame.render(&mut out);
                        port.write(out.get(..n).unwrap_or_default());
                    }
                }
                input = rest;
            }
            FrameStep::TooLong { what, rest } => {
                keep(what.claimed as usize);
                input = rest;
            }
        }
    }
    keep(frames.finish().is_ok().into());
}

fn read_line() {
    let (mut buf, mut memory) = ([0; 64], [0; 64]);
    let mut port = Port::new();
    let mut lines = ReadLine::new(&mut memory);
    let n = port.read(&mut buf);
    let mut input = buf.get(..n).unwrap_or_default();
    loop {
        match lines.feed(input) {
            LineStep::More => break,
            LineStep::Line { line, rest } => {
                port.write(line.text);
                input = rest;
            }
            LineStep::TooLong { max, rest } => {
                keep(max);
                input = rest;
            }
        }
    }
    if let Some(Ok(line)) = lines.finish() {
        port.write(line.text);
    }
}

fn files_client() {
    let mut request = [0; 128];
    let options =
        Options { digest: Some(DigestKind::Crc32), offset: Some(number().into()), ..Options::NONE };
    if let Ok(len) = (Request { name: b"image", options }).render(&mut request) {
        let request = request.get(..len).unwrap_or_default();
        let mut session = FilesClient::new(request, [0; 64]);
        keep(run_over_link(&mut session, &mut Flash::new()).is_ok().into());
        keep(session.reason().map_or(0, <[u8]>::len));
    }
}
