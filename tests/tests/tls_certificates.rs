//! Certificates that change, expire, vanish, and what is told of them.
//!
//! - SIGHUP swaps certificate and key as one, or the earlier ones go on, and one line of the log says why.
//! - A process that was killed is replaced by one with the newest certificate.
//! - When the certificate in use expires is told by the log, the monitor and the control socket.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use windlass_tests::web::ask;
use windlass_tests::{
    Client, Model, PATIENCE, Secured, Server, Validity, every_model, models, proc, serve,
    supervise, windlass, within,
};

every_model!(
    a_new_certificate_is_shown_from_the_next_client_on,
    the_earlier_certificate_goes_on_and_one_line_says_why,
);
models!(the_monitor_tells_when_the_certificate_expires_that_is_served: fork Fork, epoll Epoll,
    pool_static PoolStatic, prefork Prefork);

/// The certificate that a client is shown, as its end of the handshake has it.
fn shown(secured: &Secured, address: &str) -> Result<Vec<u8>, String> {
    let address = address.trim_start_matches("tcp:");
    let mut socket = std::net::TcpStream::connect(address).map_err(|error| error.to_string())?;
    socket.set_read_timeout(Some(PATIENCE)).map_err(|error| error.to_string())?;
    let mut conn = secured.fresh_connection();
    while conn.is_handshaking() {
        conn.complete_io(&mut socket).map_err(|error| error.to_string())?;
    }
    let chain = conn.peer_certificates().unwrap_or_default();
    let first = chain.first().map(|cert| cert.to_vec());
    conn.send_close_notify();
    let _ = conn.complete_io(&mut socket);
    first.ok_or_else(|| "no certificate".to_owned())
}

fn a_new_certificate_is_shown_from_the_next_client_on(model: Model) {
    let secured = Secured::new();
    let server = serve!("upper", model).args(&secured.options()).start();
    let first = shown(&secured, server.address()).expect("a handshake");
    secured.replace(Validity::Now);
    server.signal(Signal::SIGHUP);
    // No client fails meanwhile.
    within(PATIENCE, "the new certificate", || {
        shown(&secured, server.address()).expect("a handshake") != first
    });
}

fn the_earlier_certificate_goes_on_and_one_line_says_why(model: Model) {
    let secured = Secured::new();
    let server = serve!("upper", model).args(&secured.options()).start();
    let first = shown(&secured, server.address()).expect("a handshake");
    let [cert, key] = ["cert.pem", "key.pem"].map(|name| secured.path(name));
    let good = fs::read(&key).expect("read");
    let mut lines = 0;
    let mut hang_up = |why: &str| {
        server.signal(Signal::SIGHUP);
        lines += 1;
        let kept = || server.stderr().matches("the earlier certificate is used").count();
        within(PATIENCE, why, || kept() >= lines);
        let said = server.stderr();
        let line = said.lines().rfind(|line| line.contains("the earlier certificate is used"));
        assert!(line.is_some_and(|line| line.contains(why)), "{why}: {said}");
        assert_eq!(kept(), lines, "{said}");
        assert_eq!(shown(&secured, server.address()), Ok(first.clone()), "{why}");
    };
    secured.replace(Validity::Over);
    hang_up("has expired");
    secured.replace(Validity::Later);
    hang_up("is not valid yet");
    // The key of the first one, and the certificate of the last.
    fs::write(&key, good).expect("write");
    hang_up("does not belong to the certificate");
    fs::write(&cert, "-----BEGIN CERTIFICATE-----\n").expect("write");
    hang_up("read the certificate in");
    fs::remove_file(&key).expect("remove");
    fs::remove_file(&cert).expect("remove");
    hang_up("No such file or directory");
}

/// A server with a monitor and a control socket in a folder, and one certificate.
struct Watched {
    secured: Secured,
    server: Server,
    folder: tempfile::TempDir,
}

impl Watched {
    fn start(model: Model) -> Self {
        let (secured, folder) = (Secured::new(), tempfile::tempdir().expect("a folder"));
        let [monitor, control] = ["monitor", "control"].map(|name| folder.path().join(name));
        let (monitor, control) = (monitor.display(), control.display());
        let options = format!("--monitor unix:{monitor} --control {control} {}", secured.options());
        let server = serve!("upper", model).args(&options).start();
        Self { secured, server, folder }
    }

    fn get(&self, path: &str) -> String {
        let at = format!("unix:{}", self.folder.path().join("monitor").display());
        let answer = ask(&mut Client::connect(&at), "GET", path, &["Connection: close"]);
        String::from_utf8(answer.body).expect("text")
    }

