//! The median of what was measured.

/// Of at least one figure; of an even number of them the greater one in the middle.
pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
