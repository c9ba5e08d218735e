//! Proxies that the environment names.

use windlass_tests::windlass;

use crate::server::{Server, answer_with};

#[test]
fn a_proxy_is_asked_for_the_whole_url() {
    let server = Server::that_says(answer_with(b"here"));
    let proxy = Server::that_says(answer_with(b"by proxy"));
    let login = proxy.url("").replace("http://", "http://u:p@");
    let get = |variable: &str, value: &str, exceptions: &str| {
        let program = windlass!("get", server.url("/a b?c"));
        let program = program.env(variable, value).env("no_proxy", exceptions);
        program.env("NO_PROXY", "").run()
    };
    for variable in ["http_proxy", "all_proxy", "ALL_PROXY"] {
        let outcome = get(variable, &login, "example.org");
        outcome.succeeds();
        assert_eq!(outcome.stdout, b"by proxy");
        let request = proxy.request();
        let line = format!("GET {} HTTP/1.1\r\n", server.url("/a%20b?c"));
        assert!(request.starts_with(&line), "{request}");
        assert!(request.contains(&format!("\r\nHost: {}\r\n", server.address())), "{request}");
        assert!(request.contains("\r\nProxy-Authorization: Basic dTpw\r\n"), "{request}");
        assert!(!request.contains("\r\nAuthorization"), "{request}");
    }
    for (variable, exceptions) in
        [("http_proxy", "*"), ("http_proxy", "localhost,127.0.0.0/8"), ("HTTP_PROXY", "")]
    {
        let outcome = get(variable, &login, exceptions);
        outcome.succeeds();
        assert_eq!(outcome.stdout, b"here");
        assert!(server.request().starts_with("GET /a%20b?c HTTP/1.1\r\n"));
    }
    assert!(proxy.paths().is_empty());
}

#[test]
fn where_a_redirect_leads_may_have_another_way() {
    let away = Server::that_says(answer_with(b"here"));
    let proxy = Server::that_redirects(&[&away.url("/there")]);
    let outcome = windlass!("get", "http://example.invalid/x")
        .env("http_proxy", proxy.address().to_string())
        .env("no_proxy", "127.0.0.1")
        .run();
    outcome.succeeds();
    assert_eq!(outcome.stdout, b"here");
    assert_eq!(proxy.paths(), ["http://example.invalid/x"]);
    assert_eq!(away.paths(), ["/there"]);
}

#[test]
fn a_proxy_that_does_not_work_is_named() {
    let get = |proxy: &str| {
        let program = windlass!("get", "http://example.invalid/x").env("http_proxy", proxy);
        program.env("no_proxy", "").env("NO_PROXY", "").run()
    };
    let denies = Server::that_says("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n");
    get(&denies.url("")).fails_with(1, &["http://example.invalid/x", "407 Proxy"]);
    get("http://127.0.0.1:1").fails_with(1, &["connect to tcp:127.0.0.1:1", "http_proxy names"]);
    let outcome = get("socks5://u:secret@127.0.0.1:1");
    outcome
        .fails_with(1, &["use the proxy for http://example.invalid/x", "http_proxy: only http://"]);
    assert!(!outcome.stderr.contains("secret"), "{outcome}");
}
