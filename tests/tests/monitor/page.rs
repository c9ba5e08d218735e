//! The page of the monitor: what it shows, and what Chromium makes of it.
//!
//! Chromium looks at the page in two frames, as wide as a telephone and as a desk, through a server of the test: so a
//! document of the test may look into the frames, and all requests are seen.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;

use base64::prelude::{BASE64_STANDARD, Engine};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use windlass_tests::{Client, Model, PATIENCE, Program, has, models, supervise, within};

use super::{Monitored, config, get, until_ready};

models!(a_worker_that_is_killed_is_on_the_page: epoll Epoll, prefork Prefork);

/// The page, when it has all of these words.
fn until_shown(at: &str, words: &[&str]) -> String {
    let mut page = String::new();
    within(PATIENCE, &format!("{words:?} on the page"), || {
        page = get(at, "/").1;
        words.iter().all(|it| page.contains(it))
    });
    page
}

fn a_worker_that_is_killed_is_on_the_page(model: Model) {
    let monitored = Monitored::start("upper", model, "");
    until_ready(&monitored.at, 200);
    let page = until_shown(&monitored.at, &["<title>ready: windlass</title>", "<p>none</p>"]);
    assert_eq!(page.matches("<article ").count(), 1, "{page}");
    let worker = monitored.server.workers().pop().unwrap_or(monitored.server.pid());
    kill(Pid::from_raw(worker), Signal::SIGKILL).expect("kill");
    until_shown(&monitored.at, &["crashed", &format!("pid {worker}, was killed by SIGKILL")]);
    until_shown(&monitored.at, &["<title>ready: windlass</title>"]);
}

#[test]
fn a_drain_is_on_the_page() {
    let monitored = Monitored::start("upper", Model::Epoll, "--grace 30");
    until_ready(&monitored.at, 200);
    let mut client = monitored.server.connect();
    client.upper(b"hello");
    kill(Pid::from_raw(monitored.server.parent()), Signal::SIGTERM).expect("kill");
    until_shown(
        &monitored.at,
        &["<title>drains, 1 clients left: windlass</title>", "◐</span> drains"],
    );
    drop(client);
    assert_eq!(monitored.server.wait().code, Some(0));
}

#[test]
fn a_listener_that_a_reload_adds_has_a_card() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("monitor");
    let at = format!("unix:{}", path.display());
    let (supervised, _) = supervise!(&config(&path)).serving(1);
    until_ready(&at, 200);
    assert_eq!(get(&at, "/").1.matches("<article ").count(), 1);
    let more = "[[listener]]\nservice = 'echo'\nlisten = 'tcp:127.0.0.1:0'\nmodel = 'prefork'\n";
    supervised.reload(&format!("{}{more}", config(&path)));
    let page = until_shown(&at, &["<h2>echo "]);
    assert_eq!(page.matches("<article ").count(), 2);
    supervised.reload(&config(&path));
    within(PATIENCE, "its card is gone", || !get(&at, "/").1.contains("<h2>echo "));
}

#[test]
fn rates_are_drawn() {
    let monitored = Monitored::start("upper", Model::Epoll, "");
    until_ready(&monitored.at, 200);
    monitored.server.connect().converse(b"hello");
    // The first sample comes within five seconds.
    until_shown(
        &monitored.at,
        &["<path class=\"line\" d=\"M119 ", "new clients in the last 10 minutes"],
    );
}

#[test]
fn slow_readers_of_the_page_keep_no_other_out() {
    let monitored = Monitored::start("upper", Model::Epoll, "");
    until_ready(&monitored.at, 200);
    let mut slow = Vec::new();
    for _ in 0..1000 {
        let mut client = Client::connect(&monitored.at);
        // The server may have closed it already, in favour of one that came later.
        let _ = client.try_send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n".repeat(8).as_slice());
        slow.push(client);
    }
    for _ in 0..100 {
        let (code, page) = get(&monitored.at, "/");
        assert!(code == 200 && page.ends_with("</html>"), "{code}");
    }
    monitored.server.connect().converse(b"hello");
}

/// A server that passes requests on to the monitor, and has a document that looks at the page.
struct Between {
    at: String,
    asked: Arc<Mutex<Vec<String>>>,
}

