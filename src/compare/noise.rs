//! From the rounds of two equal deployments to their noise (method.md 2.8 and 2.9): spread, what of
//! it the number of requests explains, false alarms, what could be detected, and which arrangement
//! pays.

use std::collections::BTreeMap;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{
    Change, Choice, Comparison, Design, Detectable, FalseAlarms, LOOK_FIRST, Metric, MetricNoise,
    Noise, Policy, RoundEvidence, Session, Status, Tables, Verdict,
    correlation::correlation_s,
    detectable::detectable,
    distribution::{chi_square_quantile, size},
    judge,
    metric::{Kind, Unit},
    minimum_requests,
    steady::{self, Seconds},
    track::Track,
    validity::examine,
};
use crate::{
    histogram::Histogram,
    run::Slot,
    units::{SECOND_NS, count, from_seconds, seconds},
};

/// A plan counts with the upper limit of the spread at this confidence.
const CONFIDENCE: f64 = 0.8;
/// How often the rounds are judged with sides swapped at random: at the least and at the most, and
/// as often as so many values of metrics allow.
const TIMES: (usize, usize) = (100, 1_000);
const WORK_MAX: usize = 400_000;
/// More than so many times the promised rate of false alarms is too much (method.md 2.9).
const TOO_OFTEN: f64 = 1.5;
/// Slots are judged from one second on, and without need no longer than ten (method.md 2.11).
const SLOT_NS: (u64, u64) = (SECOND_NS, 10 * SECOND_NS);
/// What is lost at each switch of sides, when nothing says that warming up takes longer.
const SETTLE_S: f64 = 2.0;

/// Slots of one arrangement on their way to rounds, in one or more blocks of time.
#[derive(Debug)]
pub struct Collected {
    policy: Policy,
    simultaneous: bool,
    /// What is added to the numbers of this block's rounds; absent before the first.
    offset: Option<u32>,
    open: BTreeMap<u32, Vec<Slot>>,
    rounds: Vec<RoundEvidence>,
    /// By block and round, the discarded ones included: the seconds of both sides of a window.
    seconds: BTreeMap<(u32, u32), [Seconds; 2]>,
    /// By endpoint and metric, of each round: the variance that the number of requests explains.
    sampling: BTreeMap<(String, Metric), Vec<f64>>,
}

/// A comparison of some length, as it would be planned.
#[derive(Debug, Clone, Copy)]
pub struct Term {
    /// The budget, in seconds.
    pub budget_s: u64,
    /// Its rounds.
    pub rounds: u32,
    /// Measured time per round and side, in nanoseconds.
    pub measured_ns: u64,
}

/// What the rounds of one arrangement are judged by, and held against.
#[derive(Debug, Clone, Copy)]
pub struct Planned<'a> {
    /// The plan of one block.
    pub design: &'a Design,
    /// Critical values.
    pub tables: &'a Tables,
    /// Measured time per round and side, in nanoseconds.
    pub measured_ns: u64,
    /// Wall time of a round, settle cuts included, in nanoseconds.
    pub round_ns: u64,
    /// Comparisons for which it is said what they could detect.
    pub terms: &'a [Term],
    /// Correlation time and warm-up in seconds, as far as they are known.
    pub known: (Option<u64>, Option<u64>),
}

impl Collected {
    /// Nothing yet.
    pub fn new(simultaneous: bool, policy: Policy) -> Self {
        Self {
            policy,
            simultaneous,
            offset: None,
            open: BTreeMap::new(),
            rounds: Vec::new(),
            seconds: BTreeMap::new(),
            sampling: BTreeMap::new(),
        }
    }

    /// What comes now was not measured right after what came before: its rounds go on counting,
    /// but for one number, so that they are no neighbours of those before.
    pub fn next_block(&mut self) {
        let last = self.rounds.last().map(|round| round.round);
        self.offset = Some(last.map_or(0, |last| last + 1));
        self.open.clear();
    }

