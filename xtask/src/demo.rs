//! Serves every service on loopback, uses each one on real input, and stops.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use windlass_certs::{Authority, Validity};
use windlass_lossy::{self as lossy, Lossy};

use crate::run::{Result, build_windlass, output, program, talk};

/// The listeners of the built-in configuration, by service.
const SERVICES: [&str; 10] = [
    "time tcp:",
    "upper tcp:",
    "upper unix:",
    "upper udp:",
    "echo tcp:",
    "files tcp:",
    "http tcp:",
    "xfer udp:",
    "tftp udp:",
    "score udp:",
];

/// How long the server may take to listen, and to stop.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn demo() -> Result<()> {
    println!("building windlass …");
    use_all(&build_windlass("release")?)
}

/// Uses each service of a program, which serves the folder that it is in.
pub(crate) fn use_all(windlass: &Path) -> Result<()> {
    let root = windlass.parent().unwrap_or(windlass).display().to_string();
    let mut server = Server::start(windlass, &["--root", &root], SERVICES.len())?;
    println!("\n$ windlass serve --root {root}");
    for line in &server.lines {
        println!("{line}");
    }
    tell_the_time(windlass, &server)?;
    talk_lines(windlass, &server)?;
    report_scores(windlass, &server)?;
    move_a_file(windlass, &server)?;
    fetch_a_file(windlass, &server)?;
    fetch_by_http(windlass, &server)?;
    fetch_by_https(windlass, &root)?;
    fetch_by_tftp(windlass, &server)?;
    server.stop()?;
    println!(
        "\nEverything answered, and the server is gone. Now you: windlass serve, windlass talk …"
    );
    Ok(())
}

fn tell_the_time(windlass: &Path, server: &Server) -> Result<()> {
    let address = server.address("time tcp:")?;
    let said = output(program(windlass).args(["time", address]))?;
    println!("\n$ windlass time {address}\n{}", said.trim_end());
    let here = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let there: u64 = said.trim().parse().map_err(|_| format!("{address} said {said:?}"))?;
    if here.abs_diff(there) > 2 {
        return Err(format!("{address} said {there} when it was {here}"));
    }
    Ok(())
}

fn talk_lines(windlass: &Path, server: &Server) -> Result<()> {
    let lines =
        "a windlass hauls a heavy load with a small machine\nit moves lines, files and reports\n";
    for service in ["upper tcp:", "upper unix:", "upper udp:"] {
        let address = server.address(service)?;
        println!("\n$ printf … | windlass talk {address}");
        let said = talk(windlass, address, lines.as_bytes())?;
        print!("{}", String::from_utf8_lossy(&said));
        if said != lines.to_ascii_uppercase().as_bytes() {
            return Err(format!("{address} did not answer in capitals"));
        }
    }
    Ok(())
}

/// To the server, which logs it, and to a listener of our own: by unicast, and by multicast on loopback.
fn report_scores(windlass: &Path, server: &Server) -> Result<()> {
    let send = |to: &str, more: &[&str]| {
        println!(
            "$ windlass score send {to} --name Mike --math 90 --chinese 85 {}",
            more.join(" ")
        );
        let words = ["score", "send", to, "--name", "Mike", "--math", "90", "--chinese", "85"];
        output(program(windlass).args(words).args(more)).map(drop)
    };
    println!();
    send(server.address("score udp:")?, &[])?;
    let to_group = ["--interface", "lo", "--ttl", "0"];
    for (listen, more) in [("udp:127.0.0.1:0", &[][..]), ("udp:239.255.77.1:0", &to_group)] {
        let on = if more.is_empty() { &[][..] } else { &more[..2] };
        println!("\n$ windlass score listen {listen} --count 1 {}", on.join(" "));
        let mut ear = program(windlass)
            .args(["score", "listen", listen, "--count", "1"])
            .args(on)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("windlass score listen: {error}"))?;
        // Its first line on standard error says where it listens.
        let mut line = String::new();
        let heard = ear.stderr.take().map(|pipe| BufReader::new(pipe).read_line(&mut line));
        let address = line.split([' ', ',', '\n']).nth(1).map(str::to_owned);
        let reported = match (heard, address) {
            (Some(Ok(_)), Some(address)) => send(&address, more),
            _ => Err(format!("windlass score listen said {line:?}")),
        };
        if let Err(error) = reported {
            let _ = ear.kill();
            let _ = ear.wait();
            return Err(error);
        }
        let said = ear.wait_with_output().map_err(|error| error.to_string())?;
        let said = String::from_utf8_lossy(&said.stdout);
        print!("{said}");
        if !said.ends_with(" Mike 90 85\n") {
            return Err(format!("windlass score listen said {said:?}"));
        }
    }
    Ok(())
}

