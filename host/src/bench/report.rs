//! The table of results, and the line of progress.

use std::fmt;
use std::io::stderr;

use comfy_table::{CellAlignment, Table, presets};

use super::picture::{self, Figures, Picture, Row};
use super::question::Question;
use super::target::Kind;
use crate::standard;

/// One run of one server.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Cell {
    /// The measured figure: nanoseconds, bytes, calls or a ratio, per message or connection.
    pub(super) per: f64,
    /// Messages or connections per second.
    pub(super) per_second: f64,
    /// The part of all datagrams that was lost, in percent.
    pub(super) lost: f64,
}

/// Prints on standard error what is being measured: in one line of a terminal, which is replaced by the
/// table, or in a line each time.
pub(super) struct Progress {
    escapes: bool,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self { escapes: standard::takes_escapes(&stderr()) }
    }

    pub(super) fn show(&self, what: &str) {
        standard::print_stderr(&if self.escapes {
            format!("{CLEAR}{what}")
        } else {
            format!("{what}\n")
        });
    }

    pub(super) fn clear(&self) {
        if self.escapes {
            standard::print_stderr(CLEAR);
        }
    }
}

/// Also if the bench fails, so that the reason begins a line.
impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

const CLEAR: &str = "\r\x1b[K";

/// The rows so far.
pub(super) struct Report {
    question: Question,
    table: Table,
    /// The same to be drawn.
    pub(super) picture: Picture,
}

impl Report {
    pub(super) fn new(question: Question) -> Self {
        let mut table = Table::new();
        table.load_style(presets::ASCII_MARKDOWN);
        let load = load_name(question);
        let mut header =
            vec![load, "bytes", "server", unit(question), "min–max", "ratio", "per second"];
        if question.has_rate() {
            header.push("lost %");
        }
        table.set_header(&header);
        for column in (0..header.len()).filter(|&column| column != 2) {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        Self { question, table, picture: Picture::new(unit(question)) }
    }

    /// Adds a row for each server: medians, and ratios to the first one. `load` is the number of connections,
    /// or the rate.
    pub(super) fn add(&mut self, load: usize, size: usize, kinds: &[Kind], cells: &[Vec<Cell>]) {
        let digits =
            if self.question == Question::Fairness || self.question.is_traced() { 2 } else { 0 };
        let median_of = |cells: &[Cell], what: fn(&Cell) -> f64| {
            let mut values: Vec<f64> = cells.iter().map(what).collect();
            values.sort_by(f64::total_cmp);
            values.get(values.len() / 2).copied().unwrap_or(0.0)
        };
        let first = cells.first().map_or(1.0, |cells| median_of(cells, |cell| cell.per));
        let loads = [(load_name(self.question), load), ("bytes", size)];
        let loads = loads.map(|(name, value)| picture::load(name, &value.to_string()));
        let group = loads.into_iter().flatten().collect::<Vec<_>>().join(", ");
        for (kind, cells) in kinds.iter().zip(cells) {
            let per = median_of(cells, |cell| cell.per);
            let min = cells.iter().map(|cell| cell.per).fold(f64::MAX, f64::min);
            let max = cells.iter().map(|cell| cell.per).fold(0.0, f64::max);
            let mut row = vec![
                load.to_string(),
                size.to_string(),
                kind.to_string(),
                format!("{per:.digits$}"),
                format!("{min:.digits$}–{max:.digits$}"),
                format!("{:.2}", per / first),
                format!("{:.0}", median_of(cells, |cell| cell.per_second)),
            ];
            if self.question.has_rate() {
                row.push(format!("{:.2}", median_of(cells, |cell| cell.lost)));
            }
            self.table.add_row(row);
            let figures = Figures { median: per, min, max };
            self.picture.add(&group, Row { server: kind.to_string(), figures });
        }
    }
}

fn load_name(question: Question) -> &'static str {
    if question.has_rate() { "sent/s" } else { "connections" }
}

fn unit(question: Question) -> &'static str {
    match question {
        Question::Messages => "server ns/message",
        Question::Connects => "server ns/connection",
        Question::Fairness => "most/fewest replies",
        Question::Files => "server ns/MiB",
        Question::Memory => "bytes/idle connection",
        Question::Syscalls => "system calls/message",
        Question::Datagrams | Question::Flood | Question::Scores => "server ns/datagram",
        Question::Latency => "ns/answer",
        Question::Batches => "system calls/datagram",
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.table.fmt(f)
    }
}
