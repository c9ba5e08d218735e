//! Lines of many processes on their way to one, in memory that they share.
//!
//! ```text
//!   workers, children, threads ──▶ ring 0 │ ring 1 │ … ──▶ one process ──▶ file
//!
//!   ring:  …│ line │ line │ line │ line │…
//!           ▲ tail: all before it is in the file
//!                                       ▲ head: nothing from here on is whole
//! ```
//!
//! A writer holds a ring while it copies a line to it, and moves the head last. If it is killed before that,
//! there is no line; if after, the line is kept. The reader moves the tail when what it took is written, so
//! lines outlive a reader that is killed too. No call of the system is made for a line.

use std::cell::Cell;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicU64, fence};

use super::process;
use super::shared::Shared;
use crate::error::Result;

/// The rings of one file.
#[derive(Debug)]
pub(super) struct Rings(Shared<AtomicU64>);

/// What came of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Put {
    /// The reader will find it.
    Done,
    /// The same, and the reader is to be woken.
    Wake,
    /// Every ring is full.
    Full,
}

/// Rings of a file. A writer holds one for a fraction of a microsecond, so a few serve many of them.
const RINGS: usize = 16;

/// Bytes of lines in a ring. A power of two.
const ROOM: usize = 1 << 17;

/// Words of a ring before its lines: those that writers change, and on another cache line that of the reader.
const HOLDER: usize = 0;
const HEAD: usize = 1;
const TAIL: usize = 8;
const FIRST: usize = 16;
const STRIDE: usize = FIRST + ROOM / size_of::<u64>();

/// Words before the rings: the reader waits to be woken; lines that found no room.
const ASLEEP: usize = 0;
const DROPPED: usize = 1;
const RINGS_AT: usize = 8;

thread_local! {
    /// The ring that this thread has used last.
    static RING: Cell<usize> = const { Cell::new(0) };
}

impl Rings {
    pub(super) fn new() -> Result<Self> {
        Shared::zeroed(RINGS_AT + RINGS * STRIDE).map(Self)
    }

    /// Keeps whole lines for the reader, and counts them as dropped if there is no room.
    pub(super) fn put(&self, lines: &[u8]) -> Put {
        let pid = u64::from(process::id());
        let first = RING.get();
        for at in (first..RINGS).chain(0..first) {
            let ring = self.ring(at);
            if !hold(&ring[HOLDER], pid) {
                continue;
            }
            let used = append(ring, lines);
            ring[HOLDER].store(0, Release);
            if let Some(used) = used {
                RING.set(at);
                return if self.is_to_wake(used) { Put::Wake } else { Put::Done };
            }
        }
        self.0[DROPPED].fetch_add(lines_in(lines), Relaxed);
        Put::Full
    }

    /// Whether the reader sleeps, or gathers and is to go on because a ring is half full.
    fn is_to_wake(&self, (before, after): (u64, u64)) -> bool {
        const HALF: u64 = ROOM as u64 / 2;
        // Either the reader sees the line before it sleeps, or this sees that it sleeps.
        fence(SeqCst);
        let sleeps = self.0[ASLEEP].load(Relaxed) != 0 && self.0[ASLEEP].swap(0, Relaxed) != 0;
        sleeps || (before < HALF && after >= HALF)
    }

    /// The reader is about to sleep, if it then finds nothing.
    pub(super) fn sleep(&self, sleeps: bool) {
        self.0[ASLEEP].store(u64::from(sleeps), Relaxed);
        fence(SeqCst);
    }

    /// Hands all lines to `write`, many at a time, and then forgets them. `buf` has room for them. Whether
    /// there were any.
    pub(super) fn drain(&self, buf: &mut Vec<u8>, mut write: impl FnMut(&[u8])) -> bool {
        let mut any = false;
        for at in 0..RINGS {
            let ring = self.ring(at);
            loop {
                let tail = take(ring, buf);
                if buf.is_empty() {
                    break;
                }
                write(buf);
                ring[TAIL].store(tail, Release);
                any = true;
            }
        }
        any
    }

