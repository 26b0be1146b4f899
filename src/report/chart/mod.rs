//! Charts as inline SVG: the only folder that names plotters, and this file the only one in it.
//!
//! plotters draws with inks, and each ink becomes a class: the style sheet gives it a tone for a
//! light, a dark and a printed page. Labels hold digits and units of ours only, never foreign
//! text; what a chart shows is said in words beside it.

mod course;
mod plot;
mod quantile;
mod scale;
mod strip;

use plotters::{
    coord::Shift,
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use crate::compare::Status;

pub(super) use course::{Line, course, series};
pub(super) use quantile::{Curves, curves, name, shift, shift_cells};
pub(super) use strip::{ground, reach, strip};

/// What a stroke or a surface means; its class is `s-` or `f-` and this letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Ink {
    Baseline = b'b',
    Candidate = b'c',
    /// Axes and the line of no change.
    Axis = b'a',
    Grid = b'g',
    Text = b't',
    /// What is tolerated.
    Zone = b'z',
    /// The edge of what is tolerated.
    Edge = b'e',
    /// The uncertainty around a line.
    Band = b'w',
    /// A round that was dropped.
    Dropped = b'd',
    Pass = b'p',
    Regressed = b'r',
    Inconclusive = b'i',
    Invalid = b'v',
    Unjudged = b'u',
    /// The ground of a plot.
    Plot = b'q',
}

impl Ink {
    const ALL: [Self; 15] = [
        Self::Baseline,
        Self::Candidate,
        Self::Axis,
        Self::Grid,
        Self::Text,
        Self::Zone,
        Self::Edge,
        Self::Band,
        Self::Dropped,
        Self::Pass,
        Self::Regressed,
        Self::Inconclusive,
        Self::Invalid,
        Self::Unjudged,
        Self::Plot,
    ];

    /// The tone of what was found.
    fn of(status: Status) -> Self {
        match status {
            Status::Pass => Self::Pass,
            Status::Regressed => Self::Regressed,
            Status::Inconclusive => Self::Inconclusive,
            Status::Invalid => Self::Invalid,
            Status::NotJudged => Self::Unjudged,
        }
    }

    /// The placeholder that plotters writes.
    fn colour(self) -> RGBColor {
        RGBColor(self as u8, self as u8, self as u8)
    }
}

/// A chart with what a pointer may read off it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chart {
    /// The drawing.
    pub(super) svg: String,
    /// A line for each place along the horizontal axis: where it is in the drawing, and what is
    /// there.
    pub(super) points: String,
}

/// The size of labels in units of the drawing; the style sheet sets the same.
const LABEL: f64 = 24.0;

/// A place in the drawing.
type At = (i32, i32);

/// Draws in units of the drawing. Writing to memory cannot fail.
struct Pen<'a>(DrawingArea<SVGBackend<'a>, Shift>);

impl Pen<'_> {
    fn rect(&self, from: At, to: At, ink: Ink) {
        done(
            self.0
                .draw(&Rectangle::new([from, to], ink.colour().filled())),
        );
    }

    fn line(&self, points: Vec<At>, ink: Ink, width: u32) {
        let style = ink.colour().stroke_width(width);
        done(self.0.draw(&PathElement::new(points, style)));
    }

    fn area(&self, points: Vec<At>, ink: Ink) {
        done(self.0.draw(&Polygon::new(points, ink.colour().filled())));
    }

    fn dot(&self, at: At, radius: i32, ink: Ink) {
        done(self.0.draw(&Circle::new(at, radius, ink.colour().filled())));
    }

    /// A label; `across` says which part of it stands at the place.
    fn text(&self, text: &str, at: At, across: HPos) {
        let style = ("sans-serif", LABEL).into_font().color(&Ink::Text.colour());
        let style = style.pos(Pos::new(across, VPos::Center));
        done(self.0.draw(&Text::new(text.to_owned(), at, style)));
    }
}

fn done<E: std::fmt::Debug>(drawn: Result<(), E>) {
    drawn.expect("drawing into memory cannot fail");
}

/// A drawing of that size with its description in words, which must hold no foreign text.
fn draw(size: (u32, u32), class: &str, said: &str, fill: impl FnOnce(&Pen<'_>)) -> String {
    let mut svg = String::new();
    {
        let pen = Pen(SVGBackend::with_string(&mut svg, size).into_drawing_area());
        fill(&pen);
        done(pen.0.present());
    }
    let inside = svg.split_once('>').map_or("</svg>", |(_, inside)| inside);
    let said = said
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;");
    format!(
        "<svg class=\"{class}\" role=\"img\" aria-label=\"{said}\" viewBox=\"0 0 {} {}\">{}",
        size.0,
        size.1,
        classed(inside)
    )
}

/// Classes in place of colours and fonts; defaults go unsaid, because a page of a thousand
/// endpoints holds thousands of drawings.
fn classed(svg: &str) -> String {
    let size = format!(" font-size=\"{}\"", LABEL / 1.24);
    let unsaid = [
        " opacity=\"1\"",
        " stroke=\"none\"",
        " fill=\"none\"",
        " font-family=\"sans-serif\"",
        " stroke-width=\"1\"",
        " \n",
        "\n",
        &size,
    ];
    let mut svg = unsaid.iter().fold(svg.to_owned(), |svg, part| {
        let instead = if *part == " \n" { "\n" } else { "" };
        svg.replace(part, instead)
    });
    for ink in Ink::ALL {
        let letter = char::from(ink as u8);
        let RGBColor(r, g, b) = ink.colour();
        let colour = format!("#{r:02X}{g:02X}{b:02X}");
        for (attribute, prefix) in [("fill", 'f'), ("stroke", 's')] {
            let placeholder = format!("{attribute}=\"{colour}\"");
            svg = svg.replace(&placeholder, &format!("class=\"{prefix}-{letter}\""));
        }
    }
    svg.replace(" \"/>", "\"/>")
}