    /// Takes a slot; a round counts when all of its slots are there and complete. The discarded
    /// round of the first block is kept with the others, to see whether it was long enough.
    pub fn add(&mut self, slot: &Slot) {
        let offset = self.offset.unwrap_or(0);
        let per_round = if self.simultaneous { 2 } else { 4 };
        let number = slot.round;
        let slots = self.open.entry(number).or_default();
        slots.push(slot.clone());
        if slots.len() < per_round {
            return;
        }
        let slots = self.open.remove(&number).unwrap_or_default();
        let round = number + offset;
        let Some(evidence) = RoundEvidence::from_slots(round, &slots, &self.policy) else {
            return;
        };
        let [baseline, candidate] = evidence.sides.each_ref().map(|it| it.seconds.as_slice());
        if let ([baseline], [candidate]) = (baseline, candidate) {
            let both = [baseline.clone(), candidate.clone()];
            self.seconds.insert((offset, number), both);
        }
        if number == 0 && offset > 0 {
            return;
        }
        if number > 0 {
            self.add_sampling(&slots);
        }
        self.rounds.push(evidence);
        self.rounds.sort_by_key(|round| round.round);
    }

    fn add_sampling(&mut self, slots: &[Slot]) {
        let mut merged: BTreeMap<&str, [Histogram; 2]> = BTreeMap::new();
        for slot in slots {
            for (name, stats) in &slot.endpoints {
                let sides = merged.entry(name).or_default();
                sides[slot.side.index()].merge(&stats.response);
            }
        }
        for (name, [baseline, candidate]) in merged {
            for metric in Metric::ALL {
                let both = woodruff(&baseline, metric).zip(woodruff(&candidate, metric));
                if let Some((a, b)) = both {
                    let key = (name.to_owned(), metric);
                    self.sampling.entry(key).or_default().push(a + b);
                }
            }
        }
    }

    /// The rounds so far in order; the discarded one is number 0.
    pub fn rounds(&self) -> &[RoundEvidence] {
        &self.rounds
    }

    /// The correlation time in seconds, see `correlation_s`; only simultaneous sides show it.
    pub fn correlation_s(&self) -> Option<u64> {
        correlation_s(&self.rounds)
    }

    /// Seconds from the begin of a load until it is steady; `None` when that was too short to say,
    /// or not steady in its first half. Interleaved, each slot is a load of its own; simultaneous
    /// windows touch each other, so that a block is one.
    pub fn warm_up_s(&self) -> Option<u64> {
        let found = if self.simultaneous {
            let blocks = self.loads();
            let [baseline, candidate] = &blocks;
            steady::warm_up([baseline, candidate], 0)
        } else {
            let rounds: Vec<_> = self.rounds.iter().filter(|it| it.round > 0).collect();
            steady::of_rounds(&rounds, 0)
        };
        found.filter(|it| it.is_steady).map(|it| it.cut_s)
    }

    /// The seconds of each block in a row, by side.
    fn loads(&self) -> [Vec<Seconds>; 2] {
        let mut loads: [BTreeMap<u32, Seconds>; 2] = Default::default();
        for ((block, _), both) in &self.seconds {
            for (load, own) in loads.iter_mut().zip(both) {
                let load = load.entry(*block).or_default();
                load.ln_medians.extend(&own.ln_medians);
            }
        }
        loads.map(|load| load.into_values().collect())
    }

    /// The noise of these rounds, and why it should not be trusted; empty when it may be.
    pub fn noise(&self, planned: &Planned, seed: u64) -> (Noise, Vec<String>) {
        let last_round = self.rounds.last().map_or(0, |round| round.round);
        let design = Design {
            sessions: vec![Session {
                last_round,
                carried_out: true,
            }],
            ..planned.design.clone()
        };
        let judge = |rounds: &[RoundEvidence]| judge(&design, &self.policy, planned.tables, rounds);
        let found = judge(&self.rounds);
        let valid = examine(&design, &self.policy, &self.rounds).valid;
        let tracks = found.changes.len() * self.rounds.len();
        let times = (WORK_MAX / tracks.max(1)).clamp(TIMES.0, TIMES.1);
        let times = u32::try_from(times).unwrap_or(u32::MAX);
        let mut noise = Noise {
            rounds: found.rounds.valid,
            measured_ns: planned.measured_ns,
            round_ns: planned.round_ns,
            slot_ns: 0,
            false_alarms: self.false_alarms(times, seed, judge),
            metrics: self.metrics(&found, &valid, planned),
        };
        let about = (&noise, self.simultaneous);
        noise.slot_ns = suggested_slot_ns(about, &design.expected, planned.known);
        let objections = self.objections(&found, noise.false_alarms);
        (noise, objections)
    }

