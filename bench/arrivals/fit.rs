//! The error of arrivals against a plan: pure arithmetic on sorted instants.
//!
//! A generator and this server share no clock origin, so each plan has one free constant, its
//! phase. It is the 1 % quantile of the residuals: a send can be late but hardly early, so the
//! earliest arrivals tell where the plan lies, and a single outlier does not move it.

/// At the start, so many arrivals may be no part of the plan: a preflight, a first connection.
const LEAD_IN_MOST: usize = 100;
/// How far a lasting step may fall short of a whole gap and still be a skipped request.
const STEP_SLACK: f64 = 0.25;
/// Steps in so many nanoseconds at the end are not told from a burst.
const TAIL_NS: f64 = 2e7;
/// A gap below this share of the planned one is part of a burst.
const BURST: f64 = 0.1;
/// Pairs that are looked at when a recording is laid over the arrivals.
const ALIGNED_BY: usize = 2_000;

/// Absolute errors in nanoseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Errors {
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    pub(crate) max: f64,
}

/// What evenly spaced arrivals look like beside their plan.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct ConstantFit {
    /// Arrivals at the start that were left out.
    pub(crate) lead_in: usize,
    /// Arrivals that were fitted.
    pub(crate) fitted: usize,
    /// Requests that never came: lasting steps of the residual by whole gaps.
    pub(crate) skipped: u64,
    /// Share of gaps below a tenth of the planned one.
    pub(crate) burst_share: f64,
    /// Error with the phase at the 1 % quantile and skipped requests taken out of the count.
    pub(crate) late: Errors,
    /// The same with the phase at the median: half of a constant spread, for those who prefer it.
    pub(crate) centred: Errors,
    /// Error against one phase for the whole run: a skipped request delays all that follow.
    pub(crate) strict: Errors,
}

/// What replayed arrivals look like beside the recording.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct RecordingFit {
    /// Arrivals at the start that were left out.
    pub(crate) lead_in: usize,
    /// Arrivals that were compared, each with its own line.
    pub(crate) fitted: usize,
    /// Lines of the recording that no arrival was left for.
    pub(crate) missing: usize,
    /// Arrivals behind the last line, of a second pass.
    pub(crate) beyond: usize,
    /// |gap − recorded gap|.
    pub(crate) gaps: Errors,
    /// |arrival − planned instant|, the phase at the 1 % quantile.
    pub(crate) late: Errors,
}

/// Fits arrivals, sorted, to a plan of one request every `gap_ns`.
///
/// The residual of arrival i is `t_i − i·gap`. A delay that is made up later lifts it and lets
/// it fall again; a request that was never sent lifts it by one gap for good. So the smallest
/// residual that is still to come, in whole gaps, counts the skipped requests before i, and what
/// is left is the error. A generator that is too slow therefore skips requests; its error stays
/// below a gap, and `skipped` and `strict` tell the rest.
pub(crate) fn constant(arrivals: &[u64], gap_ns: f64) -> ConstantFit {
    let steps_of = |arrivals: &[u64]| steps(&residuals(arrivals, gap_ns), gap_ns);
    let steps = steps_of(arrivals);
    let first = steps.len().min(LEAD_IN_MOST).min(arrivals.len() / 10);
    let lead_in = (1..first).rev().find(|i| steps[*i] > steps[i - 1]);
    let lead_in = lead_in.unwrap_or(0);
    let arrivals = &arrivals[lead_in..];
    let (residuals, steps) = (residuals(arrivals, gap_ns), steps_of(arrivals));
    let errors: Vec<f64> = residuals
        .iter()
        .zip(&steps)
        .map(|(residual, step)| residual - step * gap_ns)
        .collect();
    let gaps = arrivals.windows(2).map(|pair| ns(pair[1] - pair[0]));
    let bursts = gaps.filter(|gap| *gap < BURST * gap_ns).count();
    ConstantFit {
        lead_in,
        fitted: arrivals.len(),
        skipped: proofload::units::whole(steps.last().copied().unwrap_or(0.0)),
        burst_share: size(bursts) / size(arrivals.len().saturating_sub(1).max(1)),
        late: around(&errors, 0.01),
        centred: around(&errors, 0.5),
        strict: around(&residuals, 0.01),
    }
}

