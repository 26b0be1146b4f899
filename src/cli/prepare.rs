//! What follows from settings and workload before anything is sent: the plan, the margins, and
//! what can be shown with them. `compare`, `demo` and `plan` share it.

use std::collections::BTreeMap;

use anyhow::anyhow;

use super::{
    exit::Failure,
    input, labels,
    resume::Earlier,
    say,
    settings::{GateSettings, LoadSettings},
};
use crate::{
    clock::wall_ns,
    compare::{
        Calibration, Design, Expectation, Metric, Tables, Warning, expect, is_judgeable,
        minimum_requests, prospects,
    },
    experiment::{Budget, Experiment, Judgement, Plan, SETTLE_NS, plan},
    replay::{Arrangement, Arrivals, Forecast, Load, forecast, mean_rate},
    run::WorkloadRecord,
    tls::Trust,
    units::{SECOND_NS, Span, seconds},
    workload::Workload,
};

/// No settle cut is longer than a slot of the usual length, in nanoseconds.
const SETTLE_MAX_NS: u64 = 10 * SECOND_NS;
/// Fewer, longer rounds have to bring p99 of this share of the requests more under judgement.
const WORTH_COARSER: f64 = 0.01;

/// What a comparison is planned from.
pub(super) struct Wanted<'a> {
    pub(super) workload: &'a Workload,
    pub(super) load: &'a LoadSettings,
    pub(super) gate: &'a GateSettings,
    pub(super) trust: &'a Trust,
    pub(super) earlier: Option<&'a Earlier>,
    pub(super) calibration: Option<&'a Calibration>,
}

/// What was decided before the preflight.
pub(super) struct Prepared {
    pub(super) resolved: [String; 2],
    pub(super) plan: Plan,
    /// The workload with what its recording saw.
    pub(super) workload: WorkloadRecord,
    pub(super) arrivals: Arrivals,
    pub(super) experiment: Experiment,
    /// What the answers before the load showed.
    pub(super) warnings: Vec<Warning>,
    /// What a calibration expects of the plan.
    pub(super) expectation: Option<Expectation>,
}

type Forecasts = BTreeMap<String, Forecast>;