    /// Lines that were dropped since the last call.
    pub(super) fn dropped(&self) -> u64 {
        self.0[DROPPED].swap(0, Relaxed)
    }

    fn ring(&self, at: usize) -> &[AtomicU64] {
        &self.0[RINGS_AT + at * STRIDE..][..STRIDE]
    }
}

/// Holds a ring. If its holder is gone, it is free.
fn hold(holder: &AtomicU64, pid: u64) -> bool {
    match holder.compare_exchange(0, pid, Acquire, Relaxed) {
        Ok(_) => true,
        Err(other) => {
            other != pid
                && u32::try_from(other).is_ok_and(process::is_gone)
                && holder.compare_exchange(other, pid, Acquire, Relaxed).is_ok()
        }
    }
}

/// Bytes that are used before and after, unless there is no room.
fn append(ring: &[AtomicU64], lines: &[u8]) -> Option<(u64, u64)> {
    let (head, tail) = (ring[HEAD].load(Relaxed), ring[TAIL].load(Acquire));
    let (used, need) = (head.wrapping_sub(tail), lines.len() as u64);
    if used + need > ROOM as u64 {
        return None;
    }
    let [(first, count), (second, rest)] = pieces(ring, head, lines.len());
    // SAFETY: the pieces are as long as the lines together. From the head to the tail, no thread but the holder of
    // the ring, which this is, reads or writes.
    unsafe {
        first.copy_from_nonoverlapping(lines.as_ptr(), count);
        second.copy_from_nonoverlapping(lines.as_ptr().add(count), rest);
    }
    ring[HEAD].store(head.wrapping_add(need), Release);
    Some((used, used + need))
}

/// Copies whole lines to `buf`, as many as it has room for, in place of what it has. The tail behind them.
fn take(ring: &[AtomicU64], buf: &mut Vec<u8>) -> u64 {
    buf.clear();
    let (head, tail) = (ring[HEAD].load(Acquire), ring[TAIL].load(Relaxed));
    let used = head.wrapping_sub(tail) as usize;
    for (start, count) in pieces(ring, tail, used.min(buf.capacity())) {
        // SAFETY: from the tail to the head no thread writes, until the reader has moved the tail.
        buf.extend_from_slice(unsafe { std::slice::from_raw_parts(start, count) });
    }
    if buf.len() < used {
        buf.truncate(memchr::memrchr(b'\n', buf).map_or(0, |end| end + 1));
    }
    tail.wrapping_add(buf.len() as u64)
}

/// Where `len` bytes of a ring are from a position on, at most [`ROOM`]: up to its end, and from its beginning.
fn pieces(ring: &[AtomicU64], at: u64, len: usize) -> [(*mut u8, usize); 2] {
    let start = ring[FIRST..].as_ptr().cast::<u8>().cast_mut();
    let at = at as usize % ROOM;
    let count = len.min(ROOM - at);
    [(start.wrapping_add(at), count), (start, len - count)]
}

/// How many lines end in these bytes.
pub fn lines_in(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}

#[cfg(test)]
mod tests {
    use std::thread::ScopedJoinHandle;

    use super::*;

    fn all(rings: &Rings) -> Vec<u8> {
        let mut all = Vec::new();
        rings.drain(&mut Vec::with_capacity(1 << 16), |lines| all.extend_from_slice(lines));
        all
    }

    #[test]
    fn lines_of_every_length_come_back_also_around_the_end_of_a_ring() {
        let rings = Rings::new().unwrap();
        for len in (1..600).chain([4096]).cycle().take(5000) {
            let line = [vec![b'x'; len - 1], vec![b'\n']].concat();
            assert_ne!(rings.put(&line), Put::Full);
            assert_eq!(all(&rings), line);
        }
        assert_eq!(rings.dropped(), 0);
    }

