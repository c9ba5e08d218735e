//! Updates of a device with a simulated flash, over a simulated line, in virtual time.

mod lies;
mod line;
mod power;
mod verdicts;