impl Wanted<'_> {
    /// Plans the comparison and checks that something can be judged.
    ///
    /// # Errors
    /// When settings contradict each other, the workload cannot be read, or nothing could be
    /// judged.
    pub(super) fn prepare(&self) -> Result<Prepared, Failure> {
        input::check_comparable(self.load)?;
        let arrivals = input::arrivals(self.load, self.workload)?;
        let limits = input::limits(self.load, 2)?;
        let seed = self.load.seed.unwrap_or_default();
        let (mut plan, forecasts) = self.choose(arrivals, seed)?;
        let of = |figure: fn(&Forecast) -> f64| {
            let all = forecasts.iter();
            all.map(|(name, it)| (name.clone(), figure(it))).collect()
        };
        let simultaneous = plan.layout.arrangement == Some(Arrangement::Simultaneous);
        let mut design = Design::new(plan.layout.rounds, simultaneous, of(|it| it.mean));
        design.fewest = of(|it| it.fewest);
        design.sessions.clone_from(&plan.sessions);
        design.round_s = seconds(plan.layout.round_ns());
        check_judgeable(&design, self.workload, arrivals, &plan)?;
        let policy = self.gate.policy(limits.total_ns)?;
        policy
            .check(&design, &self.gate.min_effect)
            .map_err(Failure::usage)?;
        let expectation = self.calibration.and_then(|it| {
            let noise = it.noise(design.simultaneous);
            expect(noise, &design, &policy, plan.layout.measured_ns())
        });
        // What a look may spend was fixed with the first session.
        plan.enough = match self.earlier {
            Some(earlier) => earlier.enough(),
            None => expectation.as_ref().map(|it| it.enough),
        };
        design.enough = plan.enough;
        let load = Load {
            targets: [None, None],
            workload: self.workload.clone(),
            layout: plan.layout,
            arrivals,
            seed,
            limits,
            threads: self.load.threads.unwrap_or(1).max(1),
            run_id: format!("{:x}", wall_ns() / 1_000_000),
            trust: self.trust.clone(),
        };
        let judgement = Judgement {
            design,
            earlier: self.earlier.map_or_else(Vec::new, |it| it.rounds(&policy)),
            policy,
            tables: Tables::default(),
        };
        let workload = labels::workload_recorded(self.workload);
        Ok(Prepared {
            plan,
            workload: workload.map_err(Failure::usage)?,
            arrivals,
            experiment: Experiment {
                load,
                judgement: Some(judgement),
                resources: [None, None],
            },
            resolved: [String::new(), String::new()],
            warnings: Vec::new(),
            expectation,
        })
    }

    /// The plan of the budget, or one with fewer and longer rounds where those hold enough
    /// requests to judge the p99 of noticeably more of the traffic.
    fn choose(&self, arrivals: Arrivals, seed: u64) -> Result<(Plan, Forecasts), Failure> {
        let planned = |budget| {
            let mut plan = plan(budget).map_err(Failure::usage)?;
            if let Some(earlier) = self.earlier {
                plan.layout.before = earlier.last_round();
                plan.sessions = earlier.sessions_with(plan.layout.rounds);
            }
            let found = forecast(self.workload, arrivals, plan.layout, seed);
            Ok((plan, found.map_err(Failure::usage)?))
        };
        let budget = self.budget();
        let (mut best, mut found) = planned(budget)?;
        for coarser in budget.coarser() {
            let (plan, longer) = planned(coarser)?;
            if share_of_p99(&longer) > share_of_p99(&found) + WORTH_COARSER {
                (best, found) = (plan, longer);
            }
        }
        Ok((best, found))
    }

    /// The settle cut that a calibration asks for: at least that of the plan, and not so much that
    /// more is cut than measured.
    fn settle_ns(&self) -> Option<u64> {
        let warm_up_s = self.calibration?.warm_up_s?;
        let settle_ns = warm_up_s.saturating_mul(SECOND_NS);
        Some(settle_ns.clamp(SETTLE_NS, SETTLE_MAX_NS))
    }

    fn budget(&self) -> Budget {
        let layout = self.earlier.map(Earlier::layout);
        Budget {
            duration_ns: self.load.duration.unwrap_or(Span::from_secs(60)).ns(),
            // Rounds of one comparison are of one kind.
            arrangement: layout.map_or(self.load.arrangement, |it| it.arrangement),
            slot_ns: layout.map_or(self.load.slot.map(Span::ns), |it| Some(it.slot_ns)),
            warmup_ns: self.load.warmup.map(Span::ns),
            rounds: None,
            settle_ns: layout.map(|it| it.settle_ns).or(self.settle_ns()),
        }
    }
}

/// The share of the requests that belongs to endpoints whose p99 would be judged.
fn share_of_p99(forecasts: &Forecasts) -> f64 {
    let least = minimum_requests(Metric::P99);
    let all: f64 = forecasts.values().map(|it| it.mean).sum();
    let judged = forecasts.values().filter(|it| it.fewest >= least);
    judged.map(|it| it.mean).sum::<f64>() / all.max(f64::MIN_POSITIVE)
}

impl Prepared {
    /// Says what will happen, and what cannot be shown by it, before the load.
    pub(super) fn announce(&self, workload: &Workload) {
        let layout = self.plan.layout;
        let Some(judgement) = &self.experiment.judgement else {
            return;
        };
        let boundaries = judgement.tables.planned(&judgement.design);
        let looks: Vec<_> = boundaries
            .looks()
            .iter()
            .map(|look| look.rounds.to_string())
            .collect();
        let before = match layout.before {
            0 => String::new(),
            n => format!("after {n} rounds of earlier sessions, "),
        };
        say(&format!(
            "plan: {}, {before}1 + {} rounds of {:.1}s, looks after {}, at most {:.0}s, {}, \
             seed {}",
            labels::arrangement(layout.arrangement),
            layout.rounds,
            seconds(layout.round_ns()),
            looks.join(" "),
            seconds(layout.total_ns()),
            labels::rate(workload, self.arrivals),
            self.experiment.load.seed,
        ));
        for line in self
            .expected()
            .into_iter()
            .chain(Self::shortfalls(judgement))
        {
            say(&format!("plan: {line}"));
        }
    }

