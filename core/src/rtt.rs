//! When to send again: the retransmission timer of RFC 6298, in 32-bit integers.
//!
//! One estimator serves one path. It measures packets that were sent once and acknowledged. It doubles
//! its timeout after each packet that was not acknowledged, and keeps the doubled value until the next
//! measurement.
//!
//! ```
//! use windlass_core::rtt::{Bounds, Rtt};
//! let mut rtt = Rtt::new(&Bounds::RFC_6298);
//! assert_eq!(rtt.rto_us(), 1_000_000);
//! rtt.back_off();                     // no acknowledgement came
//! assert_eq!(rtt.rto_us(), 2_000_000);
//! rtt.measured(900_000);              // sent once, acknowledged after 900 ms
//! assert_eq!(rtt.rto_us(), 900_000 + 4 * 450_000);
//! ```

/// The limits of the timeout, in microseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Bounds {
    /// The timeout before the first measurement.
    pub initial_us: u32,
    /// The shortest timeout.
    pub min_us: u32,
    /// The longest timeout. Less than 2³¹.
    pub max_us: u32,
}

impl Bounds {
    /// What RFC 6298 asks for on paths through the Internet.
    pub const RFC_6298: Self =
        Self { initial_us: 1_000_000, min_us: 1_000_000, max_us: 60_000_000 };
}

/// The clock of the shell is assumed to tick at least this often: `G` of RFC 6298, in microseconds.
const GRANULARITY_US: u32 = 1_000;

/// A longer round trip counts as 268 seconds, so that eight times its microseconds fit in 32 bits.
const SAMPLE_MAX_US: u32 = 1 << 28;

/// The estimate of one path's round-trip time, and the timeout that follows from it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Rtt<'b> {
    bounds: &'b Bounds,
    // Scaled, so that the divisions of RFC 6298 keep their fractions, as in Jacobson's paper of 1988.
    /// Eight times SRTT; 0 before the first measurement.
    srtt_8: u32,
    /// Four times RTTVAR.
    rttvar_4: u32,
    rto_us: u32,
}

impl<'b> Rtt<'b> {
    /// An estimator without a measurement.
    pub const fn new(bounds: &'b Bounds) -> Self {
        Self { bounds, srtt_8: 0, rttvar_4: 0, rto_us: bounds.initial_us }
    }

    /// An estimator without a measurement, with this timeout before the first one.
    pub fn starting_at(bounds: &'b Bounds, initial_us: u32) -> Self {
        let rtt = Self::new(bounds);
        Self { rto_us: rtt.bounded(initial_us), ..rtt }
    }

    /// An acknowledgement arrived `us` microseconds after its packet was sent.
    ///
    /// Call this only for a packet that was sent once: if it was sent twice, the acknowledgement
    /// may be for either copy (Karn's rule).
    pub fn measured(&mut self, us: u32) {
        // Not 0, so that SRTT is not 0 from now on.
        let sample = us.clamp(1, SAMPLE_MAX_US);
        let srtt = self.srtt_8 >> 3;
        if srtt == 0 {
            self.srtt_8 = sample << 3;
            self.rttvar_4 = sample << 1;
        } else {
            self.rttvar_4 = self.rttvar_4 - (self.rttvar_4 >> 2) + sample.abs_diff(srtt);
            self.srtt_8 = self.srtt_8 - srtt + sample;
        }
        self.forget_back_off();
    }

    /// No acknowledgement arrived in time: the next timeout is twice as long.
    pub fn back_off(&mut self) {
        self.rto_us = self.bounded(self.rto_us << 1);
    }

    /// Sets the timeout as the last measurement has it, if there is one. RFC 6298 keeps a doubled timeout until
    /// the next measurement, because the path may have become slower. So do not call this after every
    /// packet that was sent twice.
    pub fn forget_back_off(&mut self) {
        self.rto_us = self.measured_rto_us();
    }

    /// The timeout as the last measurement has it, in microseconds; the current one before the first measurement.
    #[inline(never)]
    pub fn measured_rto_us(&self) -> u32 {
        match self.srtt_us() {
            Some(srtt_us) => self.bounded(srtt_us + self.rttvar_4.max(GRANULARITY_US)),
            None => self.rto_us,
        }
    }

    /// Makes the timeout no longer than this, until the next step.
    pub fn shorten(&mut self, us: u32) {
        self.rto_us = self.bounded(self.rto_us.min(us));
    }

    /// Makes the timeout no shorter than this, until the next step.
    pub fn lengthen(&mut self, us: u32) {
        self.rto_us = self.bounded(self.rto_us.max(us));
    }

