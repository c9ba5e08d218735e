//! The page of the monitor: the state of all listeners, for a browser that is left open.
//!
//! It is whole without JavaScript, which only asks for it again and again and replaces what is new. It asks for nothing
//! else: style, script and icon are in it, and its policy allows no request but to the monitor. What is shown is
//! bounded, whatever the number of listeners, workers and faults.

mod card;
mod health;
mod numbers;
mod spark;

use std::sync::LazyLock;

use base64::prelude::{BASE64_STANDARD, Engine};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

use self::card::card;
use self::health::Health;
use self::numbers::{grouped, short};
use super::document::{Overview, Told};
use super::history::{History, Sample};
use crate::status::{LastFault, brief};
use crate::sys::clock::Calendar;

/// Listeners with a card.
const CARDS_MAX: usize = 64;

/// Faults that are listed.
const FAULTS_MAX: usize = 20;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// What the page may do: use its own style and script, and ask the monitor again.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = |text: &str| BASE64_STANDARD.encode(Sha256::digest(text));
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'",
        hash(STYLE),
        hash(SCRIPT),
    )
});

/// The page. `histories` are those of the listeners, in their order.
pub(in crate::server) fn of(overview: &Overview, histories: &[&History]) -> Vec<u8> {
    let health = Health::of_all(overview);
    let listeners = overview.listeners.len();
    let word = match health {
        Health::Serves => "ready".to_owned(),
        Health::Ends => format!("drains, {} clients left", now(overview)),
        Health::Waits | Health::Fails => {
            let serving = overview.listeners.iter().filter(|it| it.ready).count();
            format!("{} of {listeners} do not serve", listeners - serving)
        }
    };
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(*POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                noscript { meta http-equiv="refresh" content="5"; }
                title { (word) ": windlass" }
                link #icon rel="icon" href=(health.icon());
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    (top(overview, histories, &health.badge(Some(&word))))
                    div.cards {
                        @for (it, history) in overview.listeners.iter().zip(histories).take(CARDS_MAX) {
                            (card(it, history))
                        }
                    }
                    @if listeners > CARDS_MAX {
                        p.more { (listeners - CARDS_MAX) " more listeners: see status.json" }
                    }
                    (faults(overview))
                }
                footer {
                    p #live role="status" { "asked for again every 5 seconds" }
                    p {
                        "workers: " b { "." } " idle " b { "X" } " has a client " b { "S" } " starts " b { "D" }
                        " drains " b { "K" } " killed " b { "_" } " no worker"
                    }
                    nav { a href="metrics" { "metrics" } " " a href="status.json" { "status.json" } }
                }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    page.into_string().into_bytes()
}

/// Clients that are served now.
fn now(overview: &Overview) -> u64 {
    overview.listeners.iter().map(|it| it.status.totals.now()).sum()
}

/// The whole server.
fn top(overview: &Overview, histories: &[&History], badge: &Markup) -> Markup {
    let newest = || histories.iter().filter_map(|history| history.newest());
    let rate = |of: fn(&Sample) -> f32| newest().map(|it| f64::from(of(it))).sum::<f64>();
    let faults: u64 = histories.iter().map(|history| history.faults()).sum();
    let Overview { version, pid, started_us, uptime_us, listeners, .. } = overview;
    let served: u64 = listeners.iter().map(|it| it.status.totals.served).sum();
    let facts = [
        ("clients now", grouped(now(overview))),
        ("new clients", short(rate(|it| it.clients), "/s")),
        ("received", short(rate(|it| it.received), "B/s")),
        ("sent", short(rate(|it| it.sent), "B/s")),
        ("served", grouped(served)),
        ("faults in 10 min", grouped(faults)),
    ];
    html! {
        header {
            h1 { "windlass " (badge) }
            p.build {
                "version " (version) " · pid " (pid) " · up " (brief(*uptime_us)) " · since " (moment(*started_us))
            }
            dl.facts {
                @for (name, value) in facts {
                    div { dt { (name) } dd { (value) } }
                }
            }
        }
    }
}

/// The last faults of all listeners, the newest first.
fn faults(overview: &Overview) -> Markup {
    let mut all: Vec<(&Told, &LastFault)> = overview
        .listeners
        .iter()
        .flat_map(|it| it.status.last_faults.iter().map(move |fault| (it, fault)))
        .collect();
    all.sort_by_key(|(_, fault)| fault.ago_us);
    let now_us = overview.started_us.saturating_add(overview.uptime_us);
    html! {
        section.faults {
            h2 { "Last faults" }
            @if all.is_empty() {
                p { "none" }
            } @else {
                // The roles stay when a narrow window shows each row as two lines.
                table role="table" {
                    thead role="rowgroup" {
                        tr role="row" {
                            @for name in ["when", "fault", "client or process", "listener"] {
                                th scope="col" role="columnheader" { (name) }
                            }
                        }
                    }
                    tbody role="rowgroup" {
                        @for (it, fault) in all.into_iter().take(FAULTS_MAX) { (row(it, fault, now_us)) }
                    }
                }
            }
        }
    }
}

fn row(it: &Told, fault: &LastFault, now_us: u64) -> Markup {
    html! {
        tr role="row" {
            td role="cell" title=(moment(now_us.saturating_sub(fault.ago_us))) { (brief(fault.ago_us)) " ago" }
            td.kind role="cell" { (fault.kind.replace('_', " ")) }
            td.party role="cell" { (fault.party()) }
            td role="cell" { (it.status.service) " " span.address { (it.status.address) } }
        }
    }
}

/// A moment of the calendar, in microseconds since 1970: `2026-11-29 17:04:12 UTC`.
fn moment(us: u64) -> String {
    let text = Calendar::of(i64::try_from(us / 1_000_000).unwrap_or(0), 0).to_string();
    format!("{} UTC", text.get(..19).unwrap_or(&text).replace('T', " "))
}

#[cfg(test)]
mod tests;
