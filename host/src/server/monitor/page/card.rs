//! The card of a listener.

use maud::{Markup, html};

use super::super::document::Told;
use super::super::history::{History, Sample};
use super::health::Health;
use super::numbers::{grouped, short};
use super::spark::{Form, spark};
use crate::status::{Status, WorkerStatus, brief};
use crate::totals::{Count, ENDS, FAULTS as ALL_FAULTS, Histogram, Totals};

/// Workers in the table of a card.
const WORKERS_MAX: usize = 32;

/// A value with a sparkline: its name, its unit, how it is drawn.
struct Series(&'static str, &'static str, Form, fn(&Sample) -> f32);

const CLIENTS: Series = Series("new clients", "/s", Form::Line, |it| it.clients);
const DATAGRAMS: Series = Series("datagrams", "/s", Form::Line, |it| it.datagrams);
const NOW: Series = Series("clients now", "", Form::Line, |it| it.now as f32);
const RECEIVED: Series = Series("received", "B/s", Form::Line, |it| it.received);
const SENT: Series = Series("sent", "B/s", Form::Line, |it| it.sent);
const FAULTS: Series = Series("faults", "", Form::Bars, |it| it.faults as f32);

/// What is counted in a card beside those that were accepted and how they ended, if there was any.
const COUNTS: [Count; 18] = [
    Count::Unserved,
    Count::Shed,
    Count::Redispatched,
    Count::FilesSent,
    Count::FilesReceived,
    Count::FilesRefused,
    Count::FilesFailed,
    Count::DatagramsIn,
    Count::DatagramsOut,
    Count::Retransmitted,
    Count::DatagramsMalformed,
    Count::DatagramsTooLong,
    Count::DatagramsRefused,
    Count::DatagramsUnsent,
    Count::DatagramsOverflowed,
    Count::Crashed,
    Count::Killed,
    Count::FailedSpawns,
];

fn counted(totals: &Totals) -> impl Iterator<Item = Count> {
    let all = [Count::Accepted].into_iter().chain(ENDS).chain(COUNTS);
    all.filter(|&count| totals.get(count) > 0)
}

/// The card of a listener.
pub(super) fn card(it: &Told, history: &History) -> Markup {
    let Told { status, answers_datagrams, .. } = it;
    let Status { service, model, address, uptime_us, generation, .. } = status;
    let series: &[Series] = if *answers_datagrams {
        &[DATAGRAMS, RECEIVED, SENT, FAULTS]
    } else {
        &[CLIENTS, NOW, RECEIVED, SENT, FAULTS]
    };
    html! {
        article.card id={ (service) " " (address) } {
            header {
                h2 { (service) " " span.address { (address) } }
                (Health::of(it).badge(None))
            }
            p.build { (model) " · up " (brief(*uptime_us)) " · generation " (generation) (queue(status)) (certificate(status)) }
            table.sparks {
                thead { tr {
                    th scope="col" { "last 10 min" } td {} th scope="col" { "now" } th scope="col" { "most" }
                } }
                tbody { @for one in series { (row(one, history)) } }
            }
            (workers(status))
            dl.counts {
                @for count in counted(&status.totals) {
                    div.bad[ALL_FAULTS.contains(&count)] {
                        dt { (count.name().replace('_', " ")) } dd { (grouped(status.totals.get(count))) }
                    }
                }
            }
            (spread("served within", &status.totals.duration))
            (spread("first byte within", &status.totals.first_byte))
        }
    }
}

