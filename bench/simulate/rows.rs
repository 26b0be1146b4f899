//! Which comparisons the table holds, and what is counted in each.

use proofload::{
    compare::{Change, Comparison, Status, Verdict},
    replay::Arrangement,
    run::WORKLOAD,
};

use super::{
    model::{
        course::Course,
        world::{Effect, Scene, World},
    },
    rivals::{self, Rule},
    table::Column,
};

/// What is asked of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Section {
    /// Both sides are the same: how often is that called a regression?
    Equal,
    /// Something is wrong with one endpoint: is it found, and is another one blamed?
    Changed,
    /// The plan is resized by a pilot: are the error rates still those that were promised?
    Pilot,
    /// What the rules of today make of the same.
    Rivals,
}

/// The rules of today, with the data they are used on.
const RIVALS: [(Rule, bool); 4] = [
    (rivals::thresholds, true),
    (rivals::by_request, true),
    (rivals::by_window, true),
    (rivals::kayenta, false),
];

impl Section {
    /// In the order of the page.
    pub(crate) const ALL: [Self; 4] = [Self::Equal, Self::Changed, Self::Pilot, Self::Rivals];

    /// The heading.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Equal => "Equal sides",
            Self::Changed => "One endpoint changed",
            Self::Pilot => "Plans resized by a pilot",
            Self::Rivals => "The rules of today",
        }
    }

    /// The columns that describe a row.
    pub(crate) fn labels(self) -> &'static [&'static str] {
        match self {
            Self::Equal => &["plan", "endpoints", "noise"],
            Self::Changed | Self::Pilot => &["plan", "endpoints", "noise", "change"],
            Self::Rivals => &["noise", "change"],
        }
    }

    /// The columns that are counted.
    pub(crate) fn columns(self) -> &'static [Column] {
        match self {
            Self::Equal => &[
                Column::Rate("false alarm"),
                Column::Rate("at minimum effect 0"),
                Column::Rate("PASS"),
                Column::Rate("INCONCLUSIVE"),
                Column::Rate("INVALID"),
                Column::Mean("rounds"),
            ],
            Self::Changed => &[
                Column::Rate("found"),
                Column::Rate("others blamed"),
                Column::Rate("PASS"),
                Column::Rate("INCONCLUSIVE"),
                Column::Rate("INVALID"),
                Column::Mean("rounds"),
            ],
            Self::Pilot => &[
                Column::Rate("REGRESSED"),
                Column::Rate("PASS"),
                Column::Rate("INCONCLUSIVE"),
                Column::Rate("INVALID"),
                Column::Mean("rounds"),
            ],
            Self::Rivals => &[
                Column::Pair("proofload"),
                Column::Pair("fixed thresholds"),
                Column::Pair("Mann-Whitney by request"),
                Column::Pair("Mann-Whitney by window"),
                Column::Pair("Kayenta's rule"),
            ],
        }
    }

    /// How often each row is run.
    pub(crate) fn runs(self) -> u64 {
        match self {
            Self::Equal | Self::Pilot => 2_000,
            Self::Changed | Self::Rivals => 500,
        }
    }
}

/// A budget with its arrangement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plan {
    /// The default budget, both sides at the same time.
    Minute,
    /// Both sides at the same time.
    FiveMinutes,
    /// One side after the other.
    TwentyMinutes,
    /// The same with as many rounds as there may be.
    Longest,
}

impl Plan {
    fn name(self) -> &'static str {
        match self {
            Self::Minute => "60 s together",
            Self::FiveMinutes => "5 min together",
            Self::TwentyMinutes => "20 min in turn",
            Self::Longest => "33 min in turn",
        }
    }

    fn duration_s(self) -> u64 {
        match self {
            Self::Minute => 60,
            Self::FiveMinutes => 300,
            Self::TwentyMinutes => 1_200,
            Self::Longest => 2_000,
        }
    }

    fn arrangement(self) -> Arrangement {
        match self {
            Self::Minute | Self::FiveMinutes => Arrangement::Simultaneous,
            Self::TwentyMinutes | Self::Longest => Arrangement::Interleaved,
        }
    }
}

/// One line of the table.
#[derive(Debug)]
pub(crate) struct Row {
    /// The table that it belongs to.
    pub(crate) section: Section,
    /// What describes it.
    pub(crate) labels: Vec<String>,
    scene: Scene,
    course: Course,
    /// The same with a minimum effect of zero.
    bare: Course,
    /// Sets the seeds of the rows apart.
    place: u64,
}

