//! One change as a strip: its interval against what is tolerated.
//!
//! All strips share one scale, counted in tolerances, so that times and error rates can stand
//! below each other, and the edge of what is tolerated is one line down the page.

use super::{At, Ink, Pen, draw};
use crate::compare::{Change, Interval};
use crate::report::words;

const WIDTH: u32 = 600;
/// The height of a strip among others, and of one that stands alone and is shown larger.
const HEIGHTS: [u32; 2] = [56, 36];
/// No strip shows more than so many tolerances to each side; what lies beyond is an arrow.
const WIDEST: f64 = 4.0;

/// How many tolerances the strips of these changes reach to each side.
pub(in crate::report) fn reach(changes: &[&Change]) -> f64 {
    // How far a limit is away says nothing of the others.
    let changes = changes.iter().filter(|change| change.limit.is_none());
    let bounds = changes.filter_map(|change| {
        let interval = change.change?;
        let far = interval.lower.abs().max(interval.upper.abs()) / change.unit();
        Some(if far.is_finite() { far } else { WIDEST })
    });
    (bounds.fold(1.5, f64::max) * 1.1).min(WIDEST)
}

/// The interval as a bar, the estimate as a dot, the tolerated zone shaded, no change as a line.
/// The description says the same in words.
///
/// `alone` draws the ground as well, which all strips of a page share otherwise.
pub(in crate::report) fn strip(change: &Change, reach: f64, alone: bool) -> String {
    let said = format!(
        "Change {}, tolerated {}, {}",
        words::change_cell(change),
        words::tolerance_cell(change),
        words::status_word(change.status)
    );
    let is_usual = change.limit.is_none() && change.tolerance > 0.0;
    let shared = is_usual && !alone;
    let height = HEIGHTS[usize::from(alone)];
    let svg = draw((WIDTH, height), "strip", &said, |pen| {
        if let Some(interval) = change.change {
            if !shared {
                draw_ground(pen, (change.tolerance / change.unit(), reach), height);
            }
            fill(pen, change, interval, (reach, height));
        }
    });
    match svg.split_once('>') {
        Some((head, inside)) if shared => format!("{head}><use href=\"#ground\"/>{inside}"),
        _ => svg,
    }
}

/// What all strips of a page stand on: the tolerated zone, no change, the edge. Drawn once.
pub(in crate::report) fn ground(reach: f64) -> String {
    let size = (WIDTH, HEIGHTS[0]);
    let svg = draw(size, "ground", "", |pen| {
        draw_ground(pen, (1.0, reach), size.1);
    });
    let inside = svg.split_once('>').map_or("</svg>", |(_, inside)| inside);
    let inside = inside.trim_end_matches("</svg>");
    format!(
        "<svg class=\"ground\" width=\"0\" height=\"0\" aria-hidden=\"true\"><defs><g \
         id=\"ground\">{inside}</g></defs></svg>"
    )
}

fn draw_ground(pen: &Pen<'_>, (edge, reach): (f64, f64), height: u32) {
    let bottom = i32::try_from(height).unwrap_or(i32::MAX);
    let (middle, tolerated) = (place(0.0, reach), place(edge.min(reach), reach));
    pen.rect((0, 0), (tolerated, bottom), Ink::Zone);
    pen.line(vec![(middle, 0), (middle, bottom)], Ink::Axis, 2);
    if edge <= reach {
        pen.line(vec![(tolerated, 0), (tolerated, bottom)], Ink::Edge, 4);
    }
}

fn fill(pen: &Pen<'_>, change: &Change, interval: Interval, (reach, height): (f64, u32)) {
    let ink = Ink::of(change.status);
    let right = i32::try_from(WIDTH).unwrap_or(i32::MAX);
    let middle = i32::try_from(height / 2).unwrap_or(i32::MAX);
    // A strip alone is half as high in its own units and drawn as large.
    let part = |whole: i32| whole * middle / 28;
    let place = |value: f64| place((value / change.unit()).clamp(-reach, reach), reach);
    let (lower, upper) = (place(interval.lower), place(interval.upper));
    // A bar of no width would not be seen.
    let seen = upper.max(lower + 3);
    pen.rect((lower, middle - part(6)), (seen, middle + part(6)), ink);
    for (bound, at, inwards) in [(interval.lower, lower, 1), (interval.upper, upper, -1)] {
        if (bound / change.unit()).abs() > reach {
            let (tip, back) = if bound < 0.0 {
                (0, 20)
            } else {
                (right, right - 20)
            };
            let arrow: Vec<At> = vec![
                (tip, middle),
                (back, middle - part(20)),
                (back, middle + part(20)),
            ];
            pen.area(arrow, ink);
        } else {
            pen.rect(
                (at, middle - part(16)),
                (at + 4 * inwards, middle + part(16)),
                ink,
            );
        }
    }
    if (interval.estimate / change.unit()).abs() <= reach {
        pen.dot((place(interval.estimate), middle), part(12), ink);
    }
}

/// From tolerances to units of the drawing.
fn place(tolerances: f64, reach: f64) -> i32 {
    super::scale::pixel((tolerances + reach) / (2.0 * reach) * f64::from(WIDTH))
}

#[cfg(test)]
mod tests {
    use super::super::super::sample;
    use super::*;
    use crate::compare::Status;

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
                change.status = Status::Pass;
                for tolerance in [0.0, 0.1] {
                    change.tolerance = tolerance;
                    let svg = strip(&change, reach(&[&change]), true);
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
            assert!(strip(&change, 2.0, false).ends_with("</svg>"));
        }
    }
}
