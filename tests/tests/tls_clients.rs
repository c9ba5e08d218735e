//! TLS with the clients that people have.
//!
//! - curl, `windlass get` and `windlass talk` get what is served, and name what is wrong with a certificate.
//! - A part that `get --continue` or curl has is resumed over TLS as without it.

use std::fs;
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use windlass_tests::{
    Feed, Model, Outcome, PATIENCE, Program, Random, Secured, Server, Validity, has, serve,
    services, windlass, within,
};

const SIZE: usize = 3_000_001;

/// Older than this, a file has a strong tag.
const AGE: Duration = Duration::from_millis(200);

struct Place {
    secured: Secured,
    folder: tempfile::TempDir,
    server: Server,
}

impl Place {
    fn new() -> Self {
        Self::with("")
    }

    fn with(options: &str) -> Self {
        let (secured, folder) = (Secured::new(), tempfile::tempdir().expect("a folder"));
        let root = folder.path().join("root");
        fs::create_dir(&root).expect("mkdir");
        fs::write(root.join("image"), content()).expect("write");
        let options = format!("--root {} {} {options}", root.display(), secured.options());
        let server = serve!("http", Model::Prefork).args(&options).start();
        // While a file is younger than the ticks of the clock it has no tag to resume by.
        within(PATIENCE, "the file is old enough", || {
            let age = fs::metadata(root.join("image")).and_then(|it| it.modified());
            age.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > AGE))
        });
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
fn a_unix_socket_has_tls_too() {
    if !has("curl") {
        return;
    }
    let place = Place::new();
    let root = place.folder.path().join("root");
    let socket = place.folder.path().join("socket");
    let options = format!("--root {} {}", root.display(), place.secured.options());
    let server =
        serve!("http", Model::Epoll).args(&options).listen(format!("unix:{}", socket.display()));
    let _server = server.start();
    let ca = place.secured.path("ca.pem");
    let words = format!("-sS --fail --cacert {ca} -o {} --unix-socket", place.target());
    let curl = Program::new("curl").words(&words).arg(&socket).arg("https://localhost/image");
    succeeded(&curl.run());
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
fn a_certificate_that_signed_itself_is_its_own_authority() {
    if !has("openssl") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).to_str().expect("text").to_owned();
    let (cert, key) = (path("cert.pem"), path("key.pem"));
    let words = format!(
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=this \
         -addext subjectAltName=IP:127.0.0.1 -keyout {key} -out {cert}"
    );
    succeeded(&Program::new("openssl").words(&words).run());
    let options = format!("--tls-cert {cert} --tls-key {key}");
    let server = serve!("upper", Model::Epoll).args(&options).start();
    let address = server.address().replace("tcp:", "tls:");
    let talk = |address: &str, ca: &str| {
        windlass!("talk", address, "--ca", ca).feed(Feed::Pipe(b"yes\n".to_vec())).run()
    };
    let heard = talk(&address, &cert);
    succeeded(&heard);
    assert_eq!(heard.stdout, b"YES\n");
    let other = talk(&address.replace("127.0.0.1", "localhost"), &cert);
    assert!(other.stderr.contains("its certificate is for another name"), "{}", other.stderr);
    let stranger = talk(&address, &Secured::new().path("ca.pem"));
    assert_eq!(stranger.code, Some(1), "{}", stranger.stderr);
    assert!(
        stranger.stderr.contains("its certificate is that of an authority"),
        "{}",
        stranger.stderr
    );
}

#[test]
fn windlass_get_resumes_what_a_killed_worker_left() {
    let place = Place::with("--rate 1000000 --access-log stderr");
    let ca = place.secured.path("ca.pem");
    let get = || windlass!("get", "-c", "--ca", &ca, "-o", place.target(), place.url());
    let part = || {
        let names = fs::read_dir(place.folder.path()).expect("the folder").flatten();
        let mut parts = names.filter(|it| it.path().extension().is_some_and(|end| end == "part"));
        parts.next().and_then(|it| it.metadata().ok()).map_or(0, |it| it.len())
    };
    let cut = thread::scope(|scope| {
        let first = scope.spawn(|| get().run());
        within(PATIENCE, "a part", || part() > 0);
        for worker in place.server.workers() {
            let _ = kill(Pid::from_raw(worker), Signal::SIGKILL);
        }
        first.join().expect("a client")
    });
    cut.fails_with(1, &["bytes are kept", "--continue"]);
    assert!(part() < SIZE as u64);
    succeeded(&get().run());
    assert!(fs::read(place.target()).expect("read") == content());
    within(PATIENCE, "a part was asked for", || place.server.stderr().contains(" 206 "));
}

#[test]
fn curl_resumes() {
    if !has("curl") {
        return;
    }
    let place = Place::new();
    // As a curl that was killed leaves it.
    fs::write(place.target(), &content()[..1_000_000]).expect("write");
    let ca = place.secured.path("ca.pem");
    let words = format!("-sS --fail -C - --cacert {ca} -w %{{http_code}} -o {}", place.target());
    let outcome = Program::new("curl").words(&words).arg(place.url()).run();
    succeeded(&outcome);
    assert_eq!(outcome.stdout, b"206");
    assert!(fs::read(place.target()).expect("read") == content());
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
    let root = tempfile::tempdir().expect("a folder");
    for (service, options) in services(root.path()) {
        let plain = serve!(service, Model::Epoll).args(&options).start();
        let spoken = talk(plain.address().replace("tcp:", "tls:")).stderr;
        assert!(spoken.contains("it does not speak TLS"), "{service}: {spoken}");
    }
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
