//! Downloads a document or a file, following redirects.
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

mod datagrams;
mod dialogue;
mod document;
mod exchange;
mod facts;
mod file;
mod hops;
mod in_place;
mod limits;
mod part;
mod place;
mod progress;
mod said;
mod source;
mod store;
mod stream;
mod watch;
mod wishes;

use super::file_url::Scheme;
use crate::error::{Error, Result};
use crate::tls::Roots;
use dialogue::Dialogue;
pub use exchange::Got;
use exchange::{Answer, Plan};
use file::reason;
use limits::Limits;
pub use limits::Times;
use part::Part;
pub use place::Target;
pub(super) use progress::{PERIOD, Progress};
pub use source::Source;
pub use wishes::Wishes;

/// Downloads `source` to `target`, within the limits `times`. `roots` are the authorities for https.
///
/// The bytes are written to a part beside the file, which gets its name when it is complete. If a
/// transfer fails, the part (`.windlass-NAME-DIGEST.part`) stays if a later transfer can resume it: for
/// HTTP, if the server sent a validator. In a folder that
/// cannot be written, a writable file is written in place. Standard output, or a
/// target that is not a regular file, gets the bytes as they arrive, also of a transfer that fails.
///
/// # Errors
/// The server cannot be reached, is silent, answers with something other than the document, or stops
/// in the middle of it; or the document cannot be written.
pub fn get(
    source: &Source,
    target: &Target,
    times: Times,
    wishes: Wishes,
    roots: &Roots,
) -> Result<Got> {
    let limits = Limits::begin(times);
    let target = &target.check()?;
    match source {
        Source::Http(url) => hops::get(url, target, limits, (wishes.resume, roots)),
        Source::File(url) if url.scheme() != Scheme::Files => {
            datagrams::get(url, target, limits, &wishes)
        }
        Source::File(url) => {
            let mut part = if wishes.resume { Part::earlier(target)? } else { None };
            let had = part.as_mut().map(|part| part.digest(wishes.verify)).transpose();
            let fail = |error| Error::new("read the part of", target, reason(error));
            let had = had.map_err(fail)?;
            let known = had.as_ref().map(|had| (had.len, had.window));
            let dialogue = Dialogue::files(url, known, wishes.verify);
            let all = had.and_then(|had| had.all).unwrap_or_default();
            let digest = wishes.verify.then_some(all);
            let plan = Plan { source, target, limits, digest, part, trust: None };
            match stream::ask(plan, dialogue)? {
                Answer::Whole => Ok(Got::Whole),
                Answer::Stopped(signal) => Ok(Got::Stopped(signal)),
                Answer::Elsewhere(_) | Answer::Again => {
                    Err(Error::new("get", source, "it is elsewhere"))
                }
            }
        }
    }
}