/// Looks at both frames from time to time, and ends with what it saw as base64.
const LOOKOUT: &str = r#"<!doctype html><meta charset=utf-8><link rel=icon href="data:,">
<iframe id=narrow width=390 height=844 src="/"></iframe><iframe id=wide width=1280 height=900 src="/"></iframe>
<pre id=seen></pre>
<script>
const looks = [];
function look(frame) {
  const page = frame.contentDocument, root = page.documentElement, all = (what) => [...page.querySelectorAll(what)];
  const open = page.querySelector('details');
  if (open && !looks.length) open.open = true;
  return {
    widths: [root.scrollWidth, root.clientWidth],
    // The head of the list of faults is there for screen readers.
    overflows: all('main *').filter((it) => !it.closest('.faults thead') && it.scrollWidth > it.clientWidth + 1 && it.clientWidth > 0
      && getComputedStyle(it).display !== 'inline').map((it) => it.nodeName + ' ' + it.className),
    cards: all('article.card h2').map((it) => it.textContent),
    columns: getComputedStyle(page.querySelector('.cards')).gridTemplateColumns.split(' ').length,
    sparks: all('article.card svg[role=img] > title').length,
    boards: all('.board').map((it) => it.textContent),
    heads: all('th').every((it) => it.scope),
    faults: all('.faults tbody tr').map((it) => it.innerText),
    live: page.getElementById('live').textContent,
    stale: page.body.classList.contains('stale'),
    isOpen: open && open.open,
    mark: page.getElementById('mark')?.textContent,
    ground: getComputedStyle(page.body).backgroundColor,
    ink: getComputedStyle(page.body).color,
    asked: frame.contentWindow.performance.getEntriesByType('resource').map((it) => it.name),
    title: page.title,
  };
}
onload = () => setInterval(() => {
  looks.push([narrow, wide].map(look));
  const text = JSON.stringify(looks).replace(/[^\x00-\x7f]/g, (it) => '\\u' + it.charCodeAt(0).toString(16).padStart(4, '0'));
  seen.textContent = btoa(text);
}, 1000);
</script>"#;

/// Requests of the page that are answered; later ones are not.
const ANSWERED: usize = 8;

impl Between {
    fn new(monitor: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let at = listener.local_addr().expect("an address").to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (known, monitor) = (Arc::clone(&asked), monitor.to_owned());
        // It ends with the process.
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (known, monitor) = (Arc::clone(&known), monitor.clone());
                thread::spawn(move || answer(client, &monitor, &known));
            }
        });
        Self { at, asked }
    }

    /// What Chromium saw of both frames in so many milliseconds, look by look, with this setting of its engine.
    #[track_caller]
    fn looks(&self, folder: &Path, millis: u32, setting: &str) -> Vec<[Value; 2]> {
        let shown = Program::new("chromium")
            .words(
                "--headless --no-sandbox --disable-gpu --no-proxy-server --window-size=1800,1000",
            )
            .arg(format!("--virtual-time-budget={millis}"))
            .arg(format!("--blink-settings={setting}"))
            .arg(format!("--user-data-dir={}", folder.join("profile").display()))
            .arg("--dump-dom")
            .arg(format!("http://{}/lookout", self.at))
            .run();
        let dom = String::from_utf8_lossy(&shown.stdout);
        let seen =
            dom.split_once("<pre id=\"seen\">").and_then(|(_, rest)| rest.split_once("</pre>"));
        let seen = seen.unwrap_or_else(|| panic!("{dom}\n{}", shown.stderr)).0;
        let seen = BASE64_STANDARD.decode(seen).expect("base64");
        serde_json::from_slice(&seen).expect("JSON")
    }
}

