//! Draws the model of `top`, on a terminal of any size.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Row, Sparkline, Table};
use windlass_core::time::Instant;

use super::model::Model;
use crate::status::{State, Status, WorkerStatus, brief};
use crate::totals::Totals;

const TITLE: Style = Style::new().add_modifier(Modifier::REVERSED);
const DIM: Style = Style::new().fg(Color::DarkGray);
const ALARM: Style = Style::new().fg(Color::Red).add_modifier(Modifier::BOLD);

/// The largest number of lines of the scoreboard: a terminal has 24.
const BOARD_LINES_MAX: usize = 6;

pub(super) fn draw(frame: &mut Frame<'_>, model: &mut Model, now: Instant) {
    let area = frame.area();
    let Some(status) = model.status.clone() else {
        let why = model.gone.as_ref().map_or("asking", |(_, why)| why);
        let lines = [Line::styled("windlass top", TITLE), Line::raw(""), gone(model, now, why)];
        frame.render_widget(Paragraph::new(lines.to_vec()), area);
        return;
    };
    let width = usize::from(area.width.max(1));
    let board = board(&status, width);
    let spark = if area.height >= 16 { 3 } else { 0 };
    let [header, counters, rate, chart, scoreboard, workers, footer] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(2),
        Constraint::Length(1),
        Constraint::Length(spark),
        // The board has few lines, so the number fits.
        Constraint::Length(board.len() as u16),
        Constraint::Min(0),
        Constraint::Length(1),
    ])
    .areas(area);
    frame.render_widget(Paragraph::new(title(&status)).style(TITLE), header);
    frame.render_widget(Paragraph::new(totals(&status)), counters);
    frame.render_widget(Paragraph::new(speed(model, &status)), rate);
    let first = model.rates.len().saturating_sub(usize::from(chart.width));
    let shown: Vec<u64> = model.rates.iter().skip(first).copied().collect();
    frame
        .render_widget(Sparkline::default().data(shown).style(Style::new().fg(Color::Cyan)), chart);
    frame.render_widget(Paragraph::new(board), scoreboard);
    table(frame, model, workers);
    frame.render_widget(Paragraph::new(foot(model, now)), footer);
}

/// Removes the colours, and keeps bold, reverse and underline.
pub(super) fn without_colors(frame: &mut Frame<'_>) {
    for cell in &mut frame.buffer_mut().content {
        (cell.fg, cell.bg) = (Color::Reset, Color::Reset);
    }
}

fn title(status: &Status) -> String {
    let Status { service, model, address, pid, generation, .. } = status;
    let up = brief(status.uptime_us);
    format!("{service} {model}  {address}  pid {pid}  up {up}  generation {generation}")
}

fn totals(status: &Status) -> Vec<Line<'static>> {
    let counters = &status.counters;
    let alarming = |count: u64, what: &str| {
        let style = if count > 0 { ALARM } else { Style::new() };
        Span::styled(format!("  {count} {what}"), style)
    };
    let served = Span::raw(format!("connections  {} served", counters.connections));
    // Other models than pools have no workers to tell of.
    let mut workers = if counters.spawned > 0 {
        vec![
            Span::raw(format!("workers      {} started", counters.spawned)),
            alarming(counters.crashed, "crashed"),
            alarming(counters.killed, "killed"),
            alarming(counters.failed_spawns, "not started"),
            Span::raw(format!("  {} reloads", counters.reloads)),
        ]
    } else {
        let Totals { bytes_in, bytes_out, datagrams_in, datagrams_out, .. } = status.totals;
        let datagrams = format!("  {datagrams_in} datagrams in  {datagrams_out} out");
        vec![
            Span::raw(format!("traffic      {bytes_in} bytes in  {bytes_out} out")),
            Span::raw(if datagrams_in > 0 { datagrams } else { String::new() }),
        ]
    };
    if status.crash_loop {
        workers.push(Span::styled("  CRASH LOOP", ALARM));
    }
    if status.stopping {
        workers.push(Span::styled("  STOPPING", ALARM));
    }
    vec![
        Line::from(vec![
            served,
            Span::raw(format!("  {} redispatched", counters.redispatched)),
            alarming(counters.lost, "lost"),
            alarming(counters.shed, "shed"),
        ]),
        Line::from(workers),
    ]
}

