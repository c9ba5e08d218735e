//! The configuration: a TOML file, and every mistake in it, with line and column.
//!
//! Each key of a listener is read by itself, so that one mistake hides no other; then all good keys
//! together, as options of a command line.

mod value;

use std::ops::Range;
use std::path::Path;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::args::Serve;
use super::plan::{Names, listeners};
use super::survey::{Found, Survey, What};
use super::top::{KEYS, Top};
use super::values::probe_address;
use crate::addr::Address;
use crate::error::Error;
use crate::printable::printable;
use crate::server::Spec;
use crate::server::supervise::Wanted;
use crate::sys::process::SingleThreaded;
use crate::sys::reader::Reading;
use value::{Entry, Value, Wrong, missing, table, unknown};

/// A file that is being read, and its mistakes so far.
struct File<'a> {
    path: &'a Path,
    text: &'a str,
    /// The offset of each line.
    lines: Vec<usize>,
    survey: Survey<usize>,
    /// The mistakes with their offsets; they are reported in the order of the file.
    errors: Vec<(usize, String)>,
}

/// Reads the configuration at `path`, with these defaults for what is beside its listeners.
///
/// With `is_check`, more is checked of what would be opened.
///
/// # Errors
/// Every independent mistake, each in a line.
pub(super) fn read(path: &Path, top: Top, is_check: bool) -> Result<Wanted, Vec<String>> {
    let fail = |error: Error| vec![error.to_string()];
    let alone = SingleThreaded::check().map_err(fail)?;
    let text = Reading::start(path, &alone, |_| ()).and_then(Reading::wait).map_err(fail)?;
    parse(path, text_of(path, &text)?, top, is_check)
}

/// As [`read`], from the text of the file, while a server runs.
///
/// # Errors
/// As [`read`].
pub(super) fn understand(path: &Path, text: &[u8], top: Top) -> Result<Wanted, Vec<String>> {
    parse(path, text_of(path, text)?, top, false)
}

fn text_of<'a>(path: &Path, text: &'a [u8]) -> Result<&'a str, Vec<String>> {
    std::str::from_utf8(text)
        .map_err(|error| vec![Error::new("read", printable(path), error).to_string()])
}

fn parse(path: &Path, text: &str, top: Top, is_check: bool) -> Result<Wanted, Vec<String>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    let lines = [0].into_iter().chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
    let mut file = File { path, text, lines, survey: Survey::new(is_check), errors: Vec::new() };
    let wanted = if errors.is_empty() {
        file.read(table.get_ref(), top)
    } else {
        // After a mistake of syntax, the meaning of the rest would be a guess.
        for error in &errors {
            file.complain(error.span().map_or(0, |span| span.start), error.message());
        }
        top.with(Vec::new())
    };
    if file.errors.is_empty() {
        return Ok(wanted);
    }
    file.errors.sort_by_key(|(at, _)| *at);
    Err(file.errors.into_iter().map(|(_, error)| error).collect())
}

