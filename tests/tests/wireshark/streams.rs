//! Conversations: transfers, downloads over TCP and over a line, and what two hosts send each other.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use nix::sys::signal::Signal;
use windlass_core::file::DigestKind;
use windlass_core::frame::link::Link;
use windlass_core::session::files::Options;
use windlass_core::time::Instant;
use windlass_core::wire::xfer;
use windlass_tests::{
    Capture, Dissection, Hosts, Listening, Model, PATIENCE, Random, has, request, serve, within,
};

use crate::{FILES, SCORE, XFER, hexadecimal, rendered, written};

#[test]
fn a_transfer_is_followed_from_its_request() {
    if !has("tshark") {
        return;
    }
    let (client, transfer) = (6000, 41_000);
    let mut capture = Capture::ip();
    let path = rendered(&xfer::Packet::Path(b"image"));
    let data = rendered(&xfer::Packet::Data { seq: 1, bytes: b"hi" });
    let end = rendered(&xfer::Packet::Eot { seq: 2 });
    let ack = |seq| rendered(&xfer::Packet::Ack { seq });
    capture.udp(transfer, client, &data); // of no transfer
    capture.udp(client, XFER, &path);
    capture.udp(client, XFER, &path);
    // The server has a port for each transfer.
    capture.udp(transfer, client, &data);
    capture.udp(transfer, client, &data);
    capture.udp(client, transfer, &ack(1));
    capture.udp(transfer, client, &end);
    capture.udp(client, transfer, &ack(2));
    let shown = capture.dissect("");
    let each = |field: &str| shown.each(&format!("windlass.xfer.{field}")).concat();
    assert_eq!(each("type"), ["1", "1", "2", "2", "4", "3", "4"]);
    assert_eq!(each("first_in"), ["2", "4"]);
    assert_eq!(each("request_in"), ["2"; 5]);
    assert_eq!(each("ack_in"), ["6", "6", "8"]);
    assert_eq!(each("ack_of"), ["4", "7"]);
    assert_eq!(each("time"), ["0.002000000", "0.001000000"]);
    // By its form, if that is asked for.
    let guessed = capture.dissect("-o windlass.xfer.guess:true");
    assert_eq!(guessed.all("windlass.xfer.type").len(), 8);
}

/// The bytes of both directions of a download from a real server.
fn download(name: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let root = tempfile::tempdir().expect("a folder");
    fs::write(root.path().join("image"), (0..=255).cycle().take(10_000).collect::<Vec<u8>>())
        .expect("write");
    let args = format!("--root {}", root.path().display());
    let server = serve!("files", Model::Epoll).args(&args).start();
    let options = Options {
        frame: Some(600),
        offset: Some(100),
        digest: Some(DigestKind::Crc32),
        ..Options::NONE
    };
    let request = request(name, options);
    let address = server.address().strip_prefix("tcp:").expect("TCP");
    let mut stream = TcpStream::connect(address).expect("connect");
    stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
    stream.write_all(&request).expect("send");
    stream.shutdown(Shutdown::Write).expect("half-close");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer");
    (request, answer)
}

/// What is shown of that download: the kinds of its frames, the options, and the bytes.
#[track_caller]
fn is_the_download(shown: &Dissection) {
    let all = |field: &str| shown.all(&format!("windlass.files.{field}"));
    let mut kinds = vec!["1", "2"];
    kinds.extend(["3"; 17]);
    kinds.extend(["4", "5"]);
    assert_eq!(all("frame"), kinds);
    assert_eq!(all("name"), ["image"; 2]);
    assert_eq!(all("size"), ["10000"]);
    assert_eq!(all("longest"), ["600"; 2]);
    assert_eq!(all("offset"), ["100"; 2]);
    assert_eq!(all("digest"), ["crc32"; 2]);
    let file: Vec<u8> = (0..=255).cycle().take(10_000).collect();
    let data: String = all("data").iter().map(|data| data.replace(':', "")).collect();
    assert_eq!(data, hexadecimal(&file[100..]).replace(':', ""));
    let at: Vec<_> = (0..17).map(|frame| (100 + 600 * frame).to_string()).collect();
    assert_eq!(all("at"), at);
    let mut crc = windlass_core::crc::Crc32::new();
    crc.update(&file);
    assert_eq!(all("sum"), [hexadecimal(&crc.finish().to_be_bytes())]);
    assert!(all("malformed").is_empty());
}