fn speed(model: &Model, status: &Status) -> Line<'static> {
    let rate = model.rate.map_or("-".to_owned(), |rate| format!("{rate:.1}"));
    let most = model.rates.iter().max().copied().unwrap_or(0);
    let busy = status.workers.iter().filter(|worker| worker.client).count();
    let mut spans = vec![
        Span::styled(format!("{rate}/s"), Style::new().add_modifier(Modifier::BOLD)),
        Span::raw(format!("  at most {most}/s")),
        Span::raw(format!("  busy {busy} of {}", status.workers.len())),
    ];
    if let Some(queue) = status.queue {
        let text = format!("  accept queue {} of {}", queue.waiting, queue.limit);
        let full = queue.limit > 0 && queue.waiting >= queue.limit;
        spans.push(Span::styled(text, if full { ALARM } else { Style::new() }));
    }
    Line::from(spans)
}

/// The scoreboard, with more letters than the one for scripts: `S` starting, `D` draining, `K` killed.
fn board(status: &Status, width: usize) -> Vec<Line<'static>> {
    let used = status.workers.iter().map(|worker| usize::from(worker.slot) + 1).max();
    let slots = used.unwrap_or(0).max(usize::from(status.limits.max_workers));
    let mut cells = vec![Span::styled("_", DIM); slots];
    for worker in &status.workers {
        let letter = worker.state.letter().to_string();
        cells[usize::from(worker.slot)] = Span::styled(letter, color(worker.state));
    }
    let lines = cells.chunks(width).map(|chunk| Line::from(chunk.to_vec()));
    lines.take(BOARD_LINES_MAX).collect()
}

fn color(state: State) -> Style {
    match state {
        State::Starting => Style::new().fg(Color::Cyan),
        State::Idle => Style::new().fg(Color::Green),
        State::Busy => Style::new().fg(Color::Yellow).add_modifier(Modifier::BOLD),
        State::Draining => Style::new().fg(Color::Magenta),
        State::Killed => ALARM,
        State::Unknown => DIM,
    }
}

fn table(frame: &mut Frame<'_>, model: &mut Model, area: Rect) {
    let rows = model.rows(usize::from(area.height.saturating_sub(1)));
    let widths = [5, 6, 8, 9, 8, 12, 9, 10].map(Constraint::Length);
    let header = ["slot", "epoch", "pid", "state", "for", "served", "cpu", "private"];
    let marked = header.map(|name| {
        let sorted = name == model.sort.name();
        Span::styled(name, if sorted { DIM.add_modifier(Modifier::UNDERLINED) } else { DIM })
    });
    let table = Table::new(rows.iter().map(row), widths).header(Row::new(marked));
    frame.render_widget(table, area);
}

fn row(worker: &WorkerStatus) -> Row<'static> {
    let unknown = || "-".to_owned();
    Row::new([
        Span::raw(worker.slot.to_string()),
        Span::raw(worker.epoch.to_string()),
        Span::raw(worker.pid.to_string()),
        Span::styled(worker.state.name(), color(worker.state)),
        Span::raw(brief(worker.since_us)),
        Span::raw(worker.requests.to_string()),
        Span::raw(worker.cpu_us.map_or_else(unknown, brief)),
        Span::raw(worker.private_bytes.map_or_else(unknown, |it| format!("{} KiB", it / 1024))),
    ])
}

fn foot(model: &Model, now: Instant) -> Line<'static> {
    if let Some((_, why)) = &model.gone {
        return gone(model, now, why);
    }
    let paused = if model.is_paused() { "PAUSED  " } else { "" };
    let keys = format!("q quit  p pause  s sort (by {})  arrows scroll", model.sort.name());
    Line::from(vec![Span::styled(paused, ALARM), Span::styled(keys, DIM)])
}

fn gone(model: &Model, now: Instant, why: &str) -> Line<'static> {
    match &model.gone {
        Some((since, _)) => {
            let gone = brief(now.since(*since));
            Line::styled(format!("gone for {gone}, waiting for it: {why}"), ALARM)
        }
        None => Line::styled(why.to_owned(), DIM),
    }
}

#[cfg(test)]
mod tests;