/// One value: the last ten minutes, now, and the most of them.
fn row(&Series(name, unit, form, of): &Series, history: &History) -> Markup {
    let values = || history.samples().map(of);
    let (now, most) = (history.newest().map(of), values().fold(0.0, f32::max));
    // Without a unit it is a whole number.
    let text = |value: f32| match unit {
        "" => grouped(value as u64),
        unit => short(value.into(), unit),
    };
    let now = match (form, now) {
        // A sample has the faults of some seconds: all of them say more.
        (Form::Bars, _) => grouped(history.faults()),
        (Form::Line, Some(now)) => text(now),
        (Form::Line, None) => "–".to_owned(),
    };
    let most = text(most);
    let title = match form {
        Form::Line => format!("{name} in the last 10 minutes: now {now}, at most {most}"),
        Form::Bars => format!("{name} in the last 10 minutes: {now}, at most {most} in 5 seconds"),
    };
    html! {
        tr.bad[form == Form::Bars && history.faults() > 0] {
            th scope="row" { (name) }
            td.spark { (spark(values(), form, &title)) }
            td { (now) }
            td.most { (most) }
        }
    }
}

fn queue(status: &Status) -> String {
    let queue = status.queue.map(|it| format!(" · queue {} of {}", it.waiting, it.limit));
    queue.unwrap_or_default()
}

fn certificate(status: &Status) -> String {
    let now_us = status.started_us.saturating_add(status.uptime_us);
    let left = |at: u64| match at.checked_sub(now_us) {
        Some(left) => format!(" · certificate for {}", brief(left)),
        None => " · certificate expired".to_owned(),
    };
    status.certificate_expires_us.map(left).unwrap_or_default()
}

/// How long it took for half and for nearly all.
fn spread(name: &str, histogram: &Histogram) -> Markup {
    let below = |part| histogram.quantile_us(part).map_or("more".to_owned(), brief);
    html! {
        @if histogram.count() > 0 {
            p.spread { (name) " " b { (below(500)) } " half, " b { (below(990)) } " 99 %" }
        }
    }
}

/// The letter of a worker, and the name of its style.
fn glyph(worker: &WorkerStatus) -> (char, &'static str) {
    (worker.state.letter(), worker.state.name())
}

/// A letter for each slot; those that are alike side by side are one piece: its style, its letters.
fn board(status: &Status) -> Vec<(&'static str, String)> {
    let most = usize::from(status.limits.max_workers);
    let used = status.workers.iter().map(|worker| usize::from(worker.slot) + 1).max();
    let cells: Vec<_> = if most == 0 {
        // A process or thread for each client: its number says nothing.
        status.workers.iter().map(glyph).collect()
    } else {
        let mut cells = vec![('_', "none"); used.unwrap_or(0).max(most)];
        for worker in &status.workers {
            cells[usize::from(worker.slot)] = glyph(worker);
        }
        cells
    };
    let mut pieces: Vec<(&'static str, String)> = Vec::new();
    for (letter, class) in cells {
        match pieces.last_mut() {
            Some((last, letters)) if *last == class => letters.push(letter),
            _ => pieces.push((class, letter.to_string())),
        }
    }
    pieces
}

/// The scoreboard, and behind it a list of the workers.
fn workers(status: &Status) -> Markup {
    let Status { workers, .. } = status;
    let busy = workers.iter().filter(|worker| worker.client).count();
    html! {
        details id={ "workers of " (status.service) " " (status.address) } {
            summary {
                span.label { "workers " b { (busy) } " of " b { (workers.len()) } " busy" }
                code.board { @for (class, letters) in board(status) { span.(class) { (letters) } } }
            }
            table.workers {
                thead { tr {
                    @for name in ["slot", "pid", "epoch", "state", "for", "served"] { th scope="col" { (name) } }
                } }
                tbody {
                    @for worker in workers.iter().take(WORKERS_MAX) {
                        tr {
                            td { (worker.slot) } td { (worker.pid) } td { (worker.epoch) }
                            td { (worker.state.name()) } td { (brief(worker.since_us)) }
                            td { (grouped(worker.requests)) }
                        }
                    }
                }
            }
            @if workers.len() > WORKERS_MAX { p.more { (workers.len() - WORKERS_MAX) " more" } }
        }
    }
}
