//! `openssl s_client` as a judge of the server: what it is offered, and what it is refused.
//!
//! - TLS 1.3 and 1.2, nothing older, and of all suites that OpenSSL knows the strong ones alone.
//! - No renegotiation, no compression, no early data; no certificate is asked of a client.
//! - Tickets are good at all workers; names that the certificate has not, and protocols.

use std::fs;

use windlass_tests::{Feed, Model, Program, Secured, Server, has, models, serve};

models!(sessions_are_resumed: epoll Epoll, fork Fork, pool_static PoolStatic, prefork Prefork);

struct Place {
    secured: Secured,
    server: Server,
    folder: tempfile::TempDir,
}

impl Place {
    /// `None`: there is no OpenSSL.
    fn new(model: Model) -> Option<Self> {
        let (secured, folder) = (Secured::new(), tempfile::tempdir().expect("a folder"));
        fs::write(folder.path().join("page"), "a page").expect("write");
        let options = format!("--root {} {}", folder.path().display(), secured.options());
        let server = serve!("http", model).args(&options).start();
        has("openssl").then_some(Self { secured, server, folder })
    }

    fn session(&self) -> String {
        self.folder.path().join("session").display().to_string()
    }

    fn connect(&self, words: &str, feed: Feed) -> (bool, String) {
        connect(&self.server, &self.secured.path("ca.pem"), words, feed)
    }
}

/// A connection with these options and this input: whether there was one, and what it says.
fn connect(server: &Server, ca: &str, words: &str, feed: Feed) -> (bool, String) {
    let at = server.address().trim_start_matches("tcp:");
    let all = format!("s_client -connect {at} -CAfile {ca} {words}");
    let outcome = Program::new("openssl").words(&all).feed(feed).run();
    let text = String::from_utf8_lossy(&outcome.stdout).into_owned();
    let came = outcome.code == Some(0) && !text.contains("Cipher is (NONE)");
    (came, text + &outcome.stderr)
}

/// The suites that OpenSSL knows for a version.
fn known(version: &str) -> Vec<String> {
    let words = format!("ciphers -s {version} ALL:COMPLEMENTOFALL:@SECLEVEL=0");
    let listed = Program::new("openssl").words(&words).run().stdout;
    let listed = String::from_utf8(listed).expect("text");
    listed.trim().split(':').map(str::to_owned).collect()
}

#[test]
fn nothing_old_and_no_weak_suite() {
    let Some(place) = Place::new(Model::Epoll) else { return };
    let is_taken = |words: &str| place.connect(words, Feed::Nothing).0;
    for old in ["-tls1_1", "-tls1"] {
        assert!(!is_taken(&format!("{old} -cipher ALL:@SECLEVEL=0")), "{old}");
    }
    let mut taken: Vec<_> = known("-tls1_2")
        .into_iter()
        .filter(|suite| is_taken(&format!("-tls1_2 -cipher {suite}:@SECLEVEL=0")))
        .collect();
    taken.sort();
    // The certificate has a key for ECDSA.
    let strong = ["AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305"];
    assert_eq!(taken, strong.map(|suite| format!("ECDHE-ECDSA-{suite}")));
    let strong = ["AES_128_GCM_SHA256", "AES_256_GCM_SHA384", "CHACHA20_POLY1305_SHA256"];
    for suite in strong {
        assert!(is_taken(&format!("-tls1_3 -ciphersuites TLS_{suite}")), "{suite}");
    }
    for suite in ["AES_128_CCM_SHA256", "AES_128_CCM_8_SHA256"] {
        assert!(!is_taken(&format!("-tls1_3 -ciphersuites TLS_{suite}")), "{suite}");
    }
    for group in ["X25519", "P-256", "P-384"] {
        assert!(is_taken(&format!("-groups {group}")), "{group}");
    }
    assert!(!is_taken("-tls1_3 -groups ffdhe2048"));
    // No signature with SHA-1, which a client of TLS 1.2 may ask for.
    assert!(is_taken("-tls1_2 -sigalgs ECDSA+SHA256"));
    assert!(!is_taken("-tls1_2 -sigalgs ECDSA+SHA1 -cipher ALL:@SECLEVEL=0"));
}

