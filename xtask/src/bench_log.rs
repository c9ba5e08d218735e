//! What counters and the access log cost: the same server without them, with counters, and with both. CPU time of all
//! its processes, the one that writes the log included.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread;
use std::time::Duration;

use crate::group::Group;
use crate::run::Result;

const ROUNDS: usize = 9;

/// Clients at a time.
const CLIENTS: usize = 8;

/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long it waits for a datagram.
const AGAIN: Duration = Duration::from_millis(300);

/// What is measured: its name, the server, how many of it a client does in a round, and how.
struct Case {
    name: &'static str,
    server: [&'static str; 4],
    count: usize,
    act: fn(&str, usize) -> std::io::Result<()>,
}

const CASES: [Case; 4] = [
    Case {
        name: "a message, `epoll`",
        server: ["upper", "tcp:127.0.0.1:0", "epoll", ""],
        count: 10_000,
        act: messages,
    },
    Case {
        name: "a request of 1 KiB, `epoll`",
        server: ["http", "tcp:127.0.0.1:0", "epoll", "--root"],
        count: 6_000,
        act: requests,
    },
    Case {
        name: "a connection, `prefork`",
        server: ["time", "tcp:127.0.0.1:0", "prefork", ""],
        count: 2_500,
        act: connections,
    },
    Case {
        name: "a transfer of 1 KiB by `tftp`, `epoll`",
        server: ["tftp", "udp:127.0.0.1:0", "epoll", "--root"],
        count: 700,
        act: transfers,
    },
];

/// Runs all of it.
pub(crate) fn log(windlass: &Path) -> Result<()> {
    let group = match Group::new() {
        Ok(group) => group,
        Err(why) => {
            println!("left out: {why}");
            return Ok(());
        }
    };
    let folder = tempfile::tempdir().map_err(|error| format!("a folder: {error}"))?;
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::create_dir(path("root"))
        .and_then(|()| fs::write(path("root/file"), [b'x'; 1024]))
        .map_err(|error| format!("{}: {error}", folder.path().display()))?;
    let monitor = ["--monitor".to_owned(), format!("unix:{}", path("monitor"))];
    let log = ["--access-log".to_owned(), path("access")];
    let kinds = [vec![], monitor.to_vec(), [monitor, log].concat()];
    println!("| | CPU µs | with counters | with counters and log |\n|---|---|---|---|");
    for case in &CASES {
        let mut figures = Vec::new();
        for _ in 0..ROUNDS {
            let mut round = [0.0; 3];
            for (kind, figure) in kinds.iter().zip(&mut round) {
                *figure = measure(windlass, &group, case, kind, &path("root"))?;
            }
            figures.push(round);
        }
        let ratio = |at: usize| spread(figures.iter().map(|round| round[at] / round[0]).collect());
        let (plain, counted, logged) =
            (spread(figures.iter().map(|round| round[0]).collect()), ratio(1), ratio(2));
        println!(
            "| {} | {:.2} ({:.2}–{:.2}) | {:.3} ({:.3}–{:.3}) | {:.3} ({:.3}–{:.3}) |",
            case.name,
            plain.1,
            plain.0,
            plain.2,
            counted.1,
            counted.0,
            counted.2,
            logged.1,
            logged.0,
            logged.2
        );
    }
    Ok(())
}

/// The first quartile, the median and the third quartile.
fn spread(mut values: Vec<f64>) -> (f64, f64, f64) {
    values.sort_by(f64::total_cmp);
    let at = |part: usize| values[(values.len() - 1) * part / 4];
    (at(1), at(2), at(3))
}

/// CPU µs of the server for one of what is measured.
fn measure(
    windlass: &Path,
    group: &Group,
    case: &Case,
    options: &[String],
    root: &str,
) -> Result<f64> {
    let [service, listen, model, files] = case.server;
    let mut command = group.command(windlass);
    command.args(["serve", service, "--listen", listen, "--model", model]).args(options);
    if !files.is_empty() {
        command.args([files, root]);
    }
    let spawned = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let mut server = spawned.map_err(|error| format!("{command:?}: {error}"))?;
    let measured = load(&mut server, group, case);
    group.end();
    let _ = server.wait();
    measured
}

fn load(server: &mut Child, group: &Group, case: &Case) -> Result<f64> {
    let mut line = String::new();
    let stdout = server.stdout.take().ok_or("no standard output")?;
    BufReader::new(stdout).read_line(&mut line).map_err(|error| error.to_string())?;
    let address = line.split_whitespace().nth(1).unwrap_or_default();
    let address = address.split_once(':').map_or("", |(_, address)| address);
    let run = |count: usize| -> Result<()> {
        thread::scope(|scope| {
            let clients: Vec<_> =
                (0..CLIENTS).map(|_| scope.spawn(|| (case.act)(address, count))).collect();
            for client in clients {
                let how = client.join().map_err(|_| "a client panicked")?;
                how.map_err(|error| format!("{}: {error}", case.name))?;
            }
            Ok(())
        })
    };
    // Buffers and caches are as they stay.
    run(case.count / 10)?;
    let before = group.seconds();
    run(case.count)?;
    // Lines are written together, at the latest after 20 ms.
    thread::park_timeout(Duration::from_millis(60));
    Ok((group.seconds() - before) * 1e6 / (case.count * CLIENTS) as f64)
}

fn connect(address: &str) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn messages(address: &str, count: usize) -> std::io::Result<()> {
    let mut stream = connect(address)?;
    let mut buf = [b'a'; 64];
    for _ in 0..count {
        stream.write_all(&buf)?;
        stream.read_exact(&mut buf)?;
    }
    Ok(())
}

fn requests(address: &str, count: usize) -> std::io::Result<()> {
    let mut stream = connect(address)?;
    let mut buf = [0; 4096];
    for _ in 0..count {
        stream.write_all(b"GET /file HTTP/1.1\r\nHost: bench\r\nUser-Agent: bench\r\n\r\n")?;
        let mut len = 0;
        while !buf[..len].ends_with(&[b'x'; 1024]) {
            match stream.read(&mut buf[len..])? {
                0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                more => len += more,
            }
        }
    }
    Ok(())
}

fn connections(address: &str, count: usize) -> std::io::Result<()> {
    let mut buf = [0; 64];
    for _ in 0..count {
        let mut stream = connect(address)?;
        while stream.read(&mut buf)? > 0 {}
    }
    Ok(())
}

/// Three blocks, and an acknowledgement of each. A transfer without an answer is asked for from another port.
fn transfers(address: &str, count: usize) -> std::io::Result<()> {
    for _ in 0..count {
        let mut attempts = 0;
        while let Err(error) = transfer(address) {
            attempts += 1;
            if attempts == 10 {
                return Err(error);
            }
        }
    }
    Ok(())
}

fn transfer(address: &str) -> std::io::Result<()> {
    let mut buf = [0; 600];
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.set_read_timeout(Some(AGAIN))?;
    socket.send_to(b"\0\x01file\0octet\0", address)?;
    loop {
        let (len, from) = socket.recv_from(&mut buf)?;
        socket.send_to(&[0, 4, buf[2], buf[3]], from)?;
        if len < 516 {
            return Ok(());
        }
    }
}
