//! Sparklines: ten minutes of one value, as SVG in the page.

use std::fmt::Write;

use maud::{Markup, html};

use super::super::history::KEPT;

/// Units of the drawing from the level of 0 to the highest value.
const HEIGHT: f32 = 44.0;

/// The level of 0 from the top: a line has room on both sides.
const BASE: i32 = 46;

/// Units of the whole height.
const BOX: i32 = 48;

/// How the values of a sparkline are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// A line, and the area below it.
    Line,
    /// A bar for each value that is not 0.
    Bars,
}

/// The values, the newest at the right end; `title` says what they are.
pub(super) fn spark(values: impl ExactSizeIterator<Item = f32>, form: Form, title: &str) -> Markup {
    let first = KEPT.saturating_sub(values.len());
    let values: Vec<f32> = values.collect();
    let most = values.iter().copied().fold(0.0, f32::max);
    // A value that is not 0 is seen.
    let height = |value: f32| {
        if value > 0.0 { (value / most * HEIGHT).round().max(1.0) as i32 } else { 0 }
    };
    let heights: Vec<i32> = values.into_iter().map(height).collect();
    html! {
        svg viewBox={ "0 0 " (KEPT) " " (BOX) } preserveAspectRatio="none" role="img" {
            title { (title) }
            @match (form, &heights[..]) {
                (_, []) => {}
                (Form::Line, [start, rest @ ..]) => {
                    @let line = line(*start, rest);
                    @let begin = BASE - start;
                    path.area d={ "M" (first) " " (BASE) "V" (begin) (line) "V" (BASE) "z" } {}
                    path.line d={ "M" (first) " " (begin) (line) } {}
                }
                (Form::Bars, heights) => path.bars d=(bars(first, heights)) {},
            }
        }
    }
}

/// Steps to the right, from this height to those of the next values; steps on one level are one.
fn line(mut level: i32, heights: &[i32]) -> String {
    let (mut path, mut flat) = (String::new(), 0);
    // Writing to a string does not fail.
    for &height in heights {
        if height == level {
            flat += 1;
            continue;
        }
        if flat > 0 {
            let _ = write!(path, "h{flat}");
        }
        let _ = write!(path, "l1 {}", level - height);
        (level, flat) = (height, 0);
    }
    // The newest value has a width too.
    let _ = write!(path, "h{}", flat + 1);
    path
}

fn bars(first: usize, heights: &[i32]) -> String {
    let mut path = String::new();
    for (x, height) in (first..).zip(heights).filter(|(_, height)| **height > 0) {
        let _ = write!(path, "M{x} {BASE}v-{height}h1v{height}z");
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(values: &[f32], form: Form) -> String {
        spark(values.iter().copied(), form, "a < b").into_string()
    }

    #[test]
    fn the_newest_value_is_at_the_right_end_and_the_highest_at_the_top() {
        let svg = drawn(&[5.0, 5.0, 5.0, 10.0, 0.0], Form::Line);
        assert!(svg.contains(r#"<path class="line" d="M115 24h2l1 -22l1 44h1">"#), "{svg}");
        assert!(svg.contains(r#"<path class="area" d="M115 46V24h2l1 -22l1 44h1V46z">"#), "{svg}");
        assert!(svg.contains("<title>a &lt; b</title>"), "{svg}");
        let svg = drawn(&[0.0, 1.0, 1e9], Form::Bars);
        assert!(svg.contains(r#"d="M118 46v-1h1v1zM119 46v-44h1v44z""#), "{svg}");
    }

    #[test]
    fn a_drawing_has_a_bounded_length() {
        assert!(!drawn(&[], Form::Line).contains("path"));
        assert!(drawn(&[0.0], Form::Line).contains(r#"d="M119 46h1""#));
        let idle = drawn(&[0.0; KEPT], Form::Line);
        let busy: Vec<_> =
            (0..KEPT).map(|at| if at % 2 == 0 { 1e30 } else { f32::MIN_POSITIVE }).collect();
        let busy = [Form::Line, Form::Bars].map(|form| drawn(&busy, form).len());
        assert!(idle.len() < 300 && busy.iter().all(|&len| len < 3000), "{} {busy:?}", idle.len());
    }
}
