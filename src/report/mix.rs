//! What a sample has changed: requests, sessions, rate, and the mix of endpoints.

use std::{collections::BTreeMap, fmt::Write};

use super::printable;
use crate::{text::printable_cut, units::count};

/// Endpoints that are listed.
const ROWS: usize = 20;
/// The widest endpoint that is shown whole, in characters.
const WIDEST: usize = 48;

/// A workload before and after.
#[derive(Debug, Clone, PartialEq)]
pub struct SampleMix {
    /// Requests.
    pub requests: [u64; 2],
    /// Sessions of the part that was drawn from.
    pub sessions: [u64; 2],
    /// Whether the sessions were counted; else they are estimated.
    pub is_exact: bool,
    /// Requests per second on average.
    pub rate: [f64; 2],
    /// Requests by endpoint.
    pub endpoints: BTreeMap<String, [u64; 2]>,
}

impl SampleMix {
    /// Shares of an endpoint before and after, and by how much the second is larger.
    fn shares(&self, of: [u64; 2]) -> ([f64; 2], f64) {
        let share = |at: usize| count(of[at]) / count(self.requests[at].max(1));
        let (before, after) = (share(0), share(1));
        ([before, after], after - before)
    }
}

/// The change as a page of text, the endpoints whose share has changed most first.
pub fn mix_text(mix: &SampleMix) -> String {
    let mut text = String::new();
    let percent = |of: [u64; 2]| 100.0 * count(of[1]) / count(of[0].max(1));
    let [before, after] = mix.requests;
    let _ = writeln!(
        text,
        "requests   {before} → {after} ({:.1} %)",
        percent(mix.requests)
    );
    let about = if mix.is_exact { "" } else { "about " };
    let [before, after] = mix.sessions;
    let _ = writeln!(
        text,
        "sessions   {about}{before} → {about}{after} ({:.1} %)",
        percent(mix.sessions)
    );
    let [before, after] = mix.rate;
    let _ = writeln!(text, "rate       {before:.1}/s → {after:.1}/s");
    let lost = mix.endpoints.values().filter(|of| of[1] == 0).count();
    let all = mix.endpoints.len();
    let _ = writeln!(text, "endpoints  {all} → {}", all - lost);
    let _ = writeln!(text, "mix        {}\n", shift(mix));
    table(mix, &mut text);
    text
}

/// How much of the requests stands under another endpoint than before: half the sum of all
/// differences.
fn shift(mix: &SampleMix) -> String {
    let moved = mix.endpoints.values().map(|of| mix.shares(*of).1.abs());
    let moved = 50.0 * moved.sum::<f64>();
    let most = mix.endpoints.iter().max_by(|(_, a), (_, b)| {
        let [a, b] = [a, b].map(|of| mix.shares(**of).1.abs());
        a.total_cmp(&b)
    });
    match most {
        Some((name, of)) if moved >= 0.05 => {
            let ([before, after], _) = mix.shares(*of);
            format!(
                "{moved:.1} % of the requests have moved between endpoints; most at {}: {:.1} % → \
                 {:.1} %",
                printable(name),
                100.0 * before,
                100.0 * after
            )
        }
        _ => "as before".to_owned(),
    }
}

fn table(mix: &SampleMix, text: &mut String) {
    let mut rows: Vec<(&String, [u64; 2])> =
        mix.endpoints.iter().map(|(name, of)| (name, *of)).collect();
    // A stable sort keeps the names in order where the changes are equal.
    rows.sort_by(|(_, a), (_, b)| {
        let [a, b] = [a, b].map(|of| mix.shares(*of).1.abs());
        b.total_cmp(&a)
    });
    let shown = rows.iter().take(ROWS);
    let names: Vec<String> = shown.map(|(name, _)| printable_cut(name, WIDEST)).collect();
    let width = names.iter().map(|name| name.chars().count()).max();
    let width = width.unwrap_or(0).max("endpoint".len());
    let _ = writeln!(
        text,
        "{:<width$}  {:>9}  {:>9}  {:>7}  {:>7}",
        "endpoint", "before", "after", "share", "after"
    );
    for (name, (_, of)) in names.iter().zip(&rows) {
        let ([before, after], _) = mix.shares(*of);
        let _ = writeln!(
            text,
            "{name:<width$}  {:>9}  {:>9}  {:>6.2}%  {:>6.2}%",
            of[0],
            of[1],
            100.0 * before,
            100.0 * after
        );
    }
    if let Some(more @ 1..) = rows.len().checked_sub(ROWS) {
        let _ = writeln!(text, "and {more} more endpoints");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_changed_comes_first_and_foreign_names_act_nowhere() {
        let endpoints = [
            ("GET /a", [9_000, 880]),
            ("GET /rare\u{202e}", [20, 20]),
            ("GET /b", [980, 100]),
        ];
        let endpoints = endpoints.map(|(name, of)| (name.to_owned(), of)).into();
        let mix = SampleMix {
            requests: [10_000, 1_000],
            sessions: [500, 51],
            is_exact: true,
            rate: [100.0, 10.0],
            endpoints,
        };
        let text = mix_text(&mix);
        assert!(!text.contains('\u{202e}'), "{text}");
        insta::assert_snapshot!(text);
    }

    #[test]
    fn a_filter_alone_leaves_nothing_of_other_endpoints() {
        let endpoints = [("GET /a", [5, 5]), ("GET /b", [5, 0])];
        let mix = SampleMix {
            requests: [10, 5],
            sessions: [2_000_000, 1_000_000],
            is_exact: false,
            rate: [0.0, 0.0],
            endpoints: endpoints.map(|(name, of)| (name.to_owned(), of)).into(),
        };
        let text = mix_text(&mix);
        assert!(text.contains("endpoints  2 → 1"), "{text}");
        assert!(text.contains("about 2000000 → about 1000000"), "{text}");
        assert!(text.contains("50.0 % of the requests"), "{text}");
    }
}