impl File<'_> {
    fn read<'de>(&mut self, entries: &'de DeTable<'de>, mut top: Top) -> Wanted {
        let (mut all, mut delay_at) = (None, 0);
        for (key, value) in entries {
            match (key.get_ref().as_ref(), value.get_ref()) {
                ("grace", _) => top.grace = self.value(value).unwrap_or(top.grace),
                ("drain", _) => top.drain = self.value(value).unwrap_or(top.drain),
                ("monitor", _) => top.monitor = self.probe(value).or(top.monitor),
                ("agent", _) => top.agent = self.probe(value).or(top.agent),
                ("stop-delay", _) => {
                    top.stop_delay = self.value(value).unwrap_or(top.stop_delay);
                    delay_at = key.span().start;
                }
                ("listener", DeValue::Array(array)) => all = Some(array),
                ("listener", _) => {
                    self.complain(key.span().start, "write [[listener]], with two brackets");
                }
                (other, _) => {
                    self.complain(key.span().start, &unknown(other, &KEYS));
                }
            }
        }
        if all.is_none_or(|all| all.is_empty()) && self.errors.is_empty() {
            self.complain(0, "no [[listener]], so there is nothing to serve");
        }
        if let Some(wrong) = top.wrong().filter(|_| self.errors.is_empty()) {
            self.complain(delay_at, wrong);
        }
        let mut specs = Vec::new();
        for entry in all.into_iter().flatten() {
            match entry.get_ref() {
                DeValue::Table(entries) => self.listener(entries, entry.span(), &top, &mut specs),
                _ => self.complain(entry.span().start, "write [[listener]], and its keys below it"),
            }
        }
        top.with(specs)
    }

    fn probe<'de>(&mut self, value: &'de Spanned<DeValue<'de>>) -> Option<Address> {
        let text: String = self.value(value)?;
        let complain = |what: String| self.complain(value.span().start, &what);
        probe_address(&text).map_err(complain).ok()
    }

    fn listener<'de>(
        &mut self,
        entries: &'de DeTable<'de>,
        whole: Range<usize>,
        top: &Top,
        specs: &mut Vec<Spec>,
    ) {
        let (good, bad): (Vec<Entry<'de>>, Vec<Entry<'de>>) =
            entries.iter().partition(|&(key, value)| {
                let read = Serve::deserialize(table([(key, value)].into_iter()));
                let complain = |error: Wrong| {
                    let at = if error.is_key { key.span() } else { value.span() };
                    self.complain(at.start, &error.what);
                };
                read.map_err(complain).is_ok()
            });
        let is_bad = |name: &str| bad.iter().any(|(key, _)| key.get_ref() == name);
        let place = |name: &str| {
            let of_key = entries.get_key_value(name).map(|(key, _)| key.span().start);
            of_key.unwrap_or(whole.start)
        };
        let Ok(serve) = Serve::deserialize(table(good.into_iter())) else { return };
        let mut is_whole = true;
        for (key, given) in
            [("service", serve.service.is_some()), ("listen", !serve.listen.is_empty())]
        {
            is_whole &= given;
            if !given && !is_bad(key) {
                self.complain(whole.start, &missing(key));
            }
        }
        if !is_whole {
            return;
        }
        let new = listeners(&serve, Names(""), top.grace, top.drain);
        // A mistake that follows from one that was reported already is not reported.
        let wrong = new.wrong.iter().filter(|wrong| !wrong.about.iter().any(|key| is_bad(key)));
        for wrong in wrong {
            self.complain(place(wrong.about[0]), &wrong.message);
        }
        for Found { option, what } in self.survey.look(&serve, &new.specs, place) {
            let what = match what {
                What::Failed(why) => why,
                What::Taken { said, earlier, place: at } => {
                    let line = self.line_of(at);
                    if said.is_same(&earlier) {
                        format!("{said} is taken in line {line} already")
                    } else {
                        format!("{said} and {earlier} of line {line} exclude each other")
                    }
                }
            };
            self.complain(place(option), &what);
        }
        specs.extend(new.specs);
    }

    fn value<'de, T: Deserialize<'de>>(&mut self, value: &'de Spanned<DeValue<'de>>) -> Option<T> {
        let read = T::deserialize(Value(value.get_ref()));
        read.map_err(|error| self.complain(value.span().start, &error.what)).ok()
    }

    fn complain(&mut self, at: usize, what: &str) {
        // A column is a character, from 1.
        let line = self.line_of(at);
        let before = self.text.get(self.lines[line - 1]..at).unwrap_or_default();
        let column = before.chars().count() + 1;
        // One line for each mistake, whatever a string in the file contains, without characters
        // that a terminal would take for a command.
        let what = what.split_whitespace().collect::<Vec<_>>().join(" ");
        let (path, what) = (printable(self.path), printable(&what));
        self.errors.push((at, format!("{path}:{line}:{column}: {what}")));
    }

    /// The line of a byte, from 1.
    fn line_of(&self, at: usize) -> usize {
        self.lines.partition_point(|&begin| begin <= at).max(1)
    }
}

#[cfg(test)]
mod tests;
