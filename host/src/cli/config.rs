//! The configuration: a TOML file, and everything that is wrong with it, by line and column.

use std::ops::Range;
use std::path::{Path, absolute};

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::args::{Micros, Serve};
use super::plan::{Names, listeners};
use crate::addr::Address;
use crate::error::Error;
use crate::printable::printable;
use crate::server::Spec;

/// What the file says beside its listeners.
#[derive(Debug)]
struct Top {
    grace: Micros,
    drain: Micros,
}

/// A file under examination.
struct File<'a> {
    path: &'a Path,
    text: &'a str,
    /// What is to be bound, and where that is said.
    sockets: Vec<(Address, Range<usize>)>,
    errors: Vec<String>,
}

/// Reads the configuration at `path`, which says for `grace` and `drain` what differs from these.
///
/// # Errors
/// Every mistake that can be told from the others, a line each.
pub(super) fn read(path: &Path, grace: Micros, drain: Micros) -> Result<Vec<Spec>, Vec<String>> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| vec![Error::new("read", printable(path), error).to_string()])?;
    parse(path, &text, Top { grace, drain })
}

fn parse(path: &Path, text: &str, top: Top) -> Result<Vec<Spec>, Vec<String>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut file = File { path, text, sockets: Vec::new(), errors: Vec::new() };
    if !errors.is_empty() {
        // What a broken file means beyond that is guessing.
        for error in &errors {
            file.complain(error.span(), error.message());
        }
        return Err(file.errors);
    }
    let specs = file.read(table.into_inner(), top);
    if file.errors.is_empty() { Ok(specs) } else { Err(file.errors) }
}

impl File<'_> {
    fn read(&mut self, table: DeTable<'_>, mut top: Top) -> Vec<Spec> {
        let mut entries = Vec::new();
        let mut in_order: Vec<_> = table.into_iter().collect();
        in_order.sort_by_key(|(key, _)| key.span().start);
        for (key, value) in in_order {
            match (key.get_ref().as_ref(), value) {
                ("grace", value) => top.grace = self.value(value).unwrap_or(top.grace),
                ("drain", value) => top.drain = self.value(value).unwrap_or(top.drain),
                ("listener", value) if value.get_ref().is_array() => {
                    if let DeValue::Array(array) = value.into_inner() {
                        entries.extend(array);
                    }
                }
                ("listener", _) => {
                    self.complain(Some(key.span()), "write [[listener]], with two brackets");
                }
                (unknown, _) => self.complain(
                    Some(key.span()),
                    &format!(
                        "unknown field `{unknown}`, expected one of `grace`, `drain`, `listener`"
                    ),
                ),
            }
        }
        if entries.is_empty() && self.errors.is_empty() {
            self.complain(None, "no [[listener]], so there is nothing to serve");
        }
        let mut specs = Vec::new();
        for entry in entries {
            self.listener(entry, &top, &mut specs);
        }
        specs
    }

    fn listener(&mut self, entry: Spanned<DeValue<'_>>, top: &Top, specs: &mut Vec<Spec>) {
        let whole = entry.span();
        let keys: Vec<(String, Range<usize>)> = entry
            .get_ref()
            .as_table()
            .into_iter()
            .flat_map(|table| table.iter())
            .map(|(key, _)| (key.get_ref().to_string(), key.span()))
            .collect();
        let place = |name: &str| {
            let of_key = keys.iter().find(|(key, _)| key == name).map(|(_, span)| span.clone());
            of_key.unwrap_or(whole.clone())
        };
        let Some(serve) = self.value::<Serve>(entry) else { return };
        for (key, given) in
            [("service", serve.service.is_some()), ("listen", !serve.listen.is_empty())]
        {
            if !given {
                self.complain(Some(whole.clone()), &format!("missing field `{key}`"));
            }
        }
        if serve.service.is_none() || serve.listen.is_empty() {
            return;
        }
        match listeners(&serve, Names(""), top.grace, top.drain) {
            Ok(new) => {
                for spec in new {
                    self.take(&spec.address, place("listen"));
                    if let Some(path) = &spec.control {
                        self.take(&Address::Unix(path.clone()), place("control"));
                    }
                    if let Err(error) = spec.offer() {
                        let key = if serve.root.is_some() { "root" } else { "push" };
                        self.complain(Some(place(key)), &error.to_string());
                    }
                    specs.push(spec);
                }
            }
            Err(wrong) => self.complain(Some(place(wrong.option)), &wrong.message),
        }
    }

    /// The socket of a listener or of its control: it can be bound once.
    fn take(&mut self, said: &Address, span: Range<usize>) {
        let socket = match said {
            Address::Unix(path) => Address::Unix(absolute(path).unwrap_or_else(|_| path.clone())),
            other => other.clone(),
        };
        let twice =
            |(earlier, _): &&(Address, _)| earlier.is_same(&socket) && !is_any_port(&socket);
        if let Some((_, first)) = self.sockets.iter().find(twice) {
            let (line, _) = self.place(first.start);
            self.complain(Some(span.clone()), &format!("{said} is taken in line {line} already"));
        }
        self.sockets.push((socket, span));
    }

    fn value<'de, T: Deserialize<'de>>(&mut self, value: Spanned<DeValue<'de>>) -> Option<T> {
        let whole = value.span();
        let from = toml::de::ValueDeserializer::from(value);
        let read = T::deserialize(from);
        read.map_err(|error| self.complain(error.span().or(Some(whole)), error.message())).ok()
    }

    fn complain(&mut self, span: Option<Range<usize>>, what: &str) {
        let (line, column) = self.place(span.map_or(0, |span| span.start));
        // One line each, whatever a string in the file holds.
        let what = what.split_whitespace().collect::<Vec<_>>().join(" ");
        // And nothing that a terminal would take for a command.
        let (path, what) = (printable(&self.path), printable(&what));
        self.errors.push(format!("{path}:{line}:{column}: {what}"));
    }

    /// Line and column of a byte, from 1; a column is a character.
    fn place(&self, at: usize) -> (usize, usize) {
        let before = self.text.get(..at).unwrap_or_default();
        let line = before.rsplit('\n').next().unwrap_or_default();
        (before.matches('\n').count() + 1, line.chars().count() + 1)
    }
}

/// Whether each who listens there gets another port.
fn is_any_port(address: &Address) -> bool {
    matches!(address, Address::Tcp(at) if at.port == 0)
}

#[cfg(test)]
mod tests;
