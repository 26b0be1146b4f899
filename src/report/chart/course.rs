//! Charts along the rounds: the change in each of them, and the levels of both sides. Dropped
//! rounds are marked and hold nothing else.

use super::{
    At, Chart, Ink, draw,
    plot::{BOTTOM, LEFT, RIGHT, SIZE, TOP, Tick, frame, joined},
    quantile::{percent_tick, short, tick_time},
    scale::{Scale, roof},
};
use crate::compare::{
    Change, Course, CourseSide,
    metric::{Kind, Unit},
};
use crate::report::numbers::{bytes, duration, share, whole_number};
use crate::report::words;
use crate::units::count;

/// What is drawn of each side of a round.
#[derive(Debug, Clone, Copy)]
pub(in crate::report) struct Line {
    /// What it is called.
    pub(in crate::report) name: &'static str,
    /// The value in a round; absent where there is none.
    pub(in crate::report) of: fn(&CourseSide) -> Option<f64>,
    /// In what it is counted; a plain count without one.
    pub(in crate::report) unit: Option<Unit>,
}

impl Line {
    /// A value as text beside the chart has it.
    pub(in crate::report) fn shown(&self, value: f64) -> String {
        match self.unit {
            Some(Unit::Time) => duration(value),
            Some(Unit::Share) => share(value),
            Some(Unit::Bytes) => bytes(value),
            None => whole_number(crate::units::whole(value)),
        }
    }

    fn tick(&self, value: f64) -> String {
        match self.unit {
            Some(Unit::Time) => tick_time(value),
            _ if value <= 0.0 => "0".to_owned(),
            Some(Unit::Share) => format!("{} %", short(value * 100.0)),
            Some(Unit::Bytes) => bytes(value),
            None => whole_number(crate::units::whole(value)),
        }
    }
}

/// The places of the rounds along the horizontal axis.
struct Rounds<'a> {
    rounds: &'a [Course],
    scale: Scale,
}

impl<'a> Rounds<'a> {
    fn of(rounds: &'a [Course]) -> Self {
        let last = count(rounds.len() as u64) - 0.5;
        Self {
            rounds,
            scale: Scale::linear(-0.5, last, [LEFT, RIGHT]),
        }
    }

    fn place(&self, index: usize) -> i32 {
        self.scale.place(count(index as u64))
    }

    fn ticks(&self) -> Vec<Tick> {
        let step = self.rounds.len().div_ceil(9).max(1);
        let every = self.rounds.iter().enumerate().step_by(step);
        every
            .map(|(index, round)| (self.place(index), round.round.to_string()))
            .collect()
    }

    /// Shades the dropped ones.
    fn shade(&self, pen: &super::Pen<'_>) {
        let half = (self.place(1) - self.place(0)).abs() / 2;
        let dropped = self.rounds.iter().enumerate();
        for (index, _) in dropped.filter(|(_, round)| round.dropped.is_some()) {
            let middle = self.place(index);
            let from = ((middle - half).max(LEFT), TOP);
            pen.rect(from, ((middle + half).min(RIGHT), BOTTOM), Ink::Dropped);
        }
    }

    /// What a pointer may read: the text of each round, or why it was dropped.
    fn read(&self, said: impl Fn(usize) -> String) -> String {
        let each = self.rounds.iter().enumerate().map(|(index, round)| {
            let (place, number) = (self.place(index), round.round);
            let said = match &round.dropped {
                Some(reason) => format!("dropped: {}", crate::text::printable(reason)),
                None => said(index),
            };
            format!("{place} Round {number}: {said}\n")
        });
        each.collect()
    }
}