#[test]
fn a_download_is_read_however_its_stream_is_cut() {
    if !has("tshark") {
        return;
    }
    let (request, answer) = download(b"image");
    let mut random = Random::new(3);
    for most in [1, 7, 601, 1460, 20_000] {
        let mut capture = Capture::ip();
        for (from, to, mut stream) in [(5000, FILES, &request[..]), (FILES, 5000, &answer[..])] {
            while !stream.is_empty() {
                let (segment, rest) = stream.split_at(random.up_to(most).min(stream.len()));
                capture.tcp(from, to, segment);
                stream = rest;
            }
        }
        let shown = capture.dissect("");
        is_the_download(&shown);
        // The request is complete with its last segment, and so is the answer.
        let requested = shown.all("windlass.files.request_in");
        assert!(requested.iter().all(|at| *at == requested[0]) && requested.len() == 20);
        assert_eq!(shown.all("windlass.files.response_in").len(), 1);
    }
    let (request, refusal) = download(b"nothing");
    let mut capture = Capture::ip();
    capture.tcp(5000, FILES, &request);
    capture.tcp(5000, FILES, b"\0\0\0\x01x");
    capture.tcp(FILES, 5000, &refusal);
    let shown = capture.dissect("");
    assert_eq!(shown.each("windlass.files.frame"), [vec!["1"], vec!["8"], vec!["6", "7"]]);
    assert_eq!(shown.all("windlass.files.reason"), ["there is no such file"]);
    assert_eq!(shown.all("windlass.files.malformed").len(), 1);
}

#[test]
fn frames_of_any_stream_are_read() {
    if !has("tshark") {
        return;
    }
    let mut capture = Capture::ip();
    capture.tcp(5000, 7777, b"\0\0\0\x02hi\0\0\0\0\0\0");
    capture.tcp(5000, 7777, b"\0\x01!\x7f\0\0\0");
    let shown = capture.dissect("-d tcp.port==7777,windlass.frame");
    assert_eq!(shown.all("windlass.frame.len"), ["2", "0", "1", "2130706432"]);
    assert_eq!(shown.all("windlass.frame.payload"), ["68:69", "21"]);
    assert_eq!(shown.all("windlass.frame.malformed").len(), 1);
}

#[test]
fn a_service_over_a_line_is_read_however_the_line_is_read() {
    if !has("tshark") {
        return;
    }
    let (request, answer) = download(b"image");
    let mut random = Random::new(4);
    for most in [3, 64, 1000] {
        let mut memory = [[0; 96]; 4];
        let [rx, tx, rest @ ..] = &mut memory;
        let opens = Link::connect(rx, tx, 250);
        let [rx, tx] = rest;
        let mut ends = [opens, Link::listen(rx, tx)];
        let mut streams = [&request[..], &answer[..]];
        let mut capture = Capture::serial();
        let (mut now, mut repeated, mut taken) = (Instant::ZERO, 0, [0, 0]);
        while ends.iter().any(|end| end.over().is_none()) {
            let mut is_silent = true;
            for (from, to) in [(0, 1), (1, 0)] {
                // The server answers a whole request.
                if from == 0 || taken[from] == request.len() {
                    let sent = ends[from].send(streams[from]);
                    streams[from] = &streams[from][sent..];
                }
                if streams[from].is_empty() {
                    ends[from].close();
                }
                let line = written(&mut ends[from], now);
                // The line loses an acknowledgement now and then.
                let is_lost = from == 0 && random.up_to(50) == 1;
                repeated += usize::from(is_lost && !line.is_empty());
                if !is_lost {
                    ends[to].input(now, &line);
                }
                let received = ends[to].received().len();
                ends[to].taken(received);
                taken[to] += received;
                is_silent &= line.is_empty();
                let mut line = &line[..];
                while !line.is_empty() {
                    let (read, rest) = line.split_at(random.up_to(most).min(line.len()));
                    capture.record(read);
                    line = rest;
                }
            }
            if is_silent {
                now = now.after(100_000);
            }
        }
        assert!(repeated > 0);
        let shown = capture.dissect("-o windlass.link.service:files");
        is_the_download(&shown);
        assert!(!shown.all("windlass.link.retransmission").is_empty());
        assert!(shown.all("windlass.link.malformed").is_empty());
        assert_eq!(shown.all("windlass.link.crc.bad").len(), 0);
    }
}

