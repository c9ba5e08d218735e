//! The page as text.

use super::*;
use crate::status::{State, Status, WorkerStatus};
use crate::totals::Totals;

fn worker(slot: u16) -> WorkerStatus {
    let state = if slot.is_multiple_of(3) { State::Busy } else { State::Idle };
    WorkerStatus { slot, state, client: state == State::Busy, ..WorkerStatus::default() }
}

fn listener(address: &str, workers: u16) -> Told {
    let fault = LastFault {
        kind: "timed_out".to_owned(),
        ago_us: 1_500_000,
        peer: Some("192.0.2.7:4711".to_owned()),
        ..LastFault::default()
    };
    let status = Status {
        service: "upper".to_owned(),
        address: address.to_owned(),
        workers: (0..workers).map(worker).collect(),
        totals: Totals { accepted: 1_204, timed_out: 1, ..Totals::default() },
        last_faults: vec![fault; 16],
        ..Status::default()
    };
    Told { ready: true, answers_datagrams: false, status }
}

fn overview(listeners: Vec<Told>) -> Overview {
    let ready = listeners.iter().all(|it| it.ready);
    Overview { version: "1.2", ready, listeners, ..Overview::default() }
}

fn history() -> History {
    let mut history = History::default();
    for nth in 0..200 {
        let accepted = nth * nth % 1_000_003;
        let now = windlass_core::time::Instant::from_micros(nth * 5_000_000);
        history.note(&Totals { accepted, bytes_in: nth * 77_777, ..Totals::default() }, now);
    }
    history
}

fn text(overview: &Overview) -> String {
    let history = history();
    let histories = vec![&history; overview.listeners.len()];
    String::from_utf8(of(overview, &histories)).unwrap()
}

#[test]
fn each_listener_has_a_card_with_its_values() {
    let page = text(&overview(vec![listener("tcp:a:1", 4), listener("tcp:b:2", 0)]));
    assert_eq!(page.matches("<article class=\"card\"").count(), 2);
    assert_eq!(page.matches("<svg ").count(), 10);
    assert!(page.contains("<title>new clients in the last 10 minutes: now "), "{page}");
    assert!(page.contains(
        r#"<span class="busy">X</span><span class="idle">..</span><span class="busy">X</span>"#
    ));
    assert!(page.contains("<dt>timed out</dt><dd>1</dd>") && page.contains("1\u{202f}204"));
    assert!(
        page.contains(">timed out</td><td class=\"party\" role=\"cell\">192.0.2.7:4711</td>"),
        "{page}"
    );
    assert!(page.contains("<title>ready: windlass</title>"));
}

#[test]
fn the_state_is_a_word_and_a_sign() {
    let states = |change: fn(&mut Overview)| {
        let mut overview = overview(vec![listener("tcp:a:1", 1), listener("tcp:b:2", 1)]);
        change(&mut overview);
        overview.ready &= overview.listeners.iter().all(|it| it.ready);
        text(&overview)
    };
    for (change, title, badge) in [
        ((|_| {}) as fn(&mut Overview), "ready", "●</span> serves"),
        (|it| it.listeners[0].ready = false, "1 of 2 do not serve", "▲</span> not ready"),
        (
            |it| {
                it.listeners[0].ready = false;
                it.listeners[0].status.crash_loop = true;
            },
            "1 of 2 do not serve",
            "✖</span> crash loop",
        ),
        (
            |it| {
                (it.stopping, it.ready) = (true, false);
                it.listeners[0].status.stopping = true;
                it.listeners[0].status.totals.begun = 4;
            },
            "drains, 3 clients left",
            "◐</span> drains",
        ),
    ] {
        let page = states(change);
        assert!(page.contains(&format!("<title>{title}: windlass</title>")), "{title}");
        assert!(page.contains(badge), "{badge}");
    }
}

#[test]
fn no_text_can_leave_its_place() {
    let page = text(&overview(vec![listener("unix:/a\"><script>alert(1)</script>&", 1)]));
    assert_eq!(page.matches("<script>").count(), 1);
    assert!(page.contains("unix:/a&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;&amp;"), "{page}");
}

#[test]
fn the_policy_is_of_the_style_and_the_script_that_are_there() {
    let page = text(&overview(Vec::new()));
    for tag in ["style", "script"] {
        let (_, rest) = page.split_once(&format!("<{tag}>")).unwrap();
        let (content, _) = rest.split_once(&format!("</{tag}>")).unwrap();
        let hash = BASE64_STANDARD.encode(Sha256::digest(content));
        assert!(page.contains(&format!("{tag}-src 'sha256-{hash}';")), "{tag}");
    }
    assert!(page.contains("default-src 'none'") && !page.contains(" style=\""), "{page}");
}

#[test]
fn the_page_is_bounded() {
    let many: Vec<_> = (0..1000).map(|nth| listener(&format!("tcp:a:{nth}"), 1000)).collect();
    let page = text(&overview(many));
    assert_eq!(page.matches("<article").count(), CARDS_MAX);
    assert!(page.contains("936 more listeners: see status.json"));
    assert_eq!(page.matches(" ago</td>").count(), FAULTS_MAX);
    // 32 KiB for a card with a scoreboard of 1000 workers.
    assert!(page.len() < CARDS_MAX * 32_768, "{}", page.len());
}
