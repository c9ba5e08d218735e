//! `windlass status`: prints the state of a server, as text or as JSON.

use std::fmt::Write;
use std::path::Path;

use comfy_table::{CellAlignment, Table, presets};

use super::outcome::print_line;
use crate::client::Observer;
use crate::error::Result;
use crate::status::{Counters, LastFault, Limits, Status, WorkerStatus, brief};
use crate::sys::clock;
use crate::totals::{Histogram, Totals};

/// Faults on the page, which is one screen.
const FAULTS_SHOWN: usize = 5;

pub(super) fn status(path: &Path, json: bool, timeout_us: u64) -> Result<()> {
    let (status, line) = Observer::new(path).ask(timeout_us)?;
    print_line(&if json { line } else { page(&status) })
}

/// The scoreboard alone on the first line, then everything else.
fn page(status: &Status) -> String {
    let Status { service, model, address, pid, generation, limits, totals, .. } = status;
    let state = match (status.stopping, status.crash_loop) {
        (true, _) => ", stopping",
        (false, true) => ", crash loop",
        (false, false) => "",
    };
    let up = brief(status.uptime_us);
    let busy = status.workers.iter().filter(|worker| worker.client).count();
    let alive = status.workers.len();
    let queue = status
        .queue
        .map_or("unknown".to_owned(), |queue| format!("{} of {}", queue.waiting, queue.limit));
    let mut lines = vec![
        status.scoreboard.clone(),
        String::new(),
        format!(
            "{service} {model} on {address}, pid {pid}, up {up}, generation {generation}{state}"
        ),
    ];
    lines.extend(limits_line(limits));
    lines.push(format!("now          {alive} workers, {busy} with a client; accept queue {queue}"));
    lines.extend(certificate_line(status.certificate_expires_us));
    lines.extend(counter_lines(&status.counters, totals));
    lines.extend(fault_lines(&status.last_faults));
    if !status.workers.is_empty() {
        lines.extend([String::new(), table(&status.workers)]);
    }
    lines.join("\n").trim_end_matches('\n').to_owned()
}

/// None: the listener has no TLS.
fn certificate_line(expires_us: Option<u64>) -> Option<String> {
    let (expires, now) = (expires_us?, clock::calendar().as_nanos() / 1_000);
    Some(match expires.checked_sub(now) {
        Some(left) => format!("certificate  expires in {}", brief(left)),
        None => format!("certificate  expired {} ago", brief(now - expires)),
    })
}

/// None: there is one worker, or one for each client.
fn limits_line(limits: &Limits) -> Option<String> {
    let Limits { max_workers, min_spare, max_spare, requests_per_worker } = limits;
    let mut line = format!("limits       {max_workers} workers at most");
    if let (Some(min), Some(max)) = (min_spare, max_spare) {
        let _ = write!(line, ", {min} to {max} of them idle");
    }
    if let Some(requests) = requests_per_worker {
        let _ = write!(line, ", each for {requests} connections");
    }
    Some(line).filter(|_| *max_workers > 1)
}

/// What was counted: of rare events those that there were.
fn counter_lines(counters: &Counters, totals: &Totals) -> Vec<String> {
    let Counters { connections, redispatched, shed, lost, .. } = counters;
    let Counters { spawned, failed_spawns, crashed, killed, reloads, .. } = counters;
    let mut lines = vec![format!(
        "connections  {connections} served, {redispatched} redispatched, {lost} lost, {shed} shed"
    )];
    if *spawned > 0 {
        lines.push(format!(
            "workers      {spawned} started, {crashed} crashed, {killed} killed, \
             {failed_spawns} not started; {reloads} reloads"
        ));
    }
    let now = totals.now();
    let mut rows: [(&str, Vec<String>); 4] = [
        ("clients      ", vec![format!("{} accepted, {now} now", totals.accepted)]),
        ("traffic      ", vec![format!("{} bytes in, {} out", totals.bytes_in, totals.bytes_out)]),
        ("files        ", Vec::new()),
        ("datagrams    ", Vec::new()),
    ];
    let named = [
        (0, totals.served, "to the end"),
        (0, totals.checked, "checks of a balancer"),
        (0, totals.malformed, "broke the protocol"),
        (0, totals.reset, "reset"),
        (0, totals.timed_out, "timed out"),
        (0, totals.storage, "with a file that could not be read or written"),
        (0, totals.integrity, "with a wrong digest"),
        (0, totals.aborted, "ended by the server"),
        (0, totals.declined, "gave up"),
        (0, totals.denied, "refused"),
        (0, totals.oversized, "too large"),
        (0, totals.unserved, "without resources"),
        (2, totals.files_sent, "sent"),
        (2, totals.files_received, "received"),
        (2, totals.files_refused, "refused"),
        (2, totals.files_failed, "failed"),
        (3, totals.datagrams_in, "in"),
        (3, totals.datagrams_out, "out"),
        (3, totals.retransmitted, "sent again"),
        (3, totals.datagrams_malformed, "malformed"),
        (3, totals.datagrams_too_long, "too long"),
        (3, totals.datagrams_refused, "of clients that are refused"),
        (3, totals.datagrams_unsent, "not sent"),
        (3, totals.datagrams_overflowed, "dropped by the kernel"),
    ];
    for (row, count, what) in named.into_iter().filter(|&(_, count, _)| count > 0) {
        rows[row].1.push(format!("{count} {what}"));
    }
    let spread = |name: &str, histogram: &Histogram| {
        let below = |part| histogram.quantile_us(part).map_or("more".to_owned(), brief);
        let text = format!("{name}half within {}, 99 % within {}", below(500), below(990));
        (histogram.count() > 0).then_some(text)
    };
    let rows = rows.into_iter().filter(|(_, parts)| !parts.is_empty());
    lines.extend(rows.map(|(name, parts)| format!("{name}{}", parts.join(", "))));
    lines.extend(spread("duration     ", &totals.duration));
    lines.extend(spread("first byte   ", &totals.first_byte));
    lines
}

/// The last of what went wrong.
fn fault_lines(faults: &[LastFault]) -> Vec<String> {
    let line = |(nth, fault): (usize, &LastFault)| {
        let head = if nth == 0 { "last faults" } else { "" };
        let parts = [fault.kind.replace('_', " "), fault.party()];
        let text = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ");
        format!("{head:<13}{} ago: {text}", brief(fault.ago_us))
    };
    faults.iter().take(FAULTS_SHOWN).enumerate().map(line).collect()
}

fn table(workers: &[WorkerStatus]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["slot", "epoch", "pid", "state", "for", "served", "cpu", "private"]);
    for worker in workers {
        table.add_row([
            worker.slot.to_string(),
            worker.epoch.to_string(),
            worker.pid.to_string(),
            worker.state.name().to_owned(),
            brief(worker.since_us),
            worker.requests.to_string(),
            worker.cpu_us.map_or("-".to_owned(), brief),
            worker.private_bytes.map_or("-".to_owned(), |bytes| format!("{} KiB", bytes / 1024)),
        ]);
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        if index != 3 {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}
