//! What a picture of a measurement shows: the ratios of servers, with their ranges.
//!
//! It comes from a run, or from the table that an earlier run printed.

use std::fs;
use std::path::Path;

use crate::error::{Error, Result};
use crate::printable::printable;

/// A measurement to be drawn.
#[derive(Debug, PartialEq)]
pub(super) struct Picture {
    /// What the figures are: `server ns/message`.
    pub(super) unit: String,
    pub(super) groups: Vec<Group>,
}

/// Servers under the same load. Ratios are to the first one.
#[derive(Debug, PartialEq)]
pub(super) struct Group {
    /// The load; empty if the table has one only.
    pub(super) name: String,
    pub(super) rows: Vec<Row>,
}

/// A server.
#[derive(Debug, PartialEq)]
pub(super) struct Row {
    pub(super) server: String,
    pub(super) figures: Figures,
}

/// What was measured in all rounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Figures {
    pub(super) median: f64,
    pub(super) min: f64,
    pub(super) max: f64,
}

/// The columns that a table must have. The one before `RANGE` has the medians, and its header is the unit.
const SERVER: &str = "server";
const RANGE: &str = "min–max";

impl Picture {
    pub(super) fn new(unit: &str) -> Self {
        Self { unit: unit.to_owned(), groups: Vec::new() }
    }

    /// Adds a row to the last group, or to a new one if that has another name.
    pub(super) fn add(&mut self, group: &str, row: Row) {
        match self.groups.last_mut() {
            Some(last) if last.name == group => last.rows.push(row),
            _ => self.groups.push(Group { name: group.to_owned(), rows: vec![row] }),
        }
    }

    /// Reads the Markdown table in a file.
    pub(super) fn from_file(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(Error::of("read", printable(path)))?;
        Self::from_table(&text)
    }

    /// Reads the Markdown table in `text`. Columns before `server` tell the load, and those from there to the
    /// figures tell the server.
    ///
    /// # Errors
    /// There is no such table, or more than one, or a cell of it has no number.
    pub(super) fn from_table(text: &str) -> Result<Self> {
        let fail = |line: &str, why: String| Error::new("read the table", line.trim(), why);
        let mut lines = text.lines().filter(|line| line.trim_start().starts_with('|'));
        let header = lines.next().ok_or_else(|| fail("", "there is none".to_owned()))?;
        let header_cells = cells(header);
        let column = |name: &str| {
            let at = header_cells.iter().position(|&cell| cell == name);
            at.ok_or_else(|| fail(header, format!("it has no column `{name}`")))
        };
        let (server, range) = (column(SERVER)?, column(RANGE)?);
        let Some(figure) = range.checked_sub(1).filter(|&figure| figure > server) else {
            return Err(fail(header, "the figures are not between server and range".to_owned()));
        };
        let mut picture = Self::new(header_cells[figure]);
        for line in lines.skip_while(|line| is_rule(line)) {
            let row_cells = cells(line);
            if row_cells.len() != header_cells.len() {
                let why = format!("it has {} cells, not {}", row_cells.len(), header_cells.len());
                return Err(fail(line, why));
            }
            if is_rule(line) || row_cells == header_cells {
                return Err(fail(line, "a second table begins here".to_owned()));
            }
            let (min, max) = row_cells[range].split_once('–').unwrap_or_default();
            let number = |text: &str| {
                number(text)
                    .ok_or_else(|| fail(line, format!("`{}` is not a number", printable(text))))
            };
            let figures = Figures {
                median: number(row_cells[figure])?,
                min: number(min)?,
                max: number(max)?,
            };
            let loads = header_cells[..server].iter().zip(&row_cells);
            let group: Vec<_> = loads.filter_map(|(name, value)| load(name, value)).collect();
            let server = row_cells[server..figure].join(", ");
            picture.add(&group.join(", "), Row { server, figures });
        }
        if picture.groups.is_empty() {
            return Err(fail(header, "it has no rows".to_owned()));
        }
        Ok(picture)
    }
}

/// A part of the load; none if the measurement has no such part.
pub(super) fn load(name: &str, value: &str) -> Option<String> {
    match (name, value) {
        (_, "" | "0" | "–") => None,
        ("", value) => Some(value.to_owned()),
        (name, value) => Some(format!("{name}: {value}")),
    }
}

fn cells(line: &str) -> Vec<&str> {
    let line = line.trim();
    let line = line.strip_prefix('|').unwrap_or(line);
    line.strip_suffix('|').unwrap_or(line).split('|').map(str::trim).collect()
}

/// The line below a header.
fn is_rule(line: &str) -> bool {
    line.contains('-') && line.chars().all(|char| "|-: ".contains(char))
}

/// A finite number that is not negative, perhaps with commas between its thousands.
fn number(text: &str) -> Option<f64> {
    let number: f64 = text.trim().replace(',', "").parse().ok()?;
    (number.is_finite() && number >= 0.0).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(server: &str, median: f64, min: f64, max: f64) -> Row {
        Row { server: server.to_owned(), figures: Figures { median, min, max } }
    }

    #[test]
    fn a_table_is_read_as_it_was_printed() {
        let text = "Words before.\n\n\
                    | connections | bytes | server | ns/message | min–max | ratio |\n\
                    |------------:|-------|:------:|-----------|---|---|\n\
                    | 64 | 0 | raw | 1,200 | 1,100–1300.5 | 1.00 |\n\
                    | 64 | 0 | epoll | 600 | 500–700 | 0.50 |\n\
                    | 1000 | 8 | raw | 2 | 2–2 | 1.00 |\nWords behind.\n";
        let mut expected = Picture::new("ns/message");
        expected.add("connections: 64", row("raw", 1200.0, 1100.0, 1300.5));
        expected.add("connections: 64", row("epoll", 600.0, 500.0, 700.0));
        expected.add("connections: 1000, bytes: 8", row("raw", 2.0, 2.0, 2.0));
        assert_eq!(Picture::from_table(text).expect("a table"), expected);
    }

    #[test]
    fn columns_behind_the_server_are_its_name() {
        let text = "| | server | client | MB/s | min–max |\n|--|--|--|--|--|\n\
                    | xfer | C | get | 65.6 | 64.6–66.5 |\n";
        let mut expected = Picture::new("MB/s");
        expected.add("xfer", row("C, get", 65.6, 64.6, 66.5));
        assert_eq!(Picture::from_table(text).expect("a table"), expected);
    }

    #[test]
    fn what_is_no_table_is_refused_with_the_line_and_the_cause() {
        let header = "| server | ns | min–max |\n|-|-|-|\n";
        for (text, why) in [
            ("", "there is none"),
            ("no table", "there is none"),
            ("| a | b |", "no column `server`"),
            ("| server | ns |", "no column `min–max`"),
            ("| server | min–max |", "not between"),
            ("| min–max | server |", "not between"),
            (header, "no rows"),
            (&format!("{header}| a | 1 |\n"), "2 cells, not 3"),
            (&format!("{header}| a | x | 1–2 |\n"), "`x` is not a number"),
            (&format!("{header}| a | 1 | 2 |\n"), "`` is not a number"),
            (&format!("{header}| a | NaN | 1–2 |\n"), "`NaN` is not a number"),
            (&format!("{header}| a | -1 | 1–2 |\n"), "`-1` is not a number"),
            (&format!("{header}| a | 1 | 1–2 |\n{header}"), "a second table"),
        ] {
            let said = Picture::from_table(text).expect_err(text).to_string();
            assert!(said.contains(why), "{text:?}: {said}");
        }
    }
}
