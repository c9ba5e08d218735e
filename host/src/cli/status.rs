//! `windlass status`: prints the state of a server, as text or as JSON.

use std::fmt::Write;
use std::path::Path;

use comfy_table::{CellAlignment, Table, presets};

use super::outcome::print_line;
use crate::client::Observer;
use crate::error::Result;
use crate::status::{Counters, Limits, Status, WorkerStatus, brief};

pub(super) fn status(path: &Path, json: bool, timeout_us: u64) -> Result<()> {
    let (status, line) = Observer::new(path).ask(timeout_us)?;
    print_line(&if json { line } else { page(&status) })
}

/// The scoreboard alone on the first line, then everything else.
fn page(status: &Status) -> String {
    let Status { service, model, address, pid, generation, limits, counters, .. } = status;
    let Limits { max_workers, min_spare, max_spare, requests_per_worker } = limits;
    let Counters {
        connections,
        redispatched,
        shed,
        lost,
        spawned,
        failed_spawns,
        crashed,
        killed,
        reloads,
    } = counters;
    let mut page = format!("{}\n\n", status.scoreboard);
    let state = match (status.stopping, status.crash_loop) {
        (true, _) => ", stopping",
        (false, true) => ", crash loop",
        (false, false) => "",
    };
    let up = brief(status.uptime_us);
    let queue = status
        .queue
        .map_or("unknown".to_owned(), |queue| format!("{} of {}", queue.waiting, queue.limit));
    let mut limits = format!("{max_workers} workers at most");
    if let (Some(min), Some(max)) = (min_spare, max_spare) {
        let _ = write!(limits, ", {min} to {max} of them idle");
    }
    if let Some(requests) = requests_per_worker {
        let _ = write!(limits, ", each for {requests} connections");
    }
    let busy = status.workers.iter().filter(|worker| worker.client).count();
    let alive = status.workers.len();
    // Writing to a string does not fail.
    let _ = write!(
        page,
        "{service} {model} on {address}, pid {pid}, up {up}, generation {generation}{state}\n\
         limits       {limits}\n\
         now          {alive} workers, {busy} with a client; accept queue {queue}\n\
         connections  {connections} served, {redispatched} redispatched, {lost} lost, {shed} shed\n\
         workers      {spawned} started, {crashed} crashed, {killed} killed, \
         {failed_spawns} not started; {reloads} reloads\n"
    );
    if !status.workers.is_empty() {
        let _ = write!(page, "\n{}", table(&status.workers));
    }
    page.trim_end_matches('\n').to_owned()
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
