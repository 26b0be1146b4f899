//! Why there is no clear answer, in plain sentences: one for each cause, the most important
//! first, and no more than anyone reads.

use super::{
    Change, Reason, Status, change::Frame, course::LOOK_FIRST, metric::Kind, stored::RUNS_MIN,
};
use crate::run::WORKLOAD;

/// Open metrics beyond these are only counted.
const NAMED: usize = 5;

/// The causes of INCONCLUSIVE, or of INVALID by a single metric.
pub(super) fn list(frame: &Frame, changes: &[Change], uncovered: bool) -> Vec<String> {
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
    causes.extend(open.clone().take(NAMED).map(|change| noise(frame, change)));
    let more = open.count().saturating_sub(NAMED);
    if more > 0 {
        causes.push(format!("noise: {more} more metrics are open"));
    }
    causes
}

fn name(change: &Change) -> String {
    let metric = change.metric.name();
    match change.endpoint.as_str() {
        WORKLOAD => format!("the whole workload's {metric}"),
        endpoint => format!("{endpoint} {metric}"),
    }
}

fn noise(frame: &Frame, change: &Change) -> String {
    let Some(interval) = change.change else {
        return format!("noise: {}: too few rounds had requests", name(change));
    };
    let half = (interval.upper - interval.lower) / 2.0;
    let held = if change.limit.is_some() {
        "its limit lies inside of that".to_owned()
    } else {
        format!("the tolerance is {}", size(change, change.tolerance))
    };
    let advice = match frame.earlier {
        Some(_) => "more stored runs of the baseline, or two live deployments, would do".to_owned(),
        None => change.advice(),
    };
    format!(
        "noise: {} is known to {} only, {held}; {advice}",
        name(change),
        size(change, half).replacen('+', "±", 1),
    )
}

fn size(change: &Change, value: f64) -> String {
    match change.metric.traits().kind {
        Kind::Difference => format!("{:+.3} pp", 100.0 * value),
        // Where next to nothing is known, digits would say too much.
        Kind::Ratio if value >= 10.0 => format!("+{:.0} times", value + 1.0),
        Kind::Ratio => format!("{:+.1} %", 100.0 * value),
    }
}