    /// The current timeout, in microseconds.
    pub const fn rto_us(&self) -> u32 {
        self.rto_us
    }

    /// The smoothed round-trip time in microseconds, after the first measurement.
    pub fn srtt_us(&self) -> Option<u32> {
        (self.srtt_8 != 0).then_some(self.srtt_8 >> 3)
    }

    fn bounded(&self, rto_us: u32) -> u32 {
        rto_us.max(self.bounds.min_us).min(self.bounds.max_us)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    const BOUNDS: Bounds = Bounds { initial_us: 1_000_000, min_us: 1, max_us: u32::MAX >> 1 };

    /// Section 2 of RFC 6298, as it stands there.
    #[derive(Default)]
    struct Model {
        srtt: f64,
        rttvar: f64,
        rto: f64,
    }

    impl Model {
        fn measured(&mut self, r: f64) {
            if self.rto == 0.0 {
                (self.srtt, self.rttvar) = (r, r / 2.0);
            } else {
                self.rttvar = 0.75 * self.rttvar + 0.25 * (self.srtt - r).abs();
                self.srtt = 0.875 * self.srtt + 0.125 * r;
            }
            self.rto = self.srtt + f64::from(GRANULARITY_US).max(4.0 * self.rttvar);
        }
    }

    proptest! {
        #[test]
        fn it_is_the_formula_of_the_rfc(samples in proptest::collection::vec(0_u32..60_000_000, 1..200)) {
            let (mut rtt, mut model) = (Rtt::new(&BOUNDS), Model::default());
            for sample in samples {
                rtt.measured(sample);
                model.measured(sample.into());
                // A microsecond of SRTT is lost at each step and decays by an eighth; what is lost of
                // it in the difference, and of RTTVAR, decays by a quarter.
                prop_assert!((f64::from(rtt.srtt_us().unwrap()) - model.srtt).abs() <= 2.0);
                prop_assert!((f64::from(rtt.rto_us()) - model.rto).abs() <= 16.0,
                    "{} {}", rtt.rto_us(), model.rto);
            }
        }

        #[test]
        fn it_stays_between_its_bounds(
            steps in proptest::collection::vec(proptest::option::of(any::<u32>()), 0..300),
            min_us in 1_u32..10_000_000,
            more in 0_u32..1_000_000_000,
        ) {
            let bounds = Bounds { initial_us: min_us, min_us, max_us: min_us + more };
            let mut rtt = Rtt::new(&bounds);
            for step in steps {
                match step {
                    Some(sample) => rtt.measured(sample),
                    None => rtt.back_off(),
                }
                prop_assert!((min_us..=bounds.max_us).contains(&rtt.rto_us()));
            }
        }
    }

    #[test]
    fn a_timeout_stays_doubled_until_something_is_measured() {
        let bounds = Bounds { max_us: 30_000_000, ..Bounds::RFC_6298 };
        let mut rtt = Rtt::new(&bounds);
        rtt.measured(2_000_000);
        let doubled: Vec<u32> = (0..4)
            .map(|_| {
                rtt.back_off();
                rtt.rto_us()
            })
            .collect();
        assert_eq!(doubled, [12_000_000, 24_000_000, 30_000_000, 30_000_000]);
        rtt.measured(2_000_000);
        assert_eq!(rtt.rto_us(), 2_000_000 + 3_000_000);
        assert_eq!(rtt.srtt_us(), Some(2_000_000));
        rtt.back_off();
        rtt.forget_back_off();
        assert_eq!(rtt.rto_us(), 2_000_000 + 3_000_000);
        rtt.lengthen(4_000_000);
        assert_eq!(rtt.rto_us(), 2_000_000 + 3_000_000);
        rtt.lengthen(6_000_000);
        assert_eq!(rtt.rto_us(), 6_000_000);
        rtt.lengthen(u32::MAX);
        assert_eq!(rtt.rto_us(), 30_000_000);
        let mut unmeasured = Rtt::new(&Bounds::RFC_6298);
        unmeasured.back_off();
        unmeasured.forget_back_off();
        assert_eq!(unmeasured.rto_us(), 2_000_000);
    }

    #[test]
    fn extreme_samples_do_not_overflow() {
        let mut rtt = Rtt::new(&BOUNDS);
        for sample in [u32::MAX, 0, u32::MAX, 0, u32::MAX, u32::MAX, u32::MAX] {
            rtt.measured(sample);
        }
        for _ in 0..40 {
            rtt.back_off();
        }
        assert_eq!(rtt.rto_us(), u32::MAX >> 1);
    }
}