/// Compares arrivals, sorted, with recorded offsets, gap by gap. The first arrivals may be a
/// preflight: as many are left out as give the smallest median error.
pub(crate) fn recording(arrivals: &[u64], offsets: &[u64]) -> RecordingFit {
    let gaps = |values: &[u64]| -> Vec<f64> {
        let gap = |pair: &[u64]| ns(pair[1].saturating_sub(pair[0]));
        values.windows(2).map(gap).collect()
    };
    let (seen, planned) = (gaps(arrivals), gaps(offsets));
    let errors = |lead_in: usize, most: usize| -> Vec<f64> {
        let pairs = seen[lead_in..].iter().zip(&planned).take(most);
        pairs
            .map(|(seen, planned)| (seen - planned).abs())
            .collect()
    };
    let median = |lead_in: &usize| Errors::of(errors(*lead_in, ALIGNED_BY)).p50;
    let shifts = 0..=LEAD_IN_MOST.min(seen.len().saturating_sub(1));
    let lead_in = shifts
        .min_by(|a, b| median(a).total_cmp(&median(b)))
        .unwrap_or(0);
    if seen.is_empty() || planned.is_empty() {
        return RecordingFit::default();
    }
    let rest = &arrivals[lead_in..];
    let fitted = rest.len().min(offsets.len());
    let residuals: Vec<f64> = rest
        .iter()
        .zip(offsets)
        .map(|(at, planned)| ns(at - rest[0]) - ns(planned - offsets[0]))
        .collect();
    RecordingFit {
        lead_in,
        fitted,
        missing: offsets.len() - fitted,
        beyond: rest.len() - fitted,
        gaps: Errors::of(errors(lead_in, usize::MAX)),
        late: around(&residuals, 0.01),
    }
}

impl Errors {
    /// The quantiles of these absolute errors: the smallest value that enough are not above.
    pub(crate) fn of(mut errors: Vec<f64>) -> Self {
        errors.sort_by(f64::total_cmp);
        Self {
            p50: quantile(&errors, 0.5),
            p90: quantile(&errors, 0.9),
            p99: quantile(&errors, 0.99),
            p999: quantile(&errors, 0.999),
            max: errors.last().copied().unwrap_or(0.0),
        }
    }
}

fn quantile(sorted: &[f64], quantile: f64) -> f64 {
    let rank = proofload::units::whole((quantile * size(sorted.len())).ceil());
    let index = usize::try_from(rank).unwrap_or(0).saturating_sub(1);
    sorted.get(index).copied().unwrap_or(0.0)
}

/// Absolute distances from the quantile of these values.
fn around(values: &[f64], at: f64) -> Errors {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let phase = quantile(&sorted, at);
    Errors::of(values.iter().map(|value| (value - phase).abs()).collect())
}

fn residuals(arrivals: &[u64], gap_ns: f64) -> Vec<f64> {
    let residual = |(i, at): (usize, &u64)| ns(at - arrivals[0]) - size(i) * gap_ns;
    arrivals.iter().enumerate().map(residual).collect()
}

/// For each arrival the whole gaps by which all residuals from there on are lifted. The last
/// few are not looked at alone: that all of a last burst are late says nothing about a step.
fn steps(residuals: &[f64], gap_ns: f64) -> Vec<f64> {
    let mut lowest = residuals.to_vec();
    for i in (1..lowest.len()).rev() {
        lowest[i - 1] = lowest[i - 1].min(lowest[i]);
    }
    let tail = usize::try_from(proofload::units::whole(TAIL_NS / gap_ns)).unwrap_or(0);
    let known = lowest.len() - tail.max(5).min(lowest.len() / 10);
    let Some(last) = known.checked_sub(1).map(|last| lowest[last]) else {
        return Vec::new();
    };
    let base = lowest[0];
    let step = |low: f64| ((low - base) / gap_ns + STEP_SLACK).floor();
    lowest.iter().map(|low| step(low.min(last))).collect()
}

fn ns(ns: u64) -> f64 {
    proofload::units::count(ns)
}

