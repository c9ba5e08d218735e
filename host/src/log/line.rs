//! A line of the log.

use std::fmt::{self, Debug, Write};

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::printable::{printable, printable_json};
use crate::role::{self, Role};
use crate::sys::clock::{self, Calendar};

/// The form of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    Terminal { colors: bool },
    Journal,
    Json,
}

pub(super) struct Lines {
    pub(super) style: Style,
    /// Whether each line begins with its priority.
    pub(super) prefixed: bool,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        to: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut said = Said::default();
        event.record(&mut said);
        self.write(to, *event.metadata().level(), said, role::current(), &clock::calendar())
    }
}

impl Lines {
    fn write(
        &self,
        mut to: impl Write,
        level: Level,
        mut said: Said,
        role: Role,
        now: &Calendar,
    ) -> fmt::Result {
        // An event of the supervisor names its listener.
        let about = said.take("listener").map(|listener| Role { listener, part: String::new() });
        let role = about.unwrap_or(role);
        if self.prefixed {
            write!(to, "<{}>", priority(level))?;
        }
        if self.style == Style::Json {
            return writeln!(to, "{}", printable_json(&said.json(level, &role, now)));
        }
        let (name, color) = match level {
            Level::ERROR => ("ERROR", "31"),
            Level::WARN => (" WARN", "33"),
            Level::INFO => (" INFO", "32"),
            Level::DEBUG => ("DEBUG", "34"),
            Level::TRACE => ("TRACE", "35"),
        };
        match self.style {
            Style::Terminal { colors: true } => {
                write!(to, "\x1b[2m{}\x1b[0m \x1b[{color}m{name}\x1b[0m ", now.time_of_day())?;
            }
            Style::Terminal { colors: false } => write!(to, "{} {name} ", now.time_of_day())?,
            Style::Plain => write!(to, "{name} ")?,
            Style::Journal | Style::Json => {}
        }
        writeln!(to, "{}", printable(&said.text(&role)).whole())
    }
}

/// syslog(3), as sd-daemon(3) has it.
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

/// The message and the fields of an event.
#[derive(Default)]
struct Said {
    message: String,
    fields: Vec<(&'static str, Value)>,
}

impl Said {
    fn take(&mut self, name: &str) -> Option<String> {
        let at = self.fields.iter().position(|(field, _)| *field == name)?;
        self.fields.remove(at).1.as_str().map(str::to_owned)
    }

    fn text(&self, role: &Role) -> String {
        let mut text = String::new();
        let parts = [&role.listener, &role.part].into_iter().filter(|part| !part.is_empty());
        let label = parts.map(String::as_str).collect::<Vec<_>>().join(" ");
        // Writing to a string does not fail.
        let _ = match label.as_str() {
            "" => write!(text, "{}", self.message),
            label => write!(text, "{label}: {}", self.message),
        };
        for (name, value) in &self.fields {
            // A value with a space in it must not look like several fields.
            let _ = match value.as_str() {
                Some(word) if !word.contains([' ', '"', '=']) && !word.is_empty() => {
                    write!(text, " {name}={word}")
                }
                Some(_) | None => write!(text, " {name}={value}"),
            };
        }
        text
    }

    fn json(self, level: Level, role: &Role, now: &Calendar) -> String {
        let mut line = Map::new();
        let mut put = |name: &str, value: Value| drop(line.insert(name.to_owned(), value));
        for (name, value) in self.fields {
            put(name, value);
        }
        // Behind the fields: none of them takes such a name away.
        put("time", now.to_string().into());
        put("level", level.as_str().to_ascii_lowercase().into());
        put("process", std::process::id().into());
        for (name, value) in [("listener", &role.listener), ("part", &role.part)] {
            if !value.is_empty() {
                put(name, value.as_str().into());
            }
        }
        put("message", self.message.into());
        Value::Object(line).to_string()
    }
}

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // `%value` too: its Debug is its Display.
        let mut text = String::new();
        let _ = write!(text, "{value:?}");
        self.put(field, text.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }
}

impl Said {
    fn put(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(message)) => self.message = message,
            (name, value) => self.fields.push((name, value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(style: Style, level: Level, fields: Vec<(&'static str, Value)>, role: &Role) -> String {
        let said = Said { message: "it \u{1b}[31m ended\n".to_owned(), fields };
        let mut line = String::new();
        let lines = Lines { style, prefixed: style == Style::Journal };
        let now = Calendar::of(1_795_251_751, 123_456);
        lines.write(&mut line, level, said, role.clone(), &now).unwrap();
        line
    }

    fn worker() -> Role {
        Role { listener: "upper tcp:[::1]:9".to_owned(), part: "worker 3".to_owned() }
    }

    #[test]
    fn a_line_says_what_it_is_about_in_each_form() {
        let fields = || vec![("slot", 3.into()), ("why", "no such".into()), ("at", "x".into())];
        let text =
            "upper tcp:[::1]:9 worker 3: it \\u{1b}[31m ended\\n slot=3 why=\"no such\" at=x\n";
        let line = |style, level| line(style, level, fields(), &worker());
        assert_eq!(line(Style::Plain, Level::WARN), format!(" WARN {text}"));
        for (level, priority) in [
            (Level::ERROR, 3),
            (Level::WARN, 4),
            (Level::INFO, 6),
            (Level::DEBUG, 7),
            (Level::TRACE, 7),
        ] {
            assert_eq!(line(Style::Journal, level), format!("<{priority}>{text}"));
        }
        let shown = line(Style::Terminal { colors: false }, Level::INFO);
        let (time, rest) = shown.split_once(' ').unwrap();
        assert!(time.len() == 12 && time.ends_with(":31.123"), "{time}");
        assert_eq!(rest, format!(" INFO {text}"));
        let colored = line(Style::Terminal { colors: true }, Level::INFO);
        assert!(colored.ends_with(&format!("\u{1b}[0m {text}")), "{colored}");
    }

    #[test]
    fn a_line_of_json_is_a_document() {
        let fields = vec![("slot", 3.into()), ("done", true.into()), ("level", "x".into())];
        let line = line(Style::Json, Level::INFO, fields, &worker());
        assert!(line.ends_with("}\n") && line.lines().count() == 1, "{line}");
        let read: Value = serde_json::from_str(&line).unwrap();
        let expected = serde_json::json!({
            "time": "2026-11-21T09:02:31.123456Z", "level": "info", "process": std::process::id(),
            "listener": "upper tcp:[::1]:9", "part": "worker 3", "message": "it \u{1b}[31m ended\n",
            "slot": 3, "done": true,
        });
        assert_eq!(read, expected);
    }

    #[test]
    fn a_supervisors_line_is_about_the_listener_that_it_names() {
        let supervisor = Role { part: "supervisor".to_owned(), ..Role::default() };
        let fields = vec![("listener", "time unix:@x".into()), ("pid", 7.into())];
        let text = line(Style::Plain, Level::INFO, fields, &supervisor);
        assert!(text.starts_with(" INFO time unix:@x: it "), "{text}");
        let text = line(Style::Plain, Level::INFO, Vec::new(), &Role::default());
        assert!(text.starts_with(" INFO it "), "{text}");
    }
}
