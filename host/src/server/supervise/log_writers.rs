//! The processes that write access logs: the supervisor keeps one for each file of a listener.
//!
//! ```text
//!   a listener with a log ──▶ started ──▶ ended by itself: no process writes lines any more
//!                               ▲  └────▶ killed ──▶ started again, at once or after a second
//!                               └──────────────────────┘ lines wait in memory meanwhile
//! ```

use std::fs::File;
use std::sync::Arc;

use tracing::{error, info, warn};

use super::listener::Supervised;
use super::log_writer::{LogWriter, PAUSE};
use super::supervisor::{Cx, Supervisor};
use crate::drive::AccessLog;
use crate::error::Result;
use crate::server::logger;
use crate::sys::pidfd::Exit;
use crate::sys::process::Child;
use crate::sys::spool::SpoolReader;

impl Supervisor {
    /// Starts what the logs of all listeners need. SIGUSR1 is about these logs.
    pub(super) fn know_logs(&mut self, cx: &mut Cx) {
        let of = |it: &Supervised| Some((Arc::clone(it.offer.access_log()?), it.user.clone()));
        let logs: Vec<(Arc<AccessLog>, _)> = self.listeners.iter().filter_map(of).collect();
        for (log, user) in &logs {
            let Some(file) = log.file() else { continue };
            if self.log_writers.iter().any(|it| Arc::ptr_eq(&it.reader, file.reader())) {
                continue;
            }
            self.log_writers.push(LogWriter {
                path: file.path.clone(),
                user: user.clone(),
                reader: Arc::clone(file.reader()),
                child: None,
                is_failing: false,
            });
            self.start_log_writer(cx, file.reader(), file.take_first());
        }
        self.state.stop.log_to(logs.into_iter().map(|(log, _)| log).collect());
    }

    /// Starts a process, with `file` if that is open already. If it cannot be started, that is tried again.
    fn start_log_writer(&mut self, cx: &mut Cx, reader: &Arc<SpoolReader>, file: Option<File>) {
        let Some(at) = self.log_writers.iter().position(|it| Arc::ptr_eq(&it.reader, reader))
        else {
            return;
        };
        let it = &self.log_writers[at];
        let start = || -> Result<Child> {
            let file = file.map_or_else(|| logger::open(&it.path), Ok)?;
            let reader = it.reader.share()?;
            logger::start(&it.path, file, reader, it.user.as_ref(), &self.state.alone)
        };
        let reader = Arc::clone(reader);
        let started = start().and_then(|child| {
            let ended =
                move |this: &mut Self, cx: &mut Cx, exit| this.log_writer_ended(cx, &reader, exit);
            cx.child(child.pid(), ended).inspect_err(|_| child.destroy())?;
            Ok(child)
        });
        let it = &mut self.log_writers[at];
        match started {
            Ok(child) => {
                it.child = Some((child, cx.now()));
                if std::mem::take(&mut it.is_failing) {
                    info!(pid = child.pid(), "the access log is written again");
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut it.is_failing, true) {
                    error!("{error}; clients are served, and that is tried again each second");
                }
                let reader = Arc::clone(&it.reader);
                cx.after(PAUSE, move |this: &mut Self, cx| {
                    this.start_log_writer(cx, &reader, None);
                });
            }
        }
    }

    fn log_writer_ended(&mut self, cx: &mut Cx, reader: &Arc<SpoolReader>, exit: Exit) {
        let Some(at) = self.log_writers.iter().position(|it| Arc::ptr_eq(&it.reader, reader))
        else {
            return;
        };
        let Some((child, started)) = self.log_writers[at].child.take() else { return };
        if exit.is_success() {
            // Its log is gone.
            self.log_writers.remove(at);
            return;
        }
        warn!(pid = child.pid(), "the process of the access log {exit}; another one is started");
        if cx.now().since(started) >= u64::try_from(PAUSE.as_micros()).unwrap_or(0) {
            self.start_log_writer(cx, reader, None);
        } else {
            let reader = Arc::clone(reader);
            cx.after(PAUSE, move |this: &mut Self, cx| this.start_log_writer(cx, &reader, None));
        }
    }
}