/// Margins of zero for everything that blocks.
const NO_EFFECT: [&str; 3] = ["p50=0%,0us", "p99=0%,0us", "errors=0%"];
/// Tolerances that leave the median alone to decide.
const MEDIAN_ALONE: [&str; 2] = ["p99=900%", "errors=50%"];

impl Row {
    pub(crate) fn new(
        section: Section,
        plan: Plan,
        scene: Scene,
        change: &str,
        place: u64,
    ) -> Self {
        let tolerance: &[&str] = if section == Section::Pilot {
            &MEDIAN_ALONE
        } else {
            &[]
        };
        let course = |effect: &[&str]| {
            let (duration_s, arrangement) = (plan.duration_s(), plan.arrangement());
            Course::new(&scene, duration_s, arrangement, tolerance, effect)
        };
        let (plan, size) = (plan.name().to_owned(), scene.endpoints.to_string());
        let (noise, change) = (scene.noise.name(), change.to_owned());
        let labels = match section {
            Section::Equal => vec![plan, size, noise],
            Section::Changed | Section::Pilot => vec![plan, size, noise, change],
            Section::Rivals => vec![noise, change],
        };
        Self {
            section,
            labels,
            scene,
            course: course(&[]),
            bare: course(&NO_EFFECT),
            place,
        }
    }

    /// One run: the numbers of its columns.
    pub(crate) fn run(&self, run: u64) -> Vec<u64> {
        let seed = self.place << 32 | run;
        match self.section {
            Section::Equal => self.equal(seed),
            Section::Changed => {
                let found = self.course.run(&self.scene, seed);
                let mut numbers = named(&found).map(u64::from).to_vec();
                numbers.extend(ends(&found));
                numbers
            }
            Section::Pilot => {
                let found = self.bare.run(&self.scene, seed);
                let mut numbers = vec![u64::from(found.verdict == Verdict::Regressed)];
                numbers.extend(ends(&found));
                numbers
            }
            Section::Rivals => self.rivals(seed),
        }
    }

    /// Both margins judge the same rounds.
    fn equal(&self, seed: u64) -> Vec<u64> {
        let mut world = World::new(&self.scene, self.course.total_ns(), seed);
        let (mut usual, mut bare) = (self.course.begin(), self.bare.begin());
        for (round, slots) in self.course.rounds(&mut world, seed) {
            let ended = [usual.add(round, &slots), bare.add(round, &slots)];
            if ended == [true; 2] {
                break;
            }
        }
        let alarms = [&usual, &bare].map(|it| it.comparison.verdict == Verdict::Regressed);
        let mut numbers = alarms.map(u64::from).to_vec();
        numbers.extend(ends(&usual.comparison));
        numbers
    }

    fn rivals(&self, seed: u64) -> Vec<u64> {
        let new = || World::new(&self.scene, self.course.total_ns(), seed);
        let after = self.course.halves(&mut new(), seed);
        let together = self.course.sides(&mut new(), seed);
        let mut blocked = vec![named(&self.course.run(&self.scene, seed))];
        for (rule, is_after) in RIVALS {
            let windows = if is_after { &after } else { &together };
            let blocks = |number| rule(windows, &Scene::endpoint(number));
            blocked.push([blocks(0), (1..self.scene.endpoints).any(blocks)]);
        }
        // Of equal sides there is no endpoint that ought to be named.
        let is_changed = self.scene.effect != Effect::NONE;
        let count = |[first, others]: [bool; 2]| {
            let pair = [first && is_changed, others || (first && !is_changed)];
            pair.map(u64::from)
        };
        blocked.into_iter().flat_map(count).collect()
    }
}

/// Whether the changed endpoint, and whether another one, was called worse.
fn named(found: &Comparison) -> [bool; 2] {
    // What one endpoint does shows in the whole as well, which is no blame of another.
    let counts = |change: &&Change| change.gate && change.endpoint != WORKLOAD;
    let worse = |is_first: bool| {
        found.changes.iter().filter(counts).any(|change| {
            change.status == Status::Regressed
                && (change.endpoint == Scene::endpoint(0)) == is_first
        })
    };
    [worse(true), worse(false)]
}

/// How it ended otherwise, and after how many rounds.
fn ends(found: &Comparison) -> [u64; 4] {
    let is = |verdict| u64::from(found.verdict == verdict);
    [
        is(Verdict::Pass),
        is(Verdict::Inconclusive),
        is(Verdict::Invalid),
        u64::from(found.rounds.measured),
    ]
}