    fn objections(&self, found: &Comparison, alarms: FalseAlarms) -> Vec<String> {
        let mut objections = Vec::new();
        if found.verdict == Verdict::Invalid {
            objections.extend(found.causes.iter().cloned());
        }
        if found.rounds.valid < LOOK_FIRST {
            objections.push(format!(
                "only {} rounds could be used, {LOOK_FIRST} are needed",
                found.rounds.valid
            ));
        }
        let worse = found
            .changes
            .iter()
            .find(|it| it.gate && it.status == Status::Regressed);
        if let Some(it) = worse {
            objections.push(format!(
                "the equal sides were called different ({} {}): instances that differ for good, or \
                 a false alarm; calibrate again",
                it.endpoint,
                it.metric.name()
            ));
        }
        if alarms.rate() > TOO_OFTEN * self.policy.alpha {
            objections.push(format!(
                "{:.1} % false alarms, where {:.1} % are promised: rounds resemble each other; \
                 lengthen the slots, or find what disturbs them",
                100.0 * alarms.rate(),
                100.0 * self.policy.alpha
            ));
        }
        objections
    }

    /// How often these rounds are called REGRESSED when chance decides in each of them which side
    /// is the baseline. `judge` is the whole judgement.
    fn false_alarms(
        &self,
        times: u32,
        seed: u64,
        judge: impl Fn(&[RoundEvidence]) -> Comparison,
    ) -> FalseAlarms {
        let mut chance = ChaCha8Rng::seed_from_u64(seed);
        let mut rounds = self.rounds.clone();
        let mut alarms = 0;
        for _ in 0..times {
            for round in &mut rounds {
                if chance.random() {
                    round.sides.swap(0, 1);
                    round.baseline_first = self.simultaneous || !round.baseline_first;
                }
            }
            alarms += u32::from(judge(&rounds).verdict == Verdict::Regressed);
        }
        FalseAlarms {
            judged: times,
            alarms,
        }
    }

    /// The noise, in these valid rounds, of each metric that `found`, their judgement, could judge.
    fn metrics(
        &self,
        found: &Comparison,
        rounds: &[&RoundEvidence],
        planned: &Planned,
    ) -> Vec<MetricNoise> {
        let measured_ns = planned.measured_ns;
        let judged = || {
            found
                .changes
                .iter()
                .filter(|it| it.status != Status::NotJudged && it.limit.is_none())
        };
        let family = |gate| size(judged().filter(|it| it.gate == gate).count());
        let noise = |change: &Change| {
            let mut noise = self.metric(change, rounds)?;
            let track = Track::of(&change.endpoint, change.metric, rounds)?;
            let effect = track.after(rounds.len(), &self.policy)?.effect;
            let alpha = self.policy.alpha / family(change.gate).max(1.0);
            let at = |term: &Term| {
                let sigma = noise.sigma_upper * noise.scale(measured_ns, term.measured_ns);
                let found = detectable(term.rounds as usize, alpha, effect, sigma);
                let change = change.metric.from_scale(found);
                Detectable {
                    budget_s: term.budget_s,
                    rounds: term.rounds,
                    change,
                }
            };
            if change.metric.traits().kind == Kind::Ratio {
                noise.detectable = planned.terms.iter().map(at).collect();
            }
            Some(noise)
        };
        judged().filter_map(noise).collect()
    }

    fn metric(&self, change: &Change, rounds: &[&RoundEvidence]) -> Option<MetricNoise> {
        let track = Track::of(&change.endpoint, change.metric, rounds)?;
        let estimate = track.after(rounds.len(), &self.policy)?;
        let sigma = estimate.sigma();
        let key = (change.endpoint.clone(), change.metric);
        let sampling = self.sampling.get(&key).map_or(0.0, |variances| {
            variances.iter().sum::<f64>() / size(variances.len().max(1))
        });
        Some(MetricNoise {
            endpoint: key.0,
            metric: key.1,
            gate: change.gate,
            level: estimate.levels[0],
            sigma,
            sigma_upper: sigma * upper_factor(estimate.rounds()),
            sigma_sampling: sampling.sqrt(),
            autocorrelation: estimate.autocorrelation(),
            detectable: Vec::new(),
        })
    }
}