fn size(n: usize) -> f64 {
    proofload::units::count(n as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GAP: f64 = 100_000.0;

    /// Arrivals at these numbers of a plan that began at an odd instant, each so many ns late.
    fn arrive(numbers: impl Iterator<Item = u64>, late: impl Fn(u64) -> u64) -> Vec<u64> {
        let mut arrivals: Vec<u64> = numbers.map(|i| 1_234_567 + i * 100_000 + late(i)).collect();
        arrivals.sort_unstable();
        arrivals
    }

    #[test]
    fn a_perfect_plan_has_no_error_wherever_it_began() {
        let fit = constant(&arrive(0..10_000, |_| 70_000), GAP);
        assert_eq!(
            (fit.late, fit.strict),
            (Errors::default(), Errors::default())
        );
        assert_eq!((fit.fitted, fit.skipped, fit.lead_in), (10_000, 0, 0));
        assert_eq!(fit.burst_share, 0.0);
    }

    #[test]
    fn skipped_requests_are_counted_and_are_no_error() {
        let sent = (0..10_000).filter(|i| !(3_000..3_050).contains(i) && *i != 7_000);
        let fit = constant(&arrive(sent, |i| i % 7 * 1_000), GAP);
        assert_eq!(fit.skipped, 51);
        assert!(fit.late.max <= 6_000.0, "{fit:?}");
        assert!(fit.strict.p99 > 5e6, "{fit:?}");
    }

    #[test]
    fn a_delay_that_is_made_up_is_an_error_and_no_skip() {
        // Nothing is sent for 50 ms, then all of it at once.
        let late = |i: u64| {
            if (3_000..3_500).contains(&i) {
                (3_500 - i) * 100_000
            } else {
                0
            }
        };
        let fit = constant(&arrive(0..10_000, late), GAP);
        assert_eq!(fit.skipped, 0);
        assert_eq!((fit.late.max, fit.late.p90), (5e7, 0.0));
        assert!((fit.late.p99 - 4e7).abs() < 2e5, "{fit:?}");
        assert_eq!(fit.burst_share, 500.0 / 9_999.0);
    }

    #[test]
    fn bursts_on_a_millisecond_tick_show_their_whole_spread() {
        let fit = constant(&arrive(0..10_000, |i| (9 - i % 10) * 100_000), GAP);
        assert_eq!((fit.skipped, fit.late.p50, fit.late.max), (0, 4e5, 9e5));
        assert_eq!(fit.centred.max, 5e5);
        assert!((fit.burst_share - 0.9).abs() < 0.01);
    }

    #[test]
    fn a_preflight_is_left_out() {
        let mut arrivals = arrive(0..10_000, |i| i % 3 * 1_000);
        arrivals.splice(0..0, [5_000, 900_000]);
        let fit = constant(&arrivals, GAP);
        assert_eq!((fit.lead_in, fit.fitted, fit.skipped), (2, 10_000, 0));
        assert!(fit.strict.max <= 2_000.0);
    }

    #[test]
    fn a_slow_generator_skips_and_says_so() {
        let arrivals: Vec<u64> = (0..100_000).map(|i| i * 102_000).collect();
        let fit = constant(&arrivals, GAP);
        assert!((1_990..=2_000).contains(&fit.skipped), "{fit:?}");
        assert!(fit.late.p99 < GAP && fit.strict.p50 > 9e7, "{fit:?}");
    }

    #[test]
    fn few_or_no_arrivals_are_no_reason_to_fail() {
        for n in 0..20 {
            let arrivals = arrive(0..n, |_| 0);
            assert_eq!(constant(&arrivals, GAP).late, Errors::default());
            assert_eq!(recording(&arrivals, &arrivals).gaps, Errors::default());
        }
    }

    #[test]
    fn gaps_are_compared_with_the_recording_behind_the_preflight() {
        let offsets: Vec<u64> = (0..3_000_u64).map(|i| i * i % 7_919 + i * 10_000).collect();
        let mut arrivals: Vec<u64> = offsets.iter().map(|at| at + 3_000_000).collect();
        arrivals[2_000] += 900;
        arrivals.splice(0..0, [1, 2_000_000]);
        let fit = recording(&arrivals, &offsets);
        assert_eq!((fit.lead_in, fit.fitted), (2, 3_000));
        assert_eq!((fit.missing, fit.beyond), (0, 0));
        assert_eq!(
            (fit.gaps.p99, fit.gaps.max, fit.late.max),
            (0.0, 900.0, 900.0)
        );
        let cut = recording(&arrivals[..2_002], &offsets);
        assert_eq!((cut.fitted, cut.missing, cut.gaps.max), (2_000, 1_000, 0.0));
    }
}
