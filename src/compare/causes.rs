//! Why there is no clear answer, in plain sentences: one for each cause, the most important
//! first, and no more than anyone reads.

use super::{
    Change, Metric, Reason, Status,
    change::{Frame, more_rounds},
    course::LOOK_FIRST,
    judge::Judged,
    sequence::Decision,
    stored::RUNS_MIN,
};

/// Open metrics beyond these are only counted.
const NAMED: usize = 5;

/// The causes of INCONCLUSIVE, or of INVALID by a single metric.
pub(super) fn list(
    frame: &Frame,
    gate: &Judged,
    changes: &[Change],
    uncovered: bool,
) -> Vec<String> {
    let mut causes = Vec::new();
    let own = |reason| changes.iter().filter(move |c| c.gate && c.reason == reason);
    for change in own(Reason::Dependent) {
        causes.push(format!(
            "{}: successive rounds resemble each other; lengthen the slots",
            name(change)
        ));
    }
    if uncovered {
        causes.push(
            "coverage: less than 80 % of the requests belong to endpoints with a judged latency; \
             raise the rate or the duration"
                .to_owned(),
        );
    }
    for change in own(Reason::Missing).filter(|change| change.status == Status::NotJudged) {
        causes.push(format!("{}: some round had no figure for it", name(change)));
    }
    if frame.reached == 0 {
        causes.push(format!(
            "too early: {} rounds are there, the first look is after {LOOK_FIRST}",
            frame.valid
        ));
        return causes;
    }
    let known = 1 + frame.earlier.map_or(0, <[_]>::len);
    if own(Reason::NotTogether).next().is_some() {
        causes.push(format!(
            "sides not measured together: {known} usable stored run(s) of the baseline with this \
             workload and load, and {RUNS_MIN} are needed to know how much runs differ; store more \
             (proofload run --save-baseline), or compare two live deployments"
        ));
    }
    let open = own(Reason::Noise);
    causes.extend(
        open.clone()
            .take(NAMED)
            .map(|change| noise(frame, gate, change)),
    );
    let more = open.count().saturating_sub(NAMED);
    if more > 0 {
        causes.push(format!("noise: {more} more metrics are open"));
    }
    causes
}

fn name(change: &Change) -> String {
    format!("{} {}", change.endpoint, change.metric.name())
}

fn noise(frame: &Frame, gate: &Judged, change: &Change) -> String {
    let track = gate.each().find(|(track, outcome)| {
        let same = track.endpoint == change.endpoint && track.metric == change.metric;
        same && outcome.decision == Decision::Open
    });
    let together = track.filter(|_| frame.earlier.is_none());
    let more = together.and_then(|(track, _)| more_rounds(frame, track, gate.membership()));
    let advice = more.map_or_else(
        || {
            if frame.earlier.is_some() {
                "more stored runs of the baseline, or two live deployments, would do".to_owned()
            } else {
                "no number of rounds that anyone would wait for is likely to decide it".to_owned()
            }
        },
        |more| format!("about {more} more rounds would do"),
    );
    let Some(interval) = change.change else {
        return format!("noise: {}: too few rounds had requests", name(change));
    };
    let half = (interval.upper - interval.lower) / 2.0;
    format!(
        "noise: {} is known to {} only, the tolerance is {}; {advice}",
        name(change),
        size(change.metric, half).replacen('+', "±", 1),
        size(change.metric, change.tolerance),
    )
}

fn size(metric: Metric, value: f64) -> String {
    let unit = if metric == Metric::ErrorRate {
        "pp"
    } else {
        "%"
    };
    let digits = if metric == Metric::ErrorRate { 3 } else { 1 };
    format!("{:+.digits$} {unit}", 100.0 * value)
}
