//! Draws ratios with their ranges, as SVG.
//!
//! ```text
//!   server ns/message                       a row for each server: a line from the lowest to the highest ratio
//!   connections: 64                         of its rounds, and a dot at the median. The scale is logarithmic, so
//!   libevent            ──┼●─      1.00     that half and double are equally far from 1
//!   epoll       ─●──      │        0.61
//!           0.5           1
//! ```

use std::ops::Range;

use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::picture::{Figures, Group, Picture};
use crate::printable::printable;
use crate::server::Model;

/// Colors with which the text can be read on a light and on a dark page: the picture has a ground of its own.
const GROUND: RGBColor = RGBColor(250, 250, 247);
const TEXT: RGBColor = RGBColor(36, 36, 36);
const FAINT: RGBColor = RGBColor(96, 96, 96);
const GRID: RGBColor = RGBColor(222, 222, 216);
const ONE: RGBColor = RGBColor(120, 120, 116);
const OURS: RGBColor = RGBColor(0, 92, 168);
const THEIRS: RGBColor = RGBColor(150, 84, 12);

/// Lengths in pixels.
const WIDTH: u32 = 760;
const ROW: u32 = 20;
/// Above the name of a group.
const GAP: u32 = 8;
const HEAD: u32 = 72;
const FOOT: u32 = 26;
const EDGE: u32 = 16;
const INDENT: u32 = 12;
/// Room for the ratios on the right.
const RATIO: u32 = 56;
const HEIGHT_MAX: u32 = 20_000;
/// A letter of a name, on average: no font is at hand to measure one.
const LETTER: f64 = 6.6;
/// Letters of a name.
const NAME_MAX: usize = 40;

/// Sizes of a font; plotters divides them by 1.24.
const FONT: f64 = 13.0 * 1.24;
const SMALL: f64 = 11.5 * 1.24;
const TITLE: f64 = 15.0 * 1.24;

type Sheet<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Scale = Cartesian2d<LogCoord<f64>, RangedCoordf64>;
type Drawn = Result<(), DrawingAreaErrorKind<std::io::Error>>;

/// The picture as a document, or what keeps it from being drawn.
pub(super) fn draw(picture: &Picture) -> Result<String, String> {
    let mut svg = String::new();
    let heights = picture.groups.iter().map(|group| {
        let rows = group.rows.len() as u64 + u64::from(!group.name.is_empty());
        u64::from(GAP) + rows * u64::from(ROW)
    });
    let height = u32::try_from(heights.sum::<u64>()).ok();
    let height = height.filter(|&height| height < HEIGHT_MAX).ok_or("it has too many rows")?;
    let sheet = SVGBackend::with_string(&mut svg, (WIDTH, HEAD + height + FOOT));
    let sheet = sheet.into_drawing_area();
    on(&sheet, picture, height).map_err(|error| error.to_string())?;
    sheet.present().map_err(|error| error.to_string())?;
    drop(sheet);
    Ok(svg)
}

fn on(sheet: &Sheet<'_>, picture: &Picture, height: u32) -> Drawn {
    sheet.fill(&GROUND)?;
    write(sheet, &picture.unit, (EDGE, 20), HPos::Left, TITLE, TEXT)?;
    write(sheet, &caption(picture), (EDGE, 40), HPos::Left, SMALL, FAINT)?;

    let groups: Vec<_> = picture.groups.iter().map(|group| (group, ratios(group))).collect();
    let span = span(groups.iter().flat_map(|(_, ratios)| ratios).flatten());
    let lengths = picture.groups.iter().flat_map(|group| {
        let names = group.rows.iter().map(|row| name(&row.server).chars().count());
        names.chain([group.name.chars().count()])
    });
    let longest = (lengths.max().unwrap_or(0) as f64 * LETTER) as u32;
    let left = (EDGE + INDENT + longest + INDENT).min(WIDTH / 2);
    let (right, top, bottom) = (WIDTH - EDGE - RATIO, HEAD, HEAD + height);
    let chart = sheet.apply_coord_spec(Scale::new(
        span.clone().log_scale(),
        f64::from(top)..f64::from(bottom),
        (left as i32..right as i32, top as i32..bottom as i32),
    ));
    for tick in ticks(&span) {
        let line = [top, bottom].map(|y| (tick, f64::from(y)));
        let color = if is_one(tick) { ONE } else { GRID };
        chart.draw(&PathElement::new(line, color.stroke_width(1)))?;
        let (x, _) = chart.map_coordinate(&(tick, 0.0));
        for y in [top - 9, bottom + 11] {
            write(sheet, &shown(tick), (x as u32, y), HPos::Center, SMALL, FAINT)?;
        }
    }
    let mut y = top + ROW / 2;
    for (group, ratios) in groups {
        y += GAP;
        if !group.name.is_empty() {
            write(sheet, &group.name, (EDGE, y), HPos::Left, SMALL, FAINT)?;
            y += ROW;
        }
        for (row, ratio) in group.rows.iter().zip(ratios) {
            write(sheet, &name(&row.server), (EDGE + INDENT, y), HPos::Left, FONT, TEXT)?;
            let median = ratio.map_or("–".to_owned(), |ratio| format!("{:.2}", ratio.median));
            write(sheet, &median, (WIDTH - EDGE, y), HPos::Right, FONT, TEXT)?;
            if let Some(Figures { median, min, max }) = ratio {
                let color = if is_ours(&row.server) { OURS } else { THEIRS };
                // What is 0 has no place on this scale.
                let [min, median] = [min, median].map(|ratio| ratio.max(span.start));
                let style = color.filled().stroke_width(2);
                chart.draw(&ErrorBar::new_horizontal(f64::from(y), min, median, max, style, 6))?;
            }
            y += ROW;
        }
    }
    Ok(())
}

