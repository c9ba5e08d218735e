//! The process that reads the configuration again. The supervisor goes on with everything else meanwhile.

use std::path::Path;
use std::time::Duration;

use crate::error::Result;
use crate::reactor::{Context, Token, Watch};
use crate::sys::process::{Child, SingleThreaded};
use crate::sys::reader::{Reading, TIMEOUT_US};

/// A process that reads.
pub(super) struct Reader {
    pub(super) child: Child,
    /// Fires when the process takes too long.
    pub(super) deadline: Token,
    /// The process took too long and was killed. In a system call that nothing interrupts it lives on.
    pub(super) is_late: bool,
    /// The file is to be read once more: it may have changed since this process began.
    pub(super) again: bool,
}

impl Reader {
    /// Starts it. In the process `look` gets the text, so that what it names on the same mount is touched
    /// there first. `read` is called when the process has ended, `late` when it takes too long.
    pub(super) fn start<S: 'static>(
        cx: &mut Context<S>,
        alone: &SingleThreaded,
        path: &Path,
        look: impl FnOnce(&[u8]),
        read: fn(&mut S, &mut Context<S>, Result<Vec<u8>>),
        late: fn(&mut S, &mut Context<S>),
    ) -> Result<Self> {
        let reading = Reading::start(path, alone, look)?;
        let child = reading.child();
        let watched = cx.add(reading, Watch::READ, move |reading, state, cx, _| {
            if let Some(text) = reading.take() {
                cx.remove(cx.current());
                read(state, cx, text);
            }
        });
        watched.inspect_err(|_| child.destroy())?;
        let deadline = cx.after(Duration::from_micros(TIMEOUT_US), late);
        Ok(Self { child, deadline, is_late: false, again: false })
    }
}
