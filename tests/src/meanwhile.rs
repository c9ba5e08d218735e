//! What goes on while a test does something else.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// Calls `deed` again and again, in so many threads, until `body` has ended: also if it fails, which would
/// be a hang otherwise. A deed that fails is a failure of the test.
pub fn meanwhile<T>(threads: usize, deed: impl Fn() + Sync, body: impl FnOnce() -> T) -> T {
    /// Dropped however `body` ends.
    struct Over<'a>(&'a AtomicBool);

    impl Drop for Over<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    deed();
                }
            });
        }
        let _over = Over(&is_over);
        body()
    })
}