/// RSA, as many certificates have it: forward secrecy with the same ciphers, and no other.
#[test]
fn a_key_for_rsa_has_no_weak_suite_either() {
    if !has("openssl") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (cert, key) = (path("cert.pem"), path("key.pem"));
    let words = format!(
        "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=this -addext \
         subjectAltName=IP:127.0.0.1 -keyout {key} -out {cert}"
    );
    assert_eq!(Program::new("openssl").words(&words).run().code, Some(0));
    let options = format!("--tls-cert {cert} --tls-key {key}");
    let server = serve!("upper", Model::Epoll).args(&options).start();
    let is_taken = |words: &str| connect(&server, &cert, words, Feed::Nothing).0;
    assert!(is_taken("-tls1_3"));
    let mut taken = known("-tls1_2");
    taken.retain(|suite| is_taken(&format!("-tls1_2 -cipher {suite}:@SECLEVEL=0")));
    taken.sort();
    let strong = ["AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305"];
    assert_eq!(taken, strong.map(|suite| format!("ECDHE-RSA-{suite}")));
}

#[test]
fn what_is_not_offered() {
    let Some(place) = Place::new(Model::Epoll) else { return };
    let said = |words: &str, feed: &str, expected: &[&str]| {
        let text = place.connect(words, Feed::Pipe(feed.into())).1;
        for words in expected {
            assert!(text.contains(words), "no {words:?} in {text}");
        }
    };
    let both =
        ["Verify return code: 0 (ok)", "Compression: NONE", "No client certificate CA names"];
    said("-tls1_2", "", &both);
    said("-tls1_2", "", &["Secure Renegotiation IS supported", "Extended master secret: yes"]);
    said("-tls1_3", "", &both);
    let get = "GET /page HTTP/1.1\nHost: localhost\nConnection: close\n\n";
    // Tickets come with the answer.
    said("-tls1_3 -crlf -ign_eof", get, &["a page", "Max Early Data: 0"]);
    // A line that begins with R asks for a renegotiation.
    said("-tls1_2", "R\n", &["RENEGOTIATING", "no renegotiation"]);
    said("-tls1_2 -crlf -ign_eof", get, &["a page"]);
}

#[test]
fn names_and_protocols() {
    let Some(place) = Place::new(Model::Epoll) else { return };
    let (came, text) = place.connect("-alpn h2,http/1.1 -servername none.example", Feed::Nothing);
    assert!(came && text.contains("ALPN protocol: http/1.1"), "{text}");
    let (came, text) = place.connect("-noservername", Feed::Nothing);
    assert!(came && text.contains("No ALPN negotiated"), "{text}");
    let (came, text) = place.connect("-alpn h2", Feed::Nothing);
    assert!(!came && text.contains("alert no application protocol"), "{text}");
    // Other services have no name for their protocol.
    let upper = serve!("upper", Model::Epoll).args(&place.secured.options()).start();
    let place = Place { server: upper, ..place };
    assert!(place.connect("-alpn h2", Feed::Nothing).0);
}

fn sessions_are_resumed(model: Model) {
    let Some(place) = Place::new(model) else { return };
    let (_, text) = place.connect("-tls1_2 -reconnect", Feed::Nothing);
    assert_eq!(text.matches("Reused, TLSv1.2").count(), 5, "{text}");
    let get = "GET /page HTTP/1.1\nHost: localhost\nConnection: close\n\n";
    let words = format!("-tls1_3 -crlf -ign_eof -sess_out {}", place.session());
    let (_, text) = place.connect(&words, Feed::Pipe(get.into()));
    assert!(text.contains("New, TLSv1.3") && text.contains("a page"), "{text}");
    for _ in 0..5 {
        let words = format!("-tls1_3 -sess_in {}", place.session());
        let (_, text) = place.connect(&words, Feed::Nothing);
        assert!(text.contains("Reused, TLSv1.3"), "{text}");
    }
}