/// The input is the program itself, ten times: some megabytes.
fn move_a_file(windlass: &Path, server: &Server) -> Result<()> {
    let file = read(windlass)?.repeat(10);
    let mut capitals = file.clone();
    capitals.make_ascii_uppercase();
    println!();
    for (service, expected) in
        [("echo tcp:", &file), ("upper tcp:", &capitals), ("upper unix:", &capitals)]
    {
        let address = server.address(service)?;
        let begin = Instant::now();
        let said = talk(windlass, address, &file)?;
        let seconds = begin.elapsed().as_secs_f64();
        if said != *expected {
            return Err(format!("{address} changed the file"));
        }
        let megabytes = file.len() as f64 / 1e6;
        println!(
            "$ windlass talk {address} < file   # {megabytes:.1} MB there and back in {:.0} ms, \
             {:.0} MB/s, every byte compared",
            seconds * 1e3,
            megabytes / seconds
        );
    }
    Ok(())
}

/// Downloads the program by its name.
fn fetch_a_file(windlass: &Path, server: &Server) -> Result<()> {
    let address = server.address("files tcp:")?;
    let url = format!("files://{}/windlass", address.trim_start_matches("tcp:"));
    fetch(windlass, &["get", &url, "--verify"], windlass)?;
    println!("the same bytes, and the same BLAKE3 at both ends");
    Ok(())
}

/// Downloads the program by HTTP, with curl too where it is installed.
fn fetch_by_http(windlass: &Path, server: &Server) -> Result<()> {
    let address = server.address("http tcp:")?;
    let url = format!("http://{}/windlass", address.trim_start_matches("tcp:"));
    fetch(windlass, &["get", &url], windlass)?;
    println!("the same bytes");
    fetch_with_curl(&["--noproxy", "*", &url], windlass)
}

/// Downloads the program over TLS, with curl too where it is installed. The certificate is made for the occasion.
fn fetch_by_https(windlass: &Path, root: &str) -> Result<()> {
    if let Some(why) = lacks_tls(windlass) {
        println!("\nleft out: the same over TLS: {why}");
        return Ok(());
    }
    let folder = tempfile::tempdir().map_err(|error| format!("a folder: {error}"))?;
    let authority = Authority::new();
    let made = authority.issue(&["localhost", "127.0.0.1"], Validity::Now);
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        let mut options = File::options();
        let file = options.write(true).create_new(true).mode(0o600).open(&path);
        let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
        written.map(|()| path.display().to_string()).map_err(|error| format!("{name}: {error}"))
    };
    let (ca, cert, key) = (
        write("ca.pem", &authority.cert)?,
        write("cert.pem", &made.cert)?,
        write("key.pem", &made.key)?,
    );
    println!("\n$ windlass serve http --root {root} --tls-cert cert.pem --tls-key key.pem");
    let words = ["http", "--listen", "tcp:127.0.0.1:0", "--root", root];
    let tls = ["--tls-cert", &cert, "--tls-key", &key];
    let mut server = Server::start(windlass, &[&words[..], &tls].concat(), 1)?;
    let address = server.address("http tcp:")?.trim_start_matches("tcp:");
    let url = format!("https://{address}/windlass");
    fetch(windlass, &["get", &url, "--ca", &ca], windlass)?;
    println!("the same bytes");
    fetch_with_curl(&["--noproxy", "*", "--cacert", &ca, &url], windlass)?;
    server.stop()
}

/// Why the program has no TLS on this processor, if that is so.
fn lacks_tls(windlass: &Path) -> Option<String> {
    // A client looks at the processor before it connects; nothing listens at port 1.
    let mut client = program(windlass);
    client.args(["talk", "--insecure", "tls:127.0.0.1:1"]).stdin(Stdio::null());
    let said = String::from_utf8_lossy(&client.output().ok()?.stderr).trim().to_owned();
    said.contains("TLS needs a processor").then_some(said)
}

