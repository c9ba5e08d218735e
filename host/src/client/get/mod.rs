//! Fetches a document or a file, and follows it to where it has moved.
//!
//! ```text
//!             ┌──────────── Elsewhere: the next URL ◀───────────┐
//!             ▼                                                 │
//!  Url ──▶ resolve ──▶ exchange: connect, ask ──▶ head ──▶ 2xx? ┴──▶ Place ──▶ body ──▶ whole
//!                                                  other: an error, and nothing is written
//! ```
//!
//! Each hop is a connection and an event loop of its own: between two of them a name is resolved,
//! which blocks, and no signal is caught then, so that Ctrl-C ends it.

mod dialogue;
mod exchange;
mod facts;
mod file;
mod in_place;
mod limits;
mod part;
mod place;
mod progress;
mod source;

use tracing::debug;

use super::http::{Url, UrlError};
use crate::error::{Error, Result};
use crate::printable::words;
use crate::sys::Signal;
use dialogue::Dialogue;
use exchange::{Answer, Plan};
use file::reason;
use limits::Limits;
pub use limits::Times;
use part::Part;
pub use place::Target;
pub use source::Source;

/// How a transfer ended that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Got {
    /// The document is where it was to go.
    Whole,
    /// A signal ended it. The file is as it was before, and the signal is to be died of.
    Stopped(Signal),
}

/// What else a user may want of a transfer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wishes {
    /// Go on from where an earlier transfer failed. For `files`, to a file.
    pub resume: bool,
    /// Compare the whole with the server's digest of it. For `files`.
    pub verify: bool,
}

/// Redirects that are followed.
const HOPS_MAX: usize = 10;

/// Fetches what is at `source` to `target`. `times` says how long that may take.
///
/// A file is written under another name beside it, and has its own when it is whole. What came of
/// `files` stays in a part (`.windlass-NAME-DIGEST.part`) when the transfer fails. In a folder that
/// cannot be written, a file that can be is written in place. What goes to standard output, or to a
/// target that is no regular file, goes there as it comes: of a transfer that fails, the beginning.
///
/// # Errors
/// The server cannot be reached, is silent, answers with something other than the document, or stops
/// in the middle of it; or the document cannot be written.
pub fn get(source: &Source, target: &Target, times: Times, wishes: Wishes) -> Result<Got> {
    let limits = Limits::begin(times);
    let target = &target.settle()?;
    let mut here = match source {
        Source::Http(url) => url.clone(),
        Source::Files(url) => {
            let mut part = if wishes.resume { part(target)? } else { None };
            let had = part.as_mut().map(|part| part.digest(wishes.verify)).transpose();
            let fail = |error| Error::new("read what came before of", target, reason(error));
            let had = had.map_err(fail)?;
            let known = had.as_ref().map(|had| (had.len, had.window));
            let dialogue = Dialogue::files(url, known, wishes.verify);
            let all = had.and_then(|had| had.all).unwrap_or_default();
            let digest = wishes.verify.then_some(all);
            let plan = Plan { source, target, limits, digest, part };
            return match exchange::ask(plan, dialogue)? {
                Answer::Whole => Ok(Got::Whole),
                Answer::Stopped(signal) => Ok(Got::Stopped(signal)),
                Answer::Elsewhere(_) => Err(Error::new("get", source, "it is elsewhere")),
            };
        }
    };
    let mut way = Vec::new();
    loop {
        let source = Source::Http(here.clone());
        let plan = Plan { source: &source, target, limits, digest: None, part: None };
        let location = match exchange::ask(plan, Dialogue::http(&here))? {
            Answer::Whole => return Ok(Got::Whole),
            Answer::Stopped(signal) => return Ok(Got::Stopped(signal)),
            Answer::Elsewhere(location) => location,
        };
        let next = follow(&way, &here, &location)?;
        debug!(from = %here, to = %next, "redirected");
        way.push(std::mem::replace(&mut here, next));
    }
}

/// What an earlier transfer to the same file left.
fn part(target: &Target) -> Result<Option<Part>> {
    let Some(name) = target.name() else { return Ok(None) };
    let fail = |error| Error::new("go on with", target, reason(error));
    let found = Part::find(&name).map_err(fail)?.filter(|part| !part.is_empty());
    if let Some(part) = &found {
        debug!(source = part.facts().source, "an earlier transfer left a part");
    }
    Ok(found)
}

/// Where `location` leads from `here`, to where all of `way` led.
fn follow(way: &[Url], here: &Url, location: &[u8]) -> Result<Url> {
    let first = way.first().unwrap_or(here);
    let next = here.redirect(location).map_err(|error| {
        let hop = format!("{here} to {}", words(location));
        let why = match error {
            UrlError::Scheme => "only http:// redirects are followed".to_owned(),
            UrlError::NotSpoken(scheme) => {
                format!("{scheme}:// is not spoken yet: only http:// redirects are followed")
            }
            error => error.to_string(),
        };
        Error::new("follow the redirect of", hop, why)
    })?;
    if way.contains(&next) || *here == next {
        let circle = format!("the redirects go in a circle, and come to {next} again");
        return Err(Error::new("get", first, circle));
    }
    if way.len() >= HOPS_MAX {
        let many = format!("more than {HOPS_MAX} redirects; the last one is to {next}");
        return Err(Error::new("get", first, many));
    }
    Ok(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn urls(urls: &[&str]) -> Vec<Url> {
        urls.iter().map(|url| Url::parse(url).unwrap()).collect()
    }

    fn follow_from(way: &[&str], location: &str) -> std::result::Result<String, String> {
        let way = urls(way);
        let (here, way) = way.split_last().unwrap();
        follow(way, here, location.as_bytes())
            .map(|url| url.to_string())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_redirect_leads_on() {
        assert_eq!(follow_from(&["http://a/x/y"], "z"), Ok("http://a/x/z".to_owned()));
    }

    #[test]
    fn a_circle_is_seen_when_it_closes() {
        let found = follow_from(&["http://a/", "http://b/", "http://c/"], "http://b/#x");
        let expected = "get http://a/: the redirects go in a circle, and come to http://b/ again";
        assert_eq!(found, Err(expected.to_owned()));
        assert!(follow_from(&["http://a/"], "").is_err());
    }

    #[test]
    fn ten_redirects_are_followed() {
        let all: Vec<String> = (0..=10).map(|n| format!("http://a/{n}")).collect();
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        assert!(follow_from(&all[..10], "/next").is_ok());
        let expected = "get http://a/0: more than 10 redirects; the last one is to http://a/next";
        assert_eq!(follow_from(&all, "/next"), Err(expected.to_owned()));
    }

    #[test]
    fn a_location_cannot_write_to_the_terminal() {
        let location = format!("https://\u{9b}31m\u{202e}{}", "x".repeat(1000));
        let error = follow_from(&["http://a/"], &location).unwrap_err();
        let shown = r"follow the redirect of http://a/ to https://\u{9b}31m\u{202e}xxx";
        assert!(error.starts_with(shown) && error.contains("xxx… (1016 bytes): "), "{error}");
        assert!(error.len() < 400, "{error}");
    }
}