    /// When the certificate expires, in seconds since 1970, as both documents of the monitor and that of the
    /// control socket tell.
    fn expires(&self) -> [u64; 3] {
        const NAME: &str = "windlass_tls_certificate_expiry_timestamp_seconds{";
        let of = |text: &str| -> Option<u64> {
            // While the parent of a pool is replaced, its socket may be closed without an answer.
            let state: serde_json::Value = serde_json::from_str(text).ok()?;
            let listener = state.get("listeners").map_or(&state, |listeners| &listeners[0]);
            Some(listener["certificate_expires_us"].as_u64()? / 1_000_000)
        };
        let metrics = self.get("/metrics");
        let line = metrics.lines().find(|line| line.starts_with(NAME));
        let value =
            line.and_then(|line| line.rsplit(' ').next()?.trim_end_matches(".0").parse().ok());
        let control = self.folder.path().join("control");
        let state = windlass!("status", control, "--json").run();
        let state = String::from_utf8(state.stdout).expect("text");
        [value, of(&self.get("/status.json")), of(&state)].map(Option::unwrap_or_default)
    }
}

/// 2200-01-01, in seconds since 1970.
const Y2200: u64 = 7_258_118_400;

fn the_monitor_tells_when_the_certificate_expires_that_is_served(model: Model) {
    let it = Watched::start(model);
    within(PATIENCE, "the first", || it.expires() == [Y2200; 3]);
    let first = shown(&it.secured, it.server.address()).expect("a handshake");
    it.secured.replace(Validity::Over);
    kill(Pid::from_raw(it.server.parent()), Signal::SIGHUP).expect("kill");
    it.server.logs("has expired; the earlier certificate is used");
    assert_eq!(it.expires(), [Y2200; 3]);

    it.secured.replace(Validity::Soon);
    kill(Pid::from_raw(it.server.parent()), Signal::SIGHUP).expect("kill");
    within(PATIENCE, "the second", || {
        let [one, two, three] = it.expires();
        one > 0 && one < Y2200 && one == two && one == three
    });
    it.server.logs("expires in 2 days");
    // A pool may still be served by workers of the first.
    let second = {
        let mut second = first.clone();
        within(PATIENCE, "it is shown", || {
            second = shown(&it.secured, it.server.address()).expect("a handshake");
            second != first
        });
        second
    };
    // The process that is started in place of another one has it too.
    let killed = proc::children(it.server.parent());
    for &pid in &killed {
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
    within(PATIENCE, "they are reaped", || !killed.iter().any(|&pid| proc::runs(pid)));
    within(PATIENCE, "it is shown", || {
        shown(&it.secured, it.server.address()).is_ok_and(|cert| {
            assert!(cert == second, "an earlier certificate");
            true
        })
    });
    assert_eq!(it.server.stop().code, Some(0));
}

#[test]
fn a_key_that_every_user_can_read_is_a_warning() {
    let secured = Secured::new();
    let readable = fs::Permissions::from_mode(0o644);
    fs::set_permissions(secured.path("key.pem"), readable).expect("chmod");
    let server = serve!("upper", Model::Epoll).args(&secured.options()).start();
    server.logs("every user can read the key in");
}

#[test]
fn a_certificate_that_expires_is_a_warning_at_the_start_and_at_a_reload() {
    for (validity, words) in
        [(Validity::Over, "has expired"), (Validity::Soon, "expires in 2 days")]
    {
        let secured = Secured::new();
        secured.replace(validity);
        let server = serve!("upper", Model::Epoll).args(&secured.options()).start();
        server.logs(words);
        server.signal(Signal::SIGHUP);
        within(PATIENCE, "it is said again", || server.stderr().matches(words).count() == 2);
    }
}

#[test]
fn the_status_tells_how_long_the_certificate_is_valid() {
    let it = Watched::start(Model::Prefork);
    let page = || windlass!("status", it.folder.path().join("control")).run().stdout;
    within(PATIENCE, "it is told", || {
        String::from_utf8(page()).expect("text").contains("certificate  expires in 6")
    });
}

#[test]
fn a_supervisor_gives_a_listener_its_new_certificate() {
    let secured = Secured::new();
    let text = format!(
        "[[listener]]\nservice = 'upper'\nlisten = 'tcp:127.0.0.1:0'\ntls-cert = '{}'\ntls-key = '{}'\n",
        secured.path("cert.pem"),
        secured.path("key.pem"),
    );
    let supervised = supervise!(&text).start();
    let member = supervised.listening();
    secured.client(&member.address).upper(b"before");
    secured.replace(Validity::Now);
    supervised.signal(Signal::SIGHUP);
    within(PATIENCE, "a new process", || supervised.stderr().contains("changed=1"));
    secured.client(&member.address).upper(b"after");
}
