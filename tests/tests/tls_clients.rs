//! TLS with the clients that people have, and certificates that change.
//!
//! - curl, `windlass get` and `windlass talk` get what is served, and name what is wrong with a certificate.
//! - `openssl s_client` gets TLS 1.2 and 1.3, nothing older, and no weak suite.
//! - SIGHUP swaps the certificate under load, or the earlier one goes on.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::thread;

use nix::sys::signal::Signal;
use windlass_tests::{
    Feed, Model, Outcome, PATIENCE, Program, Random, Secured, Server, Validity, has, models, serve,
    supervise, windlass, within,
};

models!(a_new_certificate_is_shown_from_the_next_client_on: fork Fork, thread_pool ThreadPool, epoll Epoll,
    reactor Reactor, pool_static PoolStatic, prefork Prefork);

const SIZE: usize = 3_000_001;

struct Place {
    secured: Secured,
    folder: tempfile::TempDir,
    server: Server,
}

impl Place {
    fn new() -> Self {
        let (secured, folder) = (Secured::new(), tempfile::tempdir().expect("a folder"));
        let root = folder.path().join("root");
        fs::create_dir(&root).expect("mkdir");
        fs::write(root.join("image"), content()).expect("write");
        let options = format!("--root {} {}", root.display(), secured.options());
        let server = serve!("http", Model::Prefork).args(&options).start();
        Self { secured, folder, server }
    }

    fn url(&self) -> String {
        format!("https://{}/image", self.server.address().trim_start_matches("tcp:"))
    }

    fn target(&self) -> String {
        self.folder.path().join("target").display().to_string()
    }
}

fn content() -> Vec<u8> {
    Random::new(1).bytes(SIZE)
}

#[track_caller]
fn succeeded(outcome: &Outcome) {
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
}

#[test]
fn curl_gets_a_file_by_http_1_1() {
    if !has("curl") {
        return;
    }
    let place = Place::new();
    let ca = place.secured.path("ca.pem");
    let words =
        format!("-sS --cacert {ca} -w %{{http_version}} -o {} {}", place.target(), place.url());
    let outcome = Program::new("curl").words(&words).run();
    succeeded(&outcome);
    assert_eq!(outcome.stdout, b"1.1");
    assert!(fs::read(place.target()).expect("read") == content());
}

#[test]
fn windlass_get_checks_the_certificate() {
    let place = Place::new();
    let ca = place.secured.path("ca.pem");
    let get = |words: &str| windlass!("get", place.url()).words(words).run();
    let outcome = get(&format!("--ca {ca} -o {}", place.target()));
    succeeded(&outcome);
    assert!(fs::read(place.target()).expect("read") == content());
    let strange = get("-o /dev/null");
    assert_eq!(strange.code, Some(1));
    let said = "its certificate is signed by no authority that is trusted here";
    let has_none = "the certificates that the system trusts";
    assert!(
        strange.stderr.contains(said) || strange.stderr.contains(has_none),
        "{}",
        strange.stderr
    );
    succeeded(&get("--insecure -o /dev/null"));
}

#[test]
fn what_is_wrong_with_a_server_is_named() {
    let secured = Secured::new();
    secured.replace(Validity::Over);
    let server = serve!("upper", Model::Epoll).args(&secured.options()).start();
    let ca = format!("--ca {}", secured.path("ca.pem"));
    let talk = |address: String| windlass!("talk", address).words(&ca).feed(Feed::Silence).run();
    let address = server.address().replace("tcp:", "tls:");
    let expired = talk(address).stderr;
    assert!(expired.contains("its certificate has expired"), "{expired}");
    let plain = serve!("time", Model::Epoll).start();
    let spoken = talk(plain.address().replace("tcp:", "tls:")).stderr;
    assert!(spoken.contains("it does not speak TLS"), "{spoken}");
    // An end that is not announced.
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("an address");
    let gone = thread::spawn(move || drop(listener.accept().expect("accept")));
    let cut = talk(format!("tls:{address}")).stderr;
    assert!(cut.contains("receive from"), "{cut}");
    gone.join().expect("the server");
}

#[test]
fn windlass_talk_half_closes() {
    let secured = Secured::new();
    let server = serve!("upper", Model::Fork).args(&secured.options()).start();
    let text = Random::new(3).bytes(1_000_000);
    let outcome = windlass!("talk", server.address().replace("tcp:", "tls:"))
        .words(&format!("--ca {}", secured.path("ca.pem")))
        .feed(Feed::Pipe(text.clone()))
        .run();
    succeeded(&outcome);
    assert!(outcome.stdout == text.to_ascii_uppercase(), "{} bytes", outcome.stdout.len());
}

#[test]
fn openssl_gets_no_old_version_and_no_weak_suite() {
    if !has("openssl") {
        return;
    }
    let secured = Secured::new();
    let server = serve!("upper", Model::Epoll).args(&secured.options()).start();
    let at = server.address().trim_start_matches("tcp:").to_owned();
    let connect = |words: &str| {
        let all = format!("s_client -connect {at} -CAfile {} {words}", secured.path("ca.pem"));
        let outcome = Program::new("openssl").words(&all).run();
        let text = String::from_utf8_lossy(&outcome.stdout).into_owned();
        (outcome.code == Some(0) && !text.contains("Cipher is (NONE)"), text + &outcome.stderr)
    };
    for good in ["-tls1_3", "-tls1_2", "-tls1_2 -cipher ECDHE-ECDSA-AES128-GCM-SHA256"] {
        let (came, text) = connect(good);
        assert!(came && text.contains("Verify return code: 0 (ok)"), "{good}: {text}");
    }
    let weak = [
        "-tls1_1 -cipher ALL:@SECLEVEL=0",
        "-tls1 -cipher ALL:@SECLEVEL=0",
        "-tls1_2 -cipher ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0",
        "-tls1_2 -cipher AES128-GCM-SHA256:@SECLEVEL=0",
        "-tls1_2 -cipher ECDHE-ECDSA-AES256-SHA384:@SECLEVEL=0",
    ];
    for suite in weak {
        let (came, text) = connect(suite);
        assert!(!came, "{suite}: {text}");
    }
}

/// The certificate that a client is shown, as its end of the handshake has it.
fn shown(secured: &Secured, server: &Server) -> Result<Vec<u8>, String> {
    let address = server.address().trim_start_matches("tcp:");
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
    let first = shown(&secured, &server).expect("a handshake");
    secured.replace(Validity::Over);
    server.signal(Signal::SIGHUP);
    within(PATIENCE, "the log says so", || {
        server.stderr().contains("the earlier certificate is used")
    });
    assert_eq!(shown(&secured, &server), Ok(first.clone()), "an expired certificate is not used");
    secured.replace(Validity::Now);
    server.signal(Signal::SIGHUP);
    // No client fails meanwhile.
    within(PATIENCE, "the new certificate", || {
        shown(&secured, &server).expect("a handshake") != first
    });
}

#[test]
fn a_key_that_every_user_can_read_is_a_warning() {
    let secured = Secured::new();
    let readable = fs::Permissions::from_mode(0o644);
    fs::set_permissions(secured.path("key.pem"), readable).expect("chmod");
    let server = serve!("upper", Model::Epoll).args(&secured.options()).start();
    within(PATIENCE, "the warning", || server.stderr().contains("every user can read the key in"));
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
