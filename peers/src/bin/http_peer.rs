//! Apache (prefork) or nginx as a peer: `http_peer apache|nginx PORT [WORKERS [CONNECTIONS-PER-WORKER [FOLDER [CERT
//! KEY]]]]`.
//!
//! Writes a small configuration to a directory of its own, starts the server in the foreground, and
//! prints the `listening` line when it answers. Apache's workers are 5 to 10 spare ones of 20 at
//! most, nginx's are as many as are asked for (2). With a folder both serve its files, and keep connections; with a
//! certificate nginx speaks TLS. The end of the server or of this program ends both.

use std::error::Error;
use std::fs;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

const MODULES: &str = "/usr/lib/apache2/modules";

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let usage =
        "usage: http_peer apache|nginx PORT [WORKERS [CONNECTIONS-PER-WORKER [FOLDER [CERT KEY]]]]";
    let name = args.next().ok_or(usage)?;
    let args: Vec<String> = args.collect();
    let folder = args.get(3);
    let mut numbers = args.iter().take(3).map(|arg| arg.parse::<u32>().map_err(|_| usage));
    let mut number = |default| numbers.next().transpose().map(|n| n.unwrap_or(default));
    let (port, workers, each) = (number(0)?, number(2)?, number(0)?);
    let port = match u16::try_from(port)? {
        0 => TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port(),
        port => port,
    };

    let dir = std::env::temp_dir().join(format!("windlass-http-{}", std::process::id()));
    fs::create_dir_all(dir.join("www"))?;
    fs::write(dir.join("www/index.html"), "1600000000\n")?;
    let here = dir.display();
    let (config, command) = match name.as_str() {
        "apache" => (
            apache(&dir, port, each, folder.map(String::as_str)),
            format!("apache2 -f {here}/conf -D FOREGROUND"),
        ),
        "nginx" => (
            nginx(&dir, port, workers, folder.map(String::as_str), args.get(4).zip(args.get(5))),
            format!("nginx -p {here} -c {here}/conf"),
        ),
        _ => return Err(usage.into()),
    };
    fs::write(dir.join("conf"), config)?;
    // The server ends with this program: setpriv(1) asks the kernel for that.
    let mut server = Command::new("setpriv")
        .args(["--pdeathsig", "TERM"])
        .args(command.split(' '))
        // Apache sends its SIGTERM to its whole process group.
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let at = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let patience = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(at).is_err() {
        if let Some(status) = server.try_wait()? {
            return Err(format!("{command}: {status}: see {here}/error").into());
        }
        if Instant::now() > patience {
            server.kill()?;
            return Err(format!("{command}: it does not listen: see {here}/error").into());
        }
        sleep(Duration::from_millis(1));
    }
    let mut out = io::stdout().lock();
    writeln!(out, "listening tcp:{at} http {name} pid {}", server.id())?;
    out.flush()?;
    server.wait()?;
    fs::remove_dir_all(&dir)?;
    Ok(())
}

/// The configuration of Apache's documentation for prefork, without what this service does not need.
fn apache(dir: &Path, port: u16, each: u32, folder: Option<&str>) -> String {
    let here = dir.display();
    let content = match folder {
        Some(folder) => format!(
            "DocumentRoot {folder}\nKeepAlive On\nMaxKeepAliveRequests 0\nEnableSendfile On\n"
        ),
        None => format!("DocumentRoot {here}/www\nKeepAlive Off\n"),
    };
    format!(
        "ServerRoot {here}\nServerName localhost\nListen 127.0.0.1:{port}\nListenBacklog 1024\n\
         PidFile {here}/pid\nErrorLog {here}/error\nUser www-data\nGroup www-data\n\
         LoadModule mpm_prefork_module {MODULES}/mod_mpm_prefork.so\n\
         LoadModule authz_core_module {MODULES}/mod_authz_core.so\n\
         LoadModule dir_module {MODULES}/mod_dir.so\n\
         DirectoryIndex index.html\n{content}\
         StartServers 5\nMinSpareServers 5\nMaxSpareServers 10\nMaxRequestWorkers 20\n\
         ServerLimit 20\nMaxConnectionsPerChild {each}\n"
    )
}

fn nginx(
    dir: &Path,
    port: u16,
    workers: u32,
    folder: Option<&str>,
    secured: Option<(&String, &String)>,
) -> String {
    let here = dir.display();
    let (ssl, pair) = match secured {
        Some((cert, key)) => {
            let versions = "ssl_protocols TLSv1.2 TLSv1.3;\n";
            (" ssl", format!("ssl_certificate {cert}; ssl_certificate_key {key}; {versions}"))
        }
        None => ("", String::new()),
    };
    let temp = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|what| format!("{what}_temp_path {here}/{what};\n"))
        .concat();
    // Other users may not be able to read the folder.
    let user = if folder.is_some() { "user root;\n" } else { "" };
    let location = match folder {
        Some(folder) => format!(
            "root {folder}; sendfile on; tcp_nopush on; keepalive_timeout 75; \
             keepalive_requests 1000000000; log_not_found off;"
        ),
        None => "location / { return 200 \"1600000000\\n\"; }".to_owned(),
    };
    let alive = if folder.is_some() { "" } else { "keepalive_timeout 0;\n" };
    format!(
        "{user}daemon off;\nworker_processes {workers};\npid {here}/pid;\nerror_log {here}/error;\n\
         events {{ worker_connections 16384; }}\nhttp {{\naccess_log off;\n{alive}\
         {temp}server {{ listen 127.0.0.1:{port}{ssl} backlog=1024;\n\
         {pair}{location} }} }}\n"
    )
}
