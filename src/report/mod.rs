//! Reports: one comparison in, the bytes of every format out. Pure: no clock, no disk, no
//! network; the same report gives the same bytes.
//!
//! A report computes nothing: what is judged comes from `compare`, what is shown besides comes
//! from [`Totals`]. All language is in `words` and `sentence`, all foreign text passes through
//! `escape`.

mod bencher;
mod benchmark_action;
mod calibration;
mod chart;
mod csv;
mod fidelity;
mod findings;
mod format;
mod github;
mod hlog;
mod html;
mod json;
mod junit;
mod markdown;
mod metrics;
mod mix;
mod names;
mod numbers;
mod overview;
mod plan;
mod rate;
mod run;
mod sentence;
mod subject;
mod table;
mod text;
mod totals;
mod used;
mod verdict;
pub mod words;

#[cfg(test)]
mod injection;
#[cfg(test)]
mod sample;

pub use crate::text::printable;
pub use calibration::calibration_text;
pub use fidelity::{Mix, Recorded, SideFidelity};
pub use format::{FILES, Format, KINDS, Kind, Row, render};
pub use github::{annotations, step_outputs, step_summary};
pub use hlog::hlog;
pub use json::{ReadError, SCHEMA, read_json};
pub use mix::{SampleMix, mix_text};
pub use overview::{Entry, OVERVIEW_SCHEMA, Overview};
pub use plan::{Outlook, outlook_json, outlook_text};
pub use rate::{RateOverTime, rate_svg};
pub use run::{RUN_SCHEMA, RunReport};
pub use subject::{Place, Subject, Workload};
pub use totals::{Counts, EndpointTotals, Figures, Quantiles, SideConnections, SideHealth, Totals};
pub use used::SideResources;
pub use verdict::{VERDICT_SCHEMA, VerdictError, VerdictFile};

use crate::compare::{Comparison, Picture};

/// Everything that is said about one comparison; every format renders from it.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// What was compared, and how.
    pub subject: Subject,
    /// What was found.
    pub comparison: Comparison,
    /// What each endpoint did on each side; shown, never judged.
    pub totals: Figures,
    /// What its rounds looked like; shown, never judged.
    pub picture: Picture,
}

/// How text is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Style {
    /// Whether the terminal takes colour; signs and words say the same without it.
    pub colour: bool,
}

/// The code of the warning that no certificate was checked; it stands in red.
pub const INSECURE: &str = "insecure";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_report_gives_the_same_bytes() {
        let report = sample::report();
        for (name, format) in FILES {
            let text = render(&report, format, Style::default());
            assert_eq!(text, render(&report, format, Style::default()), "{name}");
            assert!(text.ends_with('\n'), "{name}");
        }
    }

    #[test]
    fn every_format_looks_as_agreed() {
        let report = sample::report();
        let plain = Style::default();
        insta::assert_snapshot!("text", render(&report, Format::Text, plain));
        insta::assert_snapshot!(
            "text_colour",
            render(&report, Format::Text, Style { colour: true })
        );
        for (name, format) in FILES {
            insta::assert_snapshot!(name, render(&report, format, plain));
        }
    }

    #[test]
    fn nothing_found_is_said_in_every_format() {
        let mut report = sample::report();
        report.comparison.changes.clear();
        report.comparison.verdict = crate::compare::Verdict::Invalid;
        report.totals = Figures::default();
        for (name, format) in FILES {
            let text = render(&report, format, Style::default());
            let said = text.to_lowercase().contains("invalid");
            assert!(said || format == Format::Csv, "{name}: {text}");
        }
    }
}