    #[test]
    fn what_finds_no_room_is_counted_and_the_rest_is_whole() {
        let rings = Rings::new().unwrap();
        let line = |nth: usize| format!("line {nth:048}\n");
        let kept =
            (0..1 << 20).take_while(|&nth| rings.put(line(nth).as_bytes()) != Put::Full).count();
        assert_eq!(kept, RINGS * (ROOM / line(0).len()));
        let two = [line(0), line(1)].concat();
        assert_eq!(
            (rings.put(two.as_bytes()), rings.dropped(), rings.dropped()),
            (Put::Full, 3, 0)
        );
        let text = String::from_utf8(all(&rings)).unwrap();
        assert!(text.lines().eq((0..kept).map(line).collect::<String>().lines()));
    }

    #[test]
    fn a_reader_that_sleeps_is_woken_once_and_one_that_gathers_at_half() {
        let rings = Rings::new().unwrap();
        rings.sleep(true);
        assert_eq!([rings.put(b"a\n"), rings.put(b"b\n")], [Put::Wake, Put::Done]);
        let wakes = (0..ROOM / 2).filter(|_| rings.put(b"c\n") == Put::Wake).count();
        assert_eq!(wakes, 1);
    }

    #[test]
    fn what_was_not_written_is_there_for_the_next_reader() {
        let rings = Rings::new().unwrap();
        rings.put(b"a\n");
        let mut buf = Vec::with_capacity(100);
        // It is killed before it has moved the tail.
        take(rings.ring(RING.get()), &mut buf);
        assert_eq!((&buf[..], &all(&rings)[..]), (&b"a\n"[..], &b"a\n"[..]));
        assert_eq!(all(&rings), b"");
    }

    #[test]
    fn a_ring_of_a_process_that_was_killed_is_free_and_its_line_is_not_there() {
        /// No process has this number: the kernel gives none above 2^22.
        const GONE: u64 = 1 << 30;
        let rings = Rings::new().unwrap();
        for at in 0..RINGS {
            let ring = rings.ring(at);
            ring[HOLDER].store(GONE, Relaxed);
            ring[FIRST].store(u64::MAX, Relaxed);
        }
        assert_eq!(rings.put(b"a\n"), Put::Done);
        assert_eq!(all(&rings), b"a\n");
        // One that lives is passed over.
        rings.ring(RING.get())[HOLDER].store(1, Relaxed);
        let before = RING.get();
        assert_eq!(rings.put(b"b\n"), Put::Done);
        assert_ne!(RING.get(), before);
    }

    #[test]
    fn threads_write_at_once_and_every_line_is_whole() {
        const THREADS: usize = 8;
        const LINES: usize = 3000;
        let rings = Rings::new().unwrap();
        let mut text = Vec::new();
        std::thread::scope(|scope| {
            let writers: Vec<_> = (0..THREADS)
                .map(|thread| {
                    let rings = &rings;
                    scope.spawn(move || {
                        for nth in 0..LINES {
                            let line = format!("{thread} {}\n", "x".repeat(nth % 300));
                            while rings.put(line.as_bytes()) == Put::Full {
                                std::thread::yield_now();
                            }
                        }
                    })
                })
                .collect();
            while !writers.iter().all(ScopedJoinHandle::is_finished) {
                text.extend(all(&rings));
            }
            text.extend(all(&rings));
        });
        let text = String::from_utf8(text).unwrap();
        for thread in 0..THREADS {
            let own: Vec<_> =
                text.lines().filter_map(|it| it.strip_prefix(&format!("{thread} "))).collect();
            let lengths: Vec<_> = own.iter().map(|it| it.len()).collect();
            let mut expected: Vec<_> = (0..LINES).map(|nth| nth % 300).collect();
            // A thread may change its ring, and each ring is read in its order.
            let mut lengths_sorted = lengths.clone();
            lengths_sorted.sort_unstable();
            expected.sort_unstable();
            assert_eq!(lengths_sorted, expected);
            assert!(own.iter().all(|it| it.bytes().all(|byte| byte == b'x')));
        }
    }
}