/// The change in each round, the interval over all of them, and what is tolerated; `None` where
/// the change has no series that fits the rounds.
pub(in crate::report) fn series(change: &Change, rounds: &[Course]) -> Option<Chart> {
    let interval = change.change.filter(|_| change.limit.is_none())?;
    let counted = rounds.iter().filter(|round| round.dropped.is_none());
    if counted.count() != change.series.len() {
        return None;
    }
    let mut values = change.series.iter().copied();
    let to_scale = |value: f64| change.metric.from_scale(value);
    let by_round = rounds.iter().map(|round| match round.dropped {
        Some(_) => None,
        None => values.next().flatten().map(to_scale),
    });
    let by_round: Vec<Option<f64>> = by_round.collect();
    by_round.iter().flatten().next()?;
    let x = Rounds::of(rounds);
    let y = change_scale(change, &by_round);
    let up = y.ticks(6).into_iter();
    let up: Vec<Tick> = up
        .map(|it| (y.place(it), change_tick(change, it)))
        .collect();
    let said = format!(
        "Change of {} in each of {} rounds, above 0 is worse. Over all rounds {}, tolerated {}.",
        change.metric.name(),
        change.series.len(),
        words::change_cell(change),
        words::tolerance_cell(change)
    );
    let svg = draw(SIZE, "plot", &said, |pen| {
        frame(pen, &x.ticks(), &up, "round");
        x.shade(pen);
        let [low, high] = [interval.lower, interval.upper].map(|it| y.place(it));
        pen.rect((LEFT, high), (RIGHT, low.max(high + 2)), Ink::Band);
        let across = |value: f64| vec![(LEFT, y.place(value)), (RIGHT, y.place(value))];
        pen.line(across(0.0), Ink::Axis, 2);
        pen.line(across(change.tolerance), Ink::Edge, 4);
        pen.line(across(interval.estimate), Ink::of(change.status), 3);
        for (index, value) in by_round.iter().enumerate() {
            if let Some(value) = value {
                pen.dot((x.place(index), y.place(*value)), 7, Ink::of(change.status));
            }
        }
    });
    let read = x.read(|index| match by_round[index] {
        Some(value) => words::signed(change, words::natural(change, value, value)[0]),
        None => "no request".to_owned(),
    });
    Some(Chart { svg, points: read })
}

/// Up to six times what matters to each side; what lies beyond stands at the edge.
fn change_scale(change: &Change, values: &[Option<f64>]) -> Scale {
    let interval = change.change.map(|it| [it.lower, it.upper, it.estimate]);
    let ends = || interval.into_iter().flatten().filter(|it| it.is_finite());
    let widest = 6.0
        * ends()
            .map(f64::abs)
            .fold(change.tolerance.max(0.0005), f64::max);
    let all = values.iter().copied().flatten().chain(ends());
    let (low, high) = all.fold((0.0, change.tolerance), |(a, b): (f64, f64), it| {
        (a.min(it.max(-widest)), b.max(it.min(widest)))
    });
    let room = 0.08 * (high - low).max(1e-4);
    Scale::linear(low - room, high + room, [BOTTOM, TOP])
}

fn change_tick(change: &Change, value: f64) -> String {
    let tick = percent_tick(value);
    match change.metric.traits().kind {
        Kind::Ratio => tick,
        Kind::Difference => tick.replace('%', "pp"),
    }
}

/// One level of both sides in each round; `None` where neither has any.
pub(in crate::report) fn course(rounds: &[Course], line: &Line) -> Option<Chart> {
    let sides = |round: &Course| [(line.of)(&round.baseline), (line.of)(&round.candidate)];
    let levels: Vec<[Option<f64>; 2]> = rounds.iter().map(sides).collect();
    let highest = levels
        .iter()
        .flatten()
        .copied()
        .flatten()
        .reduce(f64::max)?;
    let x = Rounds::of(rounds);
    let y = Scale::linear(0.0, roof(highest), [BOTTOM, TOP]);
    // Where everything is 0, nothing above it is known.
    let up = y
        .ticks(6)
        .into_iter()
        .filter(|it| *it <= 0.0 || highest > 0.0);
    let up: Vec<Tick> = up.map(|it| (y.place(it), line.tick(it))).collect();
    let said = format!(
        "{} of both sides in each of {} rounds.",
        line.name,
        rounds.len()
    );
    let svg = draw(SIZE, "plot", &said, |pen| {
        frame(pen, &x.ticks(), &up, "round");
        x.shade(pen);
        for (side, ink) in [Ink::Baseline, Ink::Candidate].into_iter().enumerate() {
            let mut stretch: Vec<At> = Vec::new();
            for (index, both) in levels.iter().enumerate() {
                if let Some(value) = both[side] {
                    stretch.push((x.place(index), y.place(value)));
                } else {
                    joined(pen, &std::mem::take(&mut stretch), ink);
                }
            }
            joined(pen, &stretch, ink);
        }
    });
    let read = x.read(|index| {
        let [a, b] = levels[index].map(|it| it.map_or("none".to_owned(), |it| line.shown(it)));
        format!("baseline {a}, candidate {b}")
    });
    Some(Chart { svg, points: read })
}
