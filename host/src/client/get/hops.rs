//! Follows the redirects of a document.

use tracing::debug;

use super::dialogue::Dialogue;
use super::document::{Document, Earlier};
use super::exchange::{Answer, Got, Plan};
use super::limits::Limits;
use super::part::Part;
use super::place::Target;
use super::source::Source;
use super::stream;
use crate::client::http::{Proxy, Url, UrlError};
use crate::error::{Error, Result};
use crate::printable::words;
use crate::tls::{Roots, Trust};

/// The largest number of redirects.
const HOPS_MAX: usize = 10;

/// Downloads the document at `url`, with a connection for each redirect. With `resume` it continues
/// the part of an earlier transfer of the same URL to the same file, if the document is still the same.
/// `roots` say which servers of https are believed.
pub(super) fn get(
    url: &Url,
    target: &Target,
    limits: Limits,
    (mut resume, roots): (bool, &Roots),
) -> Result<Got> {
    let asked = url.absolute();
    let (mut here, mut way) = (url.clone(), Vec::new());
    loop {
        let left = if resume { Part::earlier(target)? } else { None };
        let left = left.filter(|left| left.facts().source == asked);
        let earlier = left.as_ref().and_then(|left| {
            let validator = left.facts().validator.clone()?;
            Some(Earlier { from: left.len().checked_sub(1)?, validator })
        });
        let proxy = Proxy::of(&here, |name| std::env::var(name).ok());
        let proxy = proxy.map_err(Error::of("use the proxy for", &here))?;
        let source = Source::Http(here.clone());
        let part = left.filter(|_| earlier.is_some());
        let trust = if here.is_secured() { Some(Trust::new(roots)?) } else { None };
        let plan = Plan { source: &source, target, limits, digest: None, part, trust };
        let document = Document::new(here.clone(), proxy, asked.clone(), earlier);
        let location = match stream::ask(plan, Dialogue::Http(document))? {
            Answer::Whole => return Ok(Got::Whole),
            Answer::Stopped(signal) => return Ok(Got::Stopped(signal)),
            Answer::Elsewhere(location) => location,
            Answer::Again => {
                debug!(
                    "the server does not have the rest of this version: the download starts from byte 0"
                );
                resume = false;
                continue;
            }
        };
        let next = follow(&way, &here, &location)?;
        debug!(from = %here, to = %next, "redirected");
        way.push(std::mem::replace(&mut here, next));
    }
}

/// The URL of `location` relative to `here`; `way` has the URLs before.
fn follow(way: &[Url], here: &Url, location: &[u8]) -> Result<Url> {
    let first = way.first().unwrap_or(here);
    let next = here.redirect(location).map_err(|error| {
        let hop = format!("{here} to {}", words(location));
        let why = match error {
            UrlError::Scheme => "only redirects to http:// and https:// are followed".to_owned(),
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
        let location = format!("ftp://\u{9b}31m\u{202e}{}", "x".repeat(1000));
        let error = follow_from(&["http://a/"], &location).unwrap_err();
        let shown = r"follow the redirect of http://a/ to ftp://\u{9b}31m\u{202e}xxx";
        assert!(error.starts_with(shown) && error.contains("xxx… (1014 bytes): "), "{error}");
        assert!(error.len() < 400, "{error}");
    }
}