/// Downloads the program by TFTP, with curl too where it is installed, and then over a network that loses one
/// datagram of twenty in each direction.
fn fetch_by_tftp(windlass: &Path, server: &Server) -> Result<()> {
    let address = server.address("tftp udp:")?.trim_start_matches("udp:");
    let url = format!("tftp://{address}/windlass");
    fetch(windlass, &["get", &url, "--verify"], windlass)?;
    println!("the same bytes, and the same BLAKE3 at both ends");
    fetch_with_curl(&["--tftp-blksize", "1428", &url], windlass)?;

    let to = address.parse().map_err(|error| format!("{address}: {error}"))?;
    let lossy = Lossy::start("127.0.0.1:0", to, 1, [lossy::Path::losing(50); 2]);
    let lossy = lossy.map_err(|error| format!("a network that loses datagrams: {error}"))?;
    println!("\nthe same over a network that loses 5 % of all datagrams");
    let url = format!("tftp://{}/windlass", lossy.address());
    let begin = Instant::now();
    fetch(windlass, &["get", &url], windlass)?;
    let seconds = begin.elapsed().as_secs_f64();
    let [there, back] = lossy.counts();
    println!(
        "the same bytes, in {seconds:.1} s; {} of {} datagrams were lost",
        there.lost + back.lost,
        there.sent + back.sent
    );
    Ok(())
}

fn fetch_with_curl(words: &[&str], windlass: &Path) -> Result<()> {
    let curl = Path::new("curl");
    if program(curl).arg("--version").output().is_ok() {
        fetch(curl, &[&["-sS"], words].concat(), windlass)?;
        println!("the same bytes");
    }
    Ok(())
}

/// Runs a client that writes to the file behind `-o`, and compares what came with `original`.
fn fetch(client: &Path, words: &[&str], original: &Path) -> Result<()> {
    let name = client.file_name().unwrap_or_default().to_string_lossy();
    println!("\n$ {name} {} -o windlass", words.join(" "));
    let folder = tempfile::tempdir().map_err(|error| format!("a folder: {error}"))?;
    let file = folder.path().join("windlass");
    output(program(client).args(words).arg("-o").arg(&file))?;
    if read(&file)? != read(original)? {
        return Err(format!("{name} {} got another file", words.join(" ")));
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// The running server. Dropping it ends it.
struct Server {
    process: Child,
    lines: Vec<String>,
    /// The lines that it prints later.
    more: Receiver<String>,
}

impl Server {
    /// Starts `windlass serve` with these words, and waits for its lines.
    fn start(windlass: &Path, words: &[&str], count: usize) -> Result<Self> {
        let mut process = program(windlass)
            .arg("serve")
            .args(words)
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("windlass serve: {error}"))?;
        let (send, more) = mpsc::channel();
        if let Some(stdout) = process.stdout.take() {
            std::thread::spawn(move || {
                BufReader::new(stdout)
                    .lines()
                    .map_while(std::result::Result::ok)
                    .try_for_each(|line| send.send(line))
            });
        }
        let mut server = Self { process, lines: Vec::new(), more };
        while server.lines.len() < count {
            match server.more.recv_timeout(PATIENCE) {
                Ok(line) => server.lines.push(line),
                Err(_) => {
                    return Err(
                        "windlass serve does not listen; is a port of it in use?".to_owned()
                    );
                }
            }
        }
        Ok(server)
    }

    /// The address of a service, named as in [`SERVICES`].
    fn address(&self, service: &str) -> Result<&str> {
        let found = self.lines.iter().find_map(|line| {
            let mut words = line.split_whitespace().skip(1);
            let (address, name) = (words.next()?, words.next()?);
            format!("{name} {address}").starts_with(service).then_some(address)
        });
        found.ok_or_else(|| format!("no listener for {service}…"))
    }

    /// Stops it as a service manager would, and checks its exit code.
    fn stop(&mut self) -> Result<()> {
        println!("\n$ kill -TERM {}", self.process.id());
        let pid = i32::try_from(self.process.id()).map_err(|error| error.to_string())?;
        kill(Pid::from_raw(pid), Signal::SIGTERM)
            .map_err(|error| format!("kill {pid}: {error}"))?;
        // Its processes hold the other end of this pipe until the last one is gone.
        match self.more.recv_timeout(PATIENCE) {
            Err(RecvTimeoutError::Disconnected) => {}
            Err(RecvTimeoutError::Timeout) => return Err("windlass serve does not stop".to_owned()),
            Ok(line) => return Err(format!("windlass serve said {line:?} at the end")),
        }
        match self.process.wait().map_err(|error| error.to_string())? {
            status if status.success() => Ok(()),
            status => Err(format!("windlass serve: {status}")),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
