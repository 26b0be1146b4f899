//! The rate of a workload over its time as a picture of its own, in SVG.

use plotters::prelude::*;

use super::printable;
use crate::units::{count, seconds};

const SIZE: (u32, u32) = (900, 300);
const BAR: RGBColor = RGBColor(58, 110, 165);
const GRID: RGBColor = RGBColor(208, 213, 219);
const FONT: &str = "sans-serif";
/// Numbers along the axis of time.
const LABELS: usize = 8;

/// Requests in equal parts of the time.
#[derive(Debug, Clone, Copy)]
pub struct RateOverTime<'a> {
    /// What was counted, for the title.
    pub name: &'a str,
    /// Requests in each part.
    pub counts: &'a [u64],
    /// The length of a part in nanoseconds.
    pub part_ns: u64,
}

/// The picture; it ends with a line feed.
pub fn rate_svg(rate: RateOverTime<'_>) -> String {
    let mut svg = String::new();
    draw(&mut svg, rate).expect("drawing into memory cannot fail");
    let said = format!(
        "{}: requests per second over {:.0} s, at most {:.1}/s",
        printable(rate.name),
        seconds(rate.part_ns) * count(rate.counts.len() as u64),
        peak(rate)
    );
    let said = said.replace('&', "&amp;").replace('<', "&lt;");
    let title = format!("><title>{said}</title>");
    // Into the first element: what a reader of screens says of the picture.
    svg.trim_end().replacen('>', &title, 1) + "\n"
}

fn peak(rate: RateOverTime<'_>) -> f64 {
    let most = rate.counts.iter().max().copied().unwrap_or(0);
    count(most) / seconds(rate.part_ns.max(1))
}

/// The unit that keeps the numbers of the time axis short, and its length in seconds.
fn unit(total_s: f64) -> (&'static str, f64) {
    match total_s {
        s if s < 300.0 => ("seconds", 1.0),
        s if s < 3.0 * 3_600.0 => ("minutes", 60.0),
        s if s < 3.0 * 86_400.0 => ("hours", 3_600.0),
        _ => ("days", 86_400.0),
    }
}

/// A number of an axis without a fraction that says nothing.
fn short(number: f64) -> String {
    let text = format!("{number:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn draw(svg: &mut String, rate: RateOverTime<'_>) -> Result<(), Box<dyn std::error::Error>> {
    let part_s = seconds(rate.part_ns.max(1));
    let total_s = part_s * count(rate.counts.len().max(1) as u64);
    let (name, unit_s) = unit(total_s);
    let top = peak(rate).max(1e-9) * 1.05;
    let area = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .margin(12)
        .x_label_area_size(38)
        .y_label_area_size(62)
        .build_cartesian_2d(0.0..total_s / unit_s, 0.0..top)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .max_light_lines(0)
        .bold_line_style(GRID)
        .axis_style(GRID)
        .x_labels(LABELS)
        .y_labels(LABELS / 2)
        .label_style((FONT, 13))
        .axis_desc_style((FONT, 14))
        .x_label_formatter(&|x| short(*x))
        .y_label_formatter(&|y| short(*y))
        .x_desc(format!("{name} after the first request"))
        .y_desc("requests per second")
        .draw()?;
    let bars = rate.counts.iter().enumerate().filter(|(_, n)| **n > 0);
    chart.draw_series(bars.map(|(at, n)| {
        let at = count(at as u64) * part_s / unit_s;
        let corners = [(at, 0.0), (at + part_s / unit_s, count(*n) / part_s)];
        Rectangle::new(corners, BAR.filled())
    }))?;
    area.present()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn svg(name: &str, counts: &[u64], part_ns: u64) -> String {
        rate_svg(RateOverTime {
            name,
            counts,
            part_ns,
        })
    }

    #[test]
    fn each_part_with_requests_has_a_bar_and_the_highest_reaches_the_top() {
        let picture = svg("w", &[10, 0, 40, 20], 1_000_000_000);
        assert!(
            picture.starts_with("<svg ") && picture.ends_with("</svg>\n"),
            "{picture}"
        );
        assert_eq!(picture.matches("#3A6EA5").count(), 3, "{picture}");
        assert!(
            picture.contains("seconds after the first request"),
            "{picture}"
        );
        assert!(
            picture.contains("over 4 s, at most 40.0/s</title>"),
            "{picture}"
        );
        assert!(
            !picture.contains("NaN") && !picture.contains("inf"),
            "{picture}"
        );
    }

    #[test]
    fn any_counts_and_names_make_a_picture() {
        for (counts, part_ns) in [
            (&[][..], 0),
            (&[0, 0], 1),
            (&[1], 1_000_000),
            (&[u64::MAX / 2; 240], 3_600_000_000_000),
        ] {
            let picture = svg("<script>&\u{202e}", counts, part_ns);
            assert!(
                !picture.contains("<script") && !picture.contains("NaN"),
                "{picture}"
            );
            assert!(!picture.contains('\u{202e}') && picture.ends_with("</svg>\n"));
        }
        assert_eq!(unit(200_000.0).0, "hours");
        assert_eq!(unit(600.0).0, "minutes");
        assert_eq!(unit(1e6).0, "days");
    }
}
