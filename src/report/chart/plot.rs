//! The frame that all charts share: where the plot lies, its grid, its labels.

use plotters::style::text_anchor::HPos;

use super::{At, Ink, Pen};

/// The size of a chart.
pub(super) const SIZE: (u32, u32) = (640, 400);
/// The edges of the plot inside of it.
pub(super) const LEFT: i32 = 118;
pub(super) const RIGHT: i32 = 626;
pub(super) const TOP: i32 = 14;
pub(super) const BOTTOM: i32 = 326;
/// The middles of the labels below: of the ticks, and of what the axis is.
const TICKS: i32 = BOTTOM + 25;
const NAME: i32 = BOTTOM + 57;
/// Half the room of a label that stands at the right edge.
const HALF: i32 = 28;

/// A place along an axis and what stands there.
pub(super) type Tick = (i32, String);

/// The plot's ground, horizontal and vertical grid with their labels, and the name of the
/// horizontal axis.
pub(super) fn frame(pen: &Pen<'_>, across: &[Tick], up: &[Tick], name: &str) {
    pen.rect((LEFT, TOP), (RIGHT, BOTTOM), Ink::Plot);
    for (y, label) in up {
        pen.line(vec![(LEFT, *y), (RIGHT, *y)], Ink::Grid, 1);
        pen.text(label, (LEFT - 10, *y), HPos::Right);
    }
    for (x, label) in across {
        pen.line(vec![(*x, BOTTOM), (*x, BOTTOM + 6)], Ink::Axis, 2);
        if RIGHT - x < HALF {
            pen.text(label, (RIGHT + 12, TICKS), HPos::Right);
        } else {
            pen.text(label, (*x, TICKS), HPos::Center);
        }
    }
    pen.line(vec![(LEFT, BOTTOM), (RIGHT, BOTTOM)], Ink::Axis, 2);
    pen.text(name, (i32::midpoint(LEFT, RIGHT), NAME), HPos::Center);
}

/// Points joined by a line, where there are two; a dot where one stands alone.
pub(super) fn joined(pen: &Pen<'_>, points: &[At], ink: Ink) {
    if let [alone] = points {
        pen.dot(*alone, 6, ink);
    } else if !points.is_empty() {
        pen.line(points.to_vec(), ink, 4);
    }
}
