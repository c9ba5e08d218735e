//! How a listener or the server is, at a glance.

use maud::{Markup, html};

use super::super::document::{Overview, Told};

/// The state of a listener or of the server, as it is shown: by a sign, a word and a colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Health {
    Serves,
    Ends,
    Waits,
    Fails,
}

impl Health {
    /// That of a listener.
    pub(super) fn of(it: &Told) -> Self {
        match it {
            _ if it.status.stopping => Self::Ends,
            _ if it.status.crash_loop => Self::Fails,
            Told { ready: true, .. } => Self::Serves,
            _ => Self::Waits,
        }
    }

    /// That of the whole server.
    pub(super) fn of_all(overview: &Overview) -> Self {
        match overview {
            Overview { stopping: true, .. } => Self::Ends,
            Overview { ready: true, .. } => Self::Serves,
            _ if overview.listeners.iter().any(|it| it.status.crash_loop) => Self::Fails,
            _ => Self::Waits,
        }
    }

    /// The name of its style, its sign and its word.
    fn shown(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Serves => ("good", "●", "serves"),
            Self::Ends => ("fair", "◐", "drains"),
            Self::Waits => ("fair", "▲", "not ready"),
            Self::Fails => ("bad", "✖", "crash loop"),
        }
    }

    /// Its sign and its word, or another word.
    pub(super) fn badge(self, word: Option<&str>) -> Markup {
        let (class, sign, own) = self.shown();
        html! { span.badge.(class) { span aria-hidden="true" { (sign) } " " (word.unwrap_or(own)) } }
    }

    /// A picture for the tab of a browser: another shape for each state.
    pub(super) fn icon(self) -> String {
        let (shape, color) = match self {
            Self::Serves => ("circle cx='8' cy='8' r='6'", "3fb950"),
            Self::Ends | Self::Waits => ("path d='M8 2l7 12H1z'", "d29922"),
            Self::Fails => ("path d='M2 2h12v12H2z'", "f85149"),
        };
        format!(
            "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'><{shape} fill='%23{color}'/></svg>"
        )
    }
}