    /// How the comparison is judged.
    pub(super) fn judgement(&self) -> &Judgement {
        let judgement = self.experiment.judgement.as_ref();
        judgement.expect("what is prepared here is judged")
    }

    /// What a calibration lets us expect.
    pub(super) fn expected(&self) -> Vec<String> {
        let Some(expectation) = &self.expectation else {
            return Vec::new();
        };
        let layout = self.plan.layout;
        let (enough, planned) = (expectation.enough, layout.rounds);
        let round_s = seconds(layout.total_ns()) / f64::from(planned + 1);
        let after_s = round_s * f64::from(enough + 1);
        let when = if enough <= planned {
            format!("by the calibration, an answer is likely after {enough} rounds, {after_s:.0}s")
        } else {
            format!(
                "by the calibration, {planned} rounds are too few: an answer takes about {enough} \
                 of this length, {after_s:.0}s"
            )
        };
        let found: Vec<String> = expectation
            .detectable
            .iter()
            .map(|(metric, endpoint, change)| {
                let endpoint = crate::report::printable(endpoint);
                format!("{} +{:.1} % ({endpoint})", metric.name(), 100.0 * change)
            })
            .collect();
        let finds = format!(
            "all {planned} rounds find changes from {}, nine times in ten",
            found.join(", ")
        );
        let finds = (!found.is_empty()).then_some(finds);
        [Some(when), finds].into_iter().flatten().collect()
    }

    /// What the plan cannot show.
    fn shortfalls(judgement: &Judgement) -> Vec<String> {
        let (design, policy) = (&judgement.design, &judgement.policy);
        let boundaries = judgement.tables.planned(design);
        let mut lines = Vec::new();
        for metric in [Metric::P50, Metric::P99] {
            let least = minimum_requests(metric);
            let few = design.fewest.values().filter(|n| **n < least).count();
            if few > 0 {
                lines.push(format!(
                    "{} is not judged for {few} of {} endpoints (fewer than {least:.0} requests \
                     in some round)",
                    metric.name(),
                    design.fewest.len(),
                ));
            }
        }
        let few = prospects(design, policy, &boundaries);
        let few: Vec<_> = few
            .iter()
            .filter(|it| it.fewest >= minimum_requests(Metric::P50) && it.errors_after.is_none())
            .map(|it| crate::report::printable(&it.endpoint))
            .collect();
        if let Some(first) = few.first() {
            lines.push(format!(
                "too few requests to show the error tolerance of {} of {} endpoints ({first}, …): \
                 at best INCONCLUSIVE there; a longer -d, a higher rate or --tolerance errors=… \
                 would do",
                few.len(),
                design.expected.len()
            ));
        }
        lines
    }
}

/// Refuses a plan in which no latency could be judged, naming what would do.
fn check_judgeable(
    design: &Design,
    workload: &Workload,
    arrivals: Arrivals,
    plan: &Plan,
) -> Result<(), Failure> {
    if is_judgeable(design) {
        return Ok(());
    }
    let fewest = design.fewest.values().copied().fold(0.0, f64::max);
    let mean = design.expected.values().copied().fold(0.0, f64::max);
    let factor = minimum_requests(Metric::P50) / fewest.max(mean / 10.0).max(1e-9);
    let rate = mean_rate(workload, arrivals) * factor;
    let duration_s = seconds(plan.layout.total_ns()) * factor + 6.0;
    Err(Failure::usage(anyhow!(
        "nothing could be judged: no endpoint gets more than {fewest:.1} requests in each round \
         and side, and a median needs {:.0}; use a rate of {rate:.1}/s or more (--rate or \
         --speed), or -d {duration_s:.0}s",
        minimum_requests(Metric::P50)
    )))
}