/// `sqrt((n−1)/χ²_{0.2, n−1})`: what makes the standard deviation of n rounds its upper limit at
/// 80 % confidence (method.md 2.8).
fn upper_factor(rounds: usize) -> f64 {
    let freedom = size(rounds.max(2)) - 1.0;
    (freedom / chi_square_quantile(1.0 - CONFIDENCE, freedom)).sqrt()
}

/// The variance of the logarithm of a quantile of independent values (Woodruff 1952): the square
/// of half the log distance between the quantiles at `q ± sqrt(q(1−q)/N)`. A lower limit where
/// requests depend on each other; `None` without values, and for what is no quantile.
fn woodruff(values: &Histogram, metric: Metric) -> Option<f64> {
    let q = metric.quantile()?;
    let n = count(values.count());
    let error = (q * (1.0 - q) / n.max(1.0)).sqrt();
    let below = values.quantile_ns((q - error).max(0.0))?;
    let above = values.quantile_ns((q + error).min(1.0))?;
    let half = ((above / below.max(1.0)).ln() / 2.0).max(0.0);
    Some(half * half)
}

/// The length of slots or windows that fits this noise best (method.md 2.8): where a switch costs
/// time, `T* = sqrt(w·σ_s²/2σ_b²)`; at least what the rarest judged quantile needs, and twice (both
/// sides at once: eight times) the correlation time.
fn suggested_slot_ns(
    (noise, simultaneous): (&Noise, bool),
    expected: &BTreeMap<String, f64>,
    (correlation_s, warm_up_s): (Option<u64>, Option<u64>),
) -> u64 {
    let settle_s = warm_up_s.map_or(SETTLE_S, |s| count(s).max(SETTLE_S));
    let lost_s = if simultaneous { 0.0 } else { 4.0 * settle_s };
    let measured_s = seconds(noise.measured_ns);
    let best = |it: &MetricNoise| {
        let share = it.sampling_share();
        // Without anything between rounds, every length is as good as the longest.
        let best_s = (lost_s * share * measured_s / (2.0 * (1.0 - share))).sqrt();
        let requests = expected.get(&it.endpoint).copied().unwrap_or(0.0);
        let fewest_s = measured_s * minimum_requests(it.metric) / requests.max(1e-9);
        best_s.max(fewest_s)
    };
    let gate = noise
        .metrics
        .iter()
        .filter(|it| it.gate && it.metric.traits().unit == Unit::Time);
    let best_s = gate.map(best).fold(0.0, f64::max);
    let slots = if simultaneous { 1.0 } else { 2.0 };
    let (least, most) = SLOT_NS;
    let slot_ns = from_seconds((best_s / slots).min(3_600.0)).clamp(least, most);
    let apart_s = correlation_s.map_or(0.0, |s| count(s) * if simultaneous { 8.0 } else { 2.0 });
    slot_ns.max(from_seconds(apart_s))
}

/// Which arrangement needs less time, from the gate latencies that both judged: rounds needed go
/// with σ², and each costs its wall time.
pub fn choose(simultaneous: &Noise, interleaved: &Noise) -> Option<Choice> {
    let time = |noise: &Noise, it: &MetricNoise| it.sigma.powi(2) * seconds(noise.round_ns);
    let ratio = |own: &MetricNoise| {
        let is_time = own.gate && own.metric.traits().unit == Unit::Time;
        let other = interleaved.metric(&own.endpoint, own.metric)?;
        let ratio = time(interleaved, other) / time(simultaneous, own);
        (is_time && ratio.is_finite() && ratio > 0.0).then(|| ratio.ln())
    };
    let ratios: Vec<f64> = simultaneous.metrics.iter().filter_map(ratio).collect();
    if ratios.is_empty() {
        return None;
    }
    let mean = ratios.iter().sum::<f64>() / size(ratios.len());
    // The variance of ln s² of n normal values is about 2/(n−1). Metrics of the same rounds are
    // taken for one: they move together.
    let freedom = |noise: &Noise| f64::from(noise.rounds.max(2)) - 1.0;
    let error = (2.0 / freedom(simultaneous) + 2.0 / freedom(interleaved)).sqrt();
    let reach = 1.645 * error;
    Some(Choice {
        simultaneous: mean >= 0.0,
        time_ratio: mean.exp(),
        limits: ((mean - reach).exp(), (mean + reach).exp()),
    })
}

#[cfg(test)]
mod tests;