#[test]
fn traffic_between_two_hosts_is_read() {
    const WINDLASS: &str = env!("CARGO_BIN_EXE_windlass-under-test");
    if !has("tshark") || !has("dumpcap") {
        return;
    }
    let Some(hosts) = Hosts::new() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    fs::write(path("image"), b"the bytes of a file").expect("write");
    let create = |name: &str| fs::File::create(path(name)).expect("create");
    let read = |name: &str| fs::read(path(name)).expect("read");
    let has_text = |name: &str, text: &str| {
        read(name).windows(text.len()).any(|window| window == text.as_bytes())
    };
    let servers = [("files", "tcp", FILES), ("xfer", "udp", XFER)].map(|(service, kind, port)| {
        let words = format!("serve {service} --listen {kind}:192.0.2.2:{port} --root");
        let serve = hosts.on_b(WINDLASS).words(&words).arg(folder.path()).output(create(service));
        let server = serve.start();
        within(PATIENCE, "it listens", || has_text(service, "listening"));
        server
    });
    let capture = path("capture.pcapng");
    let dumpcap = hosts.on_a("dumpcap").words("-q -i va -w").arg(&capture);
    let dumpcap = dumpcap.errors(create("dumpcap")).start();
    within(PATIENCE, "it captures", || has_text("dumpcap", "File: "));
    for (url, words) in [
        (format!("files://192.0.2.2:{FILES}/image"), "get --verify -o"),
        (format!("xfer://192.0.2.2:{XFER}/image"), "get -o"),
    ] {
        hosts.on_a(WINDLASS).words(words).arg(path("got")).arg(url).run().succeeds();
        assert_eq!(read("got"), read("image"));
    }
    let listen = hosts.on_b(WINDLASS).words(&format!("score listen udp:192.0.2.2:{SCORE}"));
    let ear = Listening::start(listen);
    within(PATIENCE, "the reports are captured", || {
        let to = format!("udp:192.0.2.2:{SCORE}");
        let send = hosts.on_a(WINDLASS).words("score send").arg(to);
        send.words("--name Mike --math 83 --chinese 86").run().succeeds();
        has_text("capture.pcapng", "Mike")
    });
    assert_eq!(dumpcap.end_by(Signal::SIGINT), Some(0));
    for server in servers {
        assert_eq!(server.end_by(Signal::SIGINT), Some(0));
    }
    assert_eq!(ear.end_by(Signal::SIGTERM), Some(0));
    let shown = Dissection::of(&capture, "");
    let report = ["name", "math", "chinese"].map(|it| shown.all(&format!("windlass.score.{it}")));
    assert_eq!(report.map(|values| values[0].clone()), ["Mike", "83", "86"]);
    assert_eq!(shown.all("windlass.files.name"), ["image"; 2]);
    assert_eq!(shown.all("windlass.files.frame"), ["1", "2", "3", "4", "5"]);
    assert_eq!(shown.all("windlass.files.data"), [hexadecimal(b"the bytes of a file")]);
    assert_eq!(shown.all("windlass.files.sum").concat().len(), 32 * 3 - 1);
    // On a busy machine a datagram may be sent again.
    let xfer = |field: &str| {
        let mut values = shown.all(&format!("windlass.xfer.{field}"));
        values.dedup();
        values
    };
    assert_eq!(xfer("path"), ["image"]);
    assert_eq!(xfer("data"), [hexadecimal(b"the bytes of a file")]);
    // The server answered from another port; the block and the end are acknowledged.
    assert_eq!(xfer("request_in").len(), 1);
    assert_eq!(xfer("ack_of").len(), 2);
    for proto in ["score", "files", "frame", "xfer"] {
        assert!(shown.all(&format!("windlass.{proto}.malformed")).is_empty());
    }
}
