//! Work that is done on all processors at once.

use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use crate::run::Result;

/// A piece of work. What it returns is printed when it is done, so that the texts of two do not mix.
pub(crate) struct Job<'a> {
    pub(crate) name: String,
    work: Box<dyn FnOnce() -> Result<String> + Send + 'a>,
}

impl<'a> Job<'a> {
    pub(crate) fn new(
        name: impl Into<String>,
        work: impl FnOnce() -> Result<String> + Send + 'a,
    ) -> Self {
        Self { name: name.into(), work: Box::new(work) }
    }
}

/// Does all of them, as many at a time as there are processors, and begins with the first ones. After a failure no
/// other one begins.
pub(crate) fn run(jobs: Vec<Job<'_>>) -> Result<()> {
    let waiting = Mutex::new(Ok(jobs.into_iter()));
    let next = || waiting.lock().ok()?.as_mut().ok()?.next();
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(Job { name, work }) = next() {
                    let begin = Instant::now();
                    let done = work();
                    let seconds = begin.elapsed().as_secs_f64();
                    match done {
                        Ok(text) => println!("-- {name}: {seconds:.1} s\n{text}"),
                        Err(why) => {
                            if let Ok(mut waiting) = waiting.lock()
                                && waiting.is_ok()
                            {
                                *waiting = Err(format!("{name}: {why}"));
                            }
                        }
                    }
                }
            });
        }
    });
    waiting.into_inner().map_err(|_| "a thread panicked".to_owned())?.map(drop)
}