fn write(
    sheet: &Sheet<'_>,
    words: &str,
    (x, y): (u32, u32),
    anchor: HPos,
    size: f64,
    color: RGBColor,
) -> Drawn {
    let style = ("sans-serif", size).into_font().color(&color).pos(Pos::new(anchor, VPos::Center));
    // XML has no control characters.
    let words = printable(words).whole().to_string();
    sheet.draw(&Text::new(words, (x as i32, y as i32), style))
}

/// What the ratios are, and which side is the good one.
fn caption(picture: &Picture) -> String {
    let mut firsts = picture.groups.iter().filter_map(|group| group.rows.first());
    let first = firsts.next().map_or("", |row| &row.server);
    let base = if firsts.all(|row| row.server == first) {
        name(first)
    } else {
        "the first of each group".to_owned()
    };
    let good = if picture.unit.ends_with("/s") { "more" } else { "less" };
    format!(
        "Ratio to {base}: median, and lowest to highest of all rounds; {good} is better. Blue: Windlass"
    )
}

fn name(server: &str) -> String {
    printable(server).cut(NAME_MAX).to_string()
}

/// Whether it is Windlass: a row begins with the name of a model then.
fn is_ours(server: &str) -> bool {
    let first = server.split(',').next().unwrap_or_default();
    Model::ALL.iter().any(|model| model.name() == first) || first == "score listen"
}

/// Each row's ratio to the median of the first one; none if that is 0.
fn ratios(group: &Group) -> Vec<Option<Figures>> {
    let base = group.rows.first().map_or(0.0, |row| row.figures.median);
    let ratio = |Figures { median, min, max }| Figures {
        median: median / base,
        min: min / base,
        max: max / base,
    };
    group.rows.iter().map(|row| (base > 0.0).then(|| ratio(row.figures))).collect()
}

/// From the lowest to the highest ratio, and 1, with a little room on both sides.
fn span<'a>(ratios: impl Iterator<Item = &'a Figures>) -> Range<f64> {
    let (mut low, mut high) = (1.0_f64, 1.0_f64);
    for ratio in ratios {
        high = high.max(ratio.max);
        if ratio.min > 0.0 {
            low = low.min(ratio.min);
        }
    }
    // At least a tenth on each side, so that noise does not look like a difference.
    let room = (high / low).powf(0.04);
    low.min(0.9) / room..high.max(1.1) * room
}

/// Round numbers within the span: the coarsest that are five or more.
fn ticks(span: &Range<f64>) -> Vec<f64> {
    const COARSE: &[f64] = &[1.0, 2.0, 5.0];
    const FINE: &[f64] = &[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0];
    const FINEST: &[f64] = &[1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0];
    let within = |steps: &[f64]| -> Vec<f64> {
        let decades = span.start.log10().floor() as i32..=span.end.log10().floor() as i32;
        let all = decades.flat_map(|ten| steps.iter().map(move |step| step * 10_f64.powi(ten)));
        all.filter(|tick| span.contains(tick)).collect()
    };
    let choices = [&[1.0], COARSE, FINE].map(within);
    choices.into_iter().find(|ticks| ticks.len() >= 5).unwrap_or_else(|| within(FINEST))
}

fn is_one(tick: f64) -> bool {
    (tick - 1.0).abs() < 1e-9
}

/// A tick has two digits that count.
fn shown(tick: f64) -> String {
    let digits = (1 - tick.log10().floor() as i32).clamp(0, 9) as usize;
    let text = format!("{tick:.digits$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}