/// Answers one request, and notes it.
fn answer(mut client: TcpStream, monitor: &str, asked: &Mutex<Vec<String>>) -> Option<()> {
    let mut lines = BufReader::new(client.try_clone().ok()?).lines();
    let path = lines.next()?.ok()?.split(' ').nth(1)?.to_owned();
    while !lines.next()?.ok()?.is_empty() {}
    let nth = {
        let mut asked = asked.lock().expect("no panic");
        asked.push(path.clone());
        asked.iter().filter(|it| **it == path).count()
    };
    let (code, body) = match path.as_str() {
        "/lookout" => (200, LOOKOUT.to_owned()),
        "/" if nth > ANSWERED => (503, String::new()),
        path => get(monitor, path),
    };
    let body = body.replace("</h1>", &format!("</h1><p id=\"mark\">{nth}</p>"));
    let head = format!(
        "HTTP/1.1 {code} X\r\nContent-Type: text/html\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    client.write_all(head.as_bytes()).and_then(|()| client.write_all(body.as_bytes())).ok()
}

/// The colours of the page that Chromium shows to a reader with this setting: of the ground, and of text on it.
fn colours(at: &str, scheme: u8) -> [u32; 2] {
    let folder = tempfile::tempdir().expect("a folder");
    let setting = format!("preferredColorScheme={scheme}");
    let looks = Between::new(at).looks(folder.path(), 3000, &setting);
    let brightness = |colour: &Value| {
        let colour = colour.as_str().expect("a colour");
        let parts = colour.trim_start_matches("rgb(").trim_end_matches(')').split(", ");
        parts.map(|part| part.parse::<u32>().expect("rgb(…)")).sum()
    };
    ["ground", "ink"].map(|of| brightness(&looks[0][1][of]))
}

#[test]
fn it_is_light_or_dark_as_its_reader_has_it() {
    if !has("chromium") {
        return;
    }
    let monitored = Monitored::start("upper", Model::Epoll, "");
    until_ready(&monitored.at, 200);
    let [[light, on_light], [dark, on_dark]] = [1, 0].map(|scheme| colours(&monitored.at, scheme));
    // Of 765: white is the highest.
    assert!(light > on_light + 400 && dark + 400 < on_dark, "{light} {on_light} {dark} {on_dark}");
}

#[test]
fn without_javascript_a_browser_loads_it_again() {
    let monitored = Monitored::start("upper", Model::Epoll, "");
    until_ready(&monitored.at, 200);
    let again = "<noscript><meta http-equiv=\"refresh\" content=\"5\"></noscript>";
    until_shown(&monitored.at, &[again, monitored.server.address()]);
}

#[test]
fn chromium_shows_it_whole_at_both_widths_and_keeps_it_new() {
    if !has("chromium") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let monitor = folder.path().join("monitor");
    let long = folder.path().join("a-socket-with-a-name-that-is-longer-than-a-telephone-is-wide");
    let more = format!(
        "[[listener]]\nservice = 'echo'\nlisten = 'unix:{}'\nmodel = 'pool-static'\nworkers = 12\n\
         [[listener]]\nservice = 'upper'\nlisten = 'udp:127.0.0.1:0'\nmodel = 'poll'\n",
        long.display()
    );
    let (supervised, members) = supervise!(&format!("{}{more}", config(&monitor))).serving(3);
    let at = format!("unix:{}", monitor.display());
    until_ready(&at, 200);
    let upper = members.iter().find(|it| it.address.starts_with("tcp:")).expect("of three");
    let mut client = Client::connect(&upper.address);
    client.upper(b"hello");
    client.reset();
    until_shown(&at, &["reset</td>"]);

    let between = Between::new(&at);
    let looks = between.looks(folder.path(), 12_000, "preferredColorScheme=1");
    let [narrow, wide] = &looks[0];
    for page in [narrow, wide] {
        let cards: Vec<_> = page["cards"].as_array().expect("a list").iter().collect();
        assert_eq!(cards.len(), 3, "{page:#}");
        assert_eq!(cards[1], &format!("echo unix:{}", long.display()));
        assert_eq!(page["sparks"], 14, "five for each listener, four for datagrams: {page:#}");
        assert_eq!(page["boards"].as_array().map(Vec::len), Some(3));
        assert_eq!(page["boards"][1], "............");
        assert_eq!(
            (&page["heads"], &page["overflows"]),
            (&true.into(), &Value::Array(Vec::new())),
            "{page:#}"
        );
        assert!(page["faults"][0].as_str().is_some_and(|it| it.contains("reset")), "{page:#}");
        assert_eq!(page["widths"][0], page["widths"][1], "it does not scroll sideways: {page:#}");
        // The policy lets its style and its script be.
        assert_ne!(page["ground"], "rgba(0, 0, 0, 0)");
        assert_eq!((&page["live"], &page["title"]), (&"live".into(), &"ready: windlass".into()));
    }
    assert_eq!(narrow["columns"], 1);
    assert!(wide["columns"].as_u64() > Some(1), "{wide:#}");

    let mark = |page: &Value| page["mark"].as_str().and_then(|it| it.parse::<usize>().ok());
    let newest = looks.iter().flatten().filter_map(mark).max();
    assert_eq!(newest, Some(ANSWERED), "it asks again and again: {looks:#?}");
    let last = &looks[looks.len() - 1];
    for page in last {
        assert_eq!((&page["stale"], &page["isOpen"]), (&true.into(), &true.into()), "{page:#}");
        assert!(
            page["live"].as_str().is_some_and(|it| it.starts_with("no answer since")),
            "{page:#}"
        );
        assert_eq!(page["cards"].as_array().map(Vec::len), Some(3), "what was known stays");
        let asked = page["asked"].as_array().expect("a list");
        let own = format!("http://{}/", between.at);
        assert!(!asked.is_empty() && asked.iter().all(|it| *it == own), "{page:#}");
    }
    let asked = between.asked.lock().expect("no panic");
    assert!(asked.iter().all(|it| it == "/" || it == "/lookout"), "{asked:?}");
    drop(supervised);
}
