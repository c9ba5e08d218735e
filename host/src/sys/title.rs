//! The title of this process: what `ps` shows in place of its command line.
//!
//! `/proc/PID/cmdline` is read from where the kernel put the arguments. There the title is written. One that is
//! longer goes on into the environment behind them, which is moved away first; that the NUL at the
//! end of the arguments is gone tells the kernel so (proc(5), setproctitle(3)).
//!
//! ```text
//!        arg_start            arg_end = env_start          env_end
//! before │ windlass·serve·upper·│ PATH=…·HOME=…·…           │
//! after  │ windlass: upper tcp:1│27.0.0.1:9527 worker 3·…   │
//! ```

use std::ffi::{CString, c_char};
use std::sync::OnceLock;
use std::{ptr, slice};

/// The memory of the title. It belongs to this process and has no other use.
#[derive(Debug)]
struct Area {
    start: usize,
    /// Bytes of the arguments.
    args: usize,
    /// Bytes at most, the NUL included.
    room: usize,
}

/// Bytes of a title at most. The kernel reads a page; a worker that writes to it gets a private copy.
const TITLE_MAX: usize = 256;

static AREA: OnceLock<Option<Area>> = OnceLock::new();

/// Sets the title. For the first time it is set while the process has one thread. Where `/proc` is not
/// mounted no program could read it, and nothing happens.
pub fn set(title: &str) {
    let Some(area) = AREA.get_or_init(Area::find) else { return };
    let len = title.len().min(area.room - 1);
    // SAFETY: `find` made sure that these bytes are mapped, writable and read only by the kernel; this
    // function is called by one thread, the one that forks.
    let bytes = unsafe {
        slice::from_raw_parts_mut(ptr::with_exposed_provenance_mut(area.start), area.room)
    };
    bytes[..len].copy_from_slice(&title.as_bytes()[..len]);
    // Bytes of a longer title, or of the arguments, are overwritten.
    let dirty = area.room.min(area.args.max(TITLE_MAX));
    bytes[len..dirty].fill(0);
}

impl Area {
    /// Finds the arguments, and moves the environment away from behind them.
    fn find() -> Option<Self> {
        let all = std::fs::read_to_string("/proc/self/stat").ok()?;
        let [start, end, env_start, env_end] = bounds(&all)?;
        let args = end.checked_sub(start).filter(|&len| len > 0)?;
        // Ours is the memory up to the end of the arguments, or else nothing.
        if env_start != end || env_end < end || super::process::SingleThreaded::check().is_err() {
            return Some(Self { start, args, room: args });
        }
        move_environment(env_start, env_end);
        Some(Self { start, args, room: (env_end - start).min(args.max(TITLE_MAX)) })
    }
}

/// `arg_start`, `arg_end`, `env_start` and `env_end`: the fields 48 to 51 (proc(5), `stat`).
fn bounds(stat: &str) -> Option<[usize; 4]> {
    // The name of the program, the second field, may have spaces and brackets.
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<usize> =
        rest.split_whitespace().skip(45).take(4).map_while(|field| field.parse().ok()).collect();
    let bounds: [usize; 4] = fields.try_into().ok()?;
    // The kernel shows those of another user's process as 0.
    bounds.iter().all(|&at| at != 0).then_some(bounds)
}

unsafe extern "C" {
    static mut environ: *mut *mut c_char;
}

/// Copies what lies there of the environment, and has the C library use the copies.
fn move_environment(start: usize, end: usize) {
    // SAFETY: the process has one thread, and `environ` points to a list of C strings with a null at its end.
    // The copies and the new list stay for ever; no code writes to the old ones.
    unsafe {
        let mut entry = environ;
        let mut moved = Vec::new();
        while !entry.is_null() && !(*entry).is_null() {
            let text = *entry;
            let at = text.expose_provenance();
            moved.push(if (start..end).contains(&at) {
                CString::from(std::ffi::CStr::from_ptr(text)).into_raw()
            } else {
                text
            });
            entry = entry.add(1);
        }
        moved.push(ptr::null_mut());
        environ = Vec::leak(moved).as_mut_ptr();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bounds_are_four_fields_behind_the_name() {
        let fields = |from: usize| (from..=52).map(|n| n.to_string()).collect::<Vec<_>>().join(" ");
        let stat = format!("1 (a ) b (c) S {}", fields(4));
        assert_eq!(bounds(&stat), Some([48, 49, 50, 51]));
        assert_eq!(bounds("1 (a) S 4 5"), None);
        assert_eq!(bounds(""), None);
        let hidden = stat.replace(" 48 49 50 51", " 0 0 0 0");
        assert_eq!(bounds(&hidden), None);
    }
}
