//! Charts as inline SVG: the only file that names plotters.
//!
//! Each gate change is one strip. All strips share one scale, counted in tolerances, so that
//! times and error rates can stand below each other. Names stay in the page's own text: the
//! layout here knows neither their width nor their script.

use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

use super::words;
use crate::compare::{Change, Interval, Status};

const SIZE: (u32, u32) = (600, 56);
/// No strip shows more than so many tolerances to each side; what lies beyond is an arrow.
const WIDEST: f64 = 4.0;

// Middle tones that keep three to one against both a white and a dark page.
const GREEN: RGBColor = RGBColor(46, 139, 87);
const RED: RGBColor = RGBColor(214, 69, 69);
const AMBER: RGBColor = RGBColor(183, 121, 31);
const PURPLE: RGBColor = RGBColor(138, 92, 214);
const GREY: RGBColor = RGBColor(125, 133, 144);

type Area<'a> = DrawingArea<SVGBackend<'a>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// How many tolerances the strips of these changes reach to each side.
pub(super) fn reach(changes: &[&Change]) -> f64 {
    // How far a limit is away says nothing of the others.
    let changes = changes.iter().filter(|change| change.limit.is_none());
    let bounds = changes.filter_map(|change| {
        let interval = change.change?;
        let far = interval.lower.abs().max(interval.upper.abs()) / change.unit();
        Some(if far.is_finite() { far } else { WIDEST })
    });
    (bounds.fold(1.5, f64::max) * 1.1).min(WIDEST)
}

/// One change as a strip: the interval as a bar, the estimate as a dot, the tolerated zone
/// shaded, no change as a line. The description says the same in words.
pub(super) fn strip(change: &Change, reach: f64) -> String {
    let mut svg = String::new();
    if let Some(interval) = change.change {
        draw(&mut svg, change, interval, reach).expect("drawing into memory cannot fail");
    }
    let inside = svg.split_once('>').map_or("</svg>", |(_, inside)| inside);
    // A page of a thousand endpoints holds thousands of strips, so that defaults go unsaid.
    let inside = ["opacity=\"1\" ", " stroke=\"none\"", "\n"]
        .iter()
        .fold(inside.to_owned(), |svg, part| svg.replace(part, ""));
    let said = format!(
        "Change {}, tolerated {}, {}",
        words::change_cell(change),
        words::tolerance_cell(change),
        words::status_word(change.status)
    );
    let said = said.replace('<', "&lt;");
    format!(
        "<svg class=\"strip\" role=\"img\" aria-label=\"{said}\" viewBox=\"0 0 {} {}\">{}",
        SIZE.0, SIZE.1, inside
    )
}

fn draw(
    svg: &mut String,
    change: &Change,
    interval: Interval,
    reach: f64,
) -> Result<(), Box<dyn std::error::Error>> {
    let width = i32::try_from(SIZE.0)?;
    let height = i32::try_from(SIZE.1)?;
    let area: Area<'_> = SVGBackend::with_string(svg, SIZE)
        .into_drawing_area()
        .apply_coord_spec(Cartesian2d::new(
            -reach..reach,
            0.0..1.0,
            (0..width, height..0),
        ));
    let colour = colour(change.status);
    let edge = change.tolerance / change.unit();
    area.draw(&Rectangle::new(
        [(-reach, 0.0), (edge.min(reach), 1.0)],
        GREEN.mix(0.14).filled(),
    ))?;
    area.draw(&line(0.0, GREY.stroke_width(2)))?;
    if edge <= reach {
        area.draw(&line(edge, GREEN.stroke_width(4)))?;
    }
    let place = |value: f64| (value / change.unit()).clamp(-reach, reach);
    let (lower, upper) = (place(interval.lower), place(interval.upper));
    area.draw(&Rectangle::new(
        [(lower, 0.39), (upper, 0.61)],
        colour.filled(),
    ))?;
    for (bound, inwards) in [(interval.lower, 1.0), (interval.upper, -1.0)] {
        let end = place(bound);
        if (bound / change.unit()).abs() > reach {
            let tip = if bound < 0.0 { -reach } else { reach };
            let back = tip - tip.signum() * reach * 0.06;
            let arrow = [(tip, 0.5), (back, 0.9), (back, 0.1)];
            area.draw(&Polygon::new(arrow, colour.filled()))?;
        } else {
            let cap = [(end, 0.2), (end + inwards * reach * 0.008, 0.8)];
            area.draw(&Rectangle::new(cap, colour.filled()))?;
        }
    }
    if (interval.estimate / change.unit()).abs() <= reach {
        area.draw(&Circle::new(
            (place(interval.estimate), 0.5),
            11,
            colour.filled(),
        ))?;
    }
    area.present()?;
    Ok(())
}

fn line(at: f64, style: ShapeStyle) -> PathElement<(f64, f64)> {
    PathElement::new([(at, 0.0), (at, 1.0)], style)
}

fn colour(status: Status) -> RGBColor {
    match status {
        Status::Pass => GREEN,
        Status::Regressed => RED,
        Status::Inconclusive => AMBER,
        Status::Invalid => PURPLE,
        Status::NotJudged => GREY,
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn strips_stay_inside_their_box() {
        let report = sample::report();
        for mut change in report.comparison.changes {
            for (lower, upper) in [
                (0.01, 0.02),
                (-1e9, 1e9),
                (f64::NEG_INFINITY, f64::INFINITY),
            ] {
                let estimate = f64::midpoint(lower, upper);
                change.change = Some(Interval {
                    estimate,
                    lower,
                    upper,
                });
                for tolerance in [0.0, 0.1] {
                    change.tolerance = tolerance;
                    let svg = strip(&change, reach(&[&change]));
                    assert!(!svg.contains("NaN") && svg.ends_with("</svg>"), "{svg}");
                    let x = |part: &str| part.split('"').next().unwrap().parse::<i32>().unwrap();
                    assert!(
                        svg.split(" x=\"")
                            .skip(1)
                            .map(x)
                            .all(|x| (0..=600).contains(&x))
                    );
                }
            }
            change.change = None;
            assert!(strip(&change, 2.0).ends_with("</svg>"));
        }
    }
}
