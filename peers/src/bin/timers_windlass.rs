//! Measures the cost of a timer on Windlass' event loop: the arguments, the work and the lines of
//! `timers_libevent`.
//!
//! There is one kind of re-arming here, and no queue of its own for a timeout that many share; so
//! `rearm-common` is `rearm` measured once more.

use std::error::Error;
use std::io::Write as _;
use std::time::{Duration, Instant};

use windlass::reactor::{Context, EventLoop, Token};

/// Timers, and the order in which they are cancelled.
#[derive(Default)]
struct Timers {
    tokens: Vec<Token>,
    order: Vec<usize>,
    /// The random numbers are drawn before, so that drawing is not measured.
    delays: Vec<Duration>,
    random: Random,
    fired: usize,
    add: f64,
    cancel: f64,
    rearm: f64,
    rearm_aged: f64,
    rearm_common: f64,
}

/// xorshift64, as in the program for libevent.
struct Random(u64);

impl Default for Random {
    fn default() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }
}

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

type Cx = Context<Timers>;

impl Timers {
    fn draw(&mut self, below_us: u64) {
        let random = &mut self.random;
        self.delays.clear();
        self.delays.extend(self.tokens.iter().map(|_| Duration::from_micros(random.below(below_us))));
    }

    fn shuffle(&mut self) {
        for i in (1..self.order.len()).rev() {
            let j = self.random.below(i as u64 + 1);
            self.order.swap(i, usize::try_from(j).unwrap_or(0));
        }
    }

    fn add_drawn(&self, cx: &mut Cx) {
        for (&token, &delay) in self.tokens.iter().zip(&self.delays) {
            cx.arm_after(token, delay);
        }
    }

    fn add_all(&self, cx: &mut Cx, delay: Duration) {
        for &token in &self.tokens {
            cx.arm_after(token, delay);
        }
    }

    fn cancel_all(&self, cx: &mut Cx) {
        for &index in &self.order {
            cx.disarm(self.tokens[index]);
        }
    }

    /// Nanoseconds per timer since `begin`.
    fn per_timer(&self, begin: Instant) -> f64 {
        begin.elapsed().as_nanos() as f64 / self.tokens.len() as f64
    }

    /// Cancels them too: the next measurement adds its own.
    fn rearm(&self, cx: &mut Cx, delay: Duration) -> f64 {
        let begin = Instant::now();
        self.add_all(cx, delay);
        let ns = self.per_timer(begin);
        self.cancel_all(cx);
        ns
    }

    fn measure(&mut self, cx: &mut Cx) {
        let half_minute = Duration::from_secs(30);
        self.draw(60_000_000);
        self.shuffle();
        let begin = Instant::now();
        self.add_drawn(cx);
        self.add = self.per_timer(begin);
        let begin = Instant::now();
        self.cancel_all(cx);
        self.cancel = self.per_timer(begin);

        self.add_all(cx, half_minute);
        self.rearm = self.rearm(cx, half_minute);
        self.draw(30_000_000);
        self.add_drawn(cx);
        self.rearm_aged = self.rearm(cx, half_minute);
        self.add_all(cx, half_minute);
        self.rearm_common = self.rearm(cx, half_minute);
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let numbers: Vec<usize> = std::env::args().skip(1).filter_map(|arg| arg.parse().ok()).collect();
    let &[count, runs] = &numbers[..] else {
        return Err("usage: timers_windlass COUNT RUNS".into());
    };
    let mut events = EventLoop::new()?;
    let mut timers = Timers { order: (0..count).collect(), ..Timers::default() };
    timers.tokens = (0..count).map(|_| events.timer(|timers: &mut Timers, _| timers.fired += 1)).collect();
    for _ in 0..runs {
        events.defer(Timers::measure);
        events.run_once(&mut timers, Some(Duration::ZERO))?;
        timers.draw(1000);
        timers.add_drawn(&mut events);
        std::thread::sleep(Duration::from_millis(20));
        timers.fired = 0;
        let begin = Instant::now();
        while timers.fired < count {
            events.run_once(&mut timers, None)?;
        }
        let fire = timers.per_timer(begin);
        let Timers { add, cancel, rearm, rearm_aged, rearm_common, .. } = timers;
        println!(
            "add {add:.1} cancel {cancel:.1} fire {fire:.1} rearm {rearm:.1} rearm-aged {rearm_aged:.1} \
             rearm-common {rearm_common:.1}"
        );
        std::io::stdout().flush()?;
    }
    Ok(())
}
