//! TLS with the clients that people have.
//!
//! - curl, `windlass get` and `windlass talk` get what is served, and name what is wrong with a certificate.
//! - `openssl s_client` gets TLS 1.2 and 1.3, nothing older, and no weak suite.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::thread;

use nix::sys::signal::Signal;
use windlass_tests::{
    Feed, Model, Outcome, PATIENCE, Program, Random, Secured, Server, Validity, has, models, serve,
    supervise, windlass, within,
};

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
