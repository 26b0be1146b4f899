//! What disturbs a simulated pair of deployments besides chance: second by second, shared by
//! both sides or of one side's own.
//!
//! All shifts are natural logarithms of a factor on response times.

use proofload::{
    run::Side,
    units::{count, whole},
};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Bernoulli, Distribution, Exp, Gamma, StandardNormal, StudentT};

/// A kind of disturbance, with its usual size.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Noise {
    /// Requests are independent; nothing else varies.
    None,
    /// Shared: first-order autoregressive, 5 %, correlation time 30 s.
    Correlated,
    /// Shared: a neighbour that costs 10 %, on for 60 s and off for 120 s on average.
    Neighbour,
    /// Shared: 5 % over the run in a straight line, up or down.
    Drift,
    /// Shared: a random walk that strays 5 % over the run.
    Walk,
    /// Shared: 10 % in the first half of each minute.
    Cron,
    /// The second slot of a pair is 1.5 % faster, whoever has it.
    Order,
    /// Of each side's own: a second in which all takes three times as long, one in a hundred,
    /// and failures that come in bursts (coefficient of variation 1).
    Bursts,
    /// 3 % of the requests with a Pareto tail of index 2.5, and slots of each side that differ
    /// like Student's t with three degrees of freedom, 2 %.
    HeavyTails,
    /// Of each side's own: autoregressive, 2 %, correlation time 30 s: longer than a slot, which
    /// the method asks to avoid.
    OwnSlow,
    /// As `Correlated`, and one round in twelve was sent late by the generator.
    LateRounds,
    /// Of each side's own: slots that differ by this standard deviation of the log ratio.
    White(f64),
}

impl Noise {
    /// How the table calls it.
    pub(crate) fn name(self) -> String {
        match self {
            Self::None => "none".to_owned(),
            Self::Correlated => "AR(1) 5 %, 30 s".to_owned(),
            Self::Neighbour => "on-off neighbour 10 %".to_owned(),
            Self::Drift => "linear drift 5 %".to_owned(),
            Self::Walk => "random walk 5 %".to_owned(),
            Self::Cron => "60 s cron 10 %".to_owned(),
            Self::Order => "order effect 1.5 %".to_owned(),
            Self::Bursts => "bursts".to_owned(),
            Self::HeavyTails => "heavy tails".to_owned(),
            Self::OwnSlow => "own AR(1) 2 %, 30 s".to_owned(),
            Self::LateRounds => "AR(1), late rounds".to_owned(),
            Self::White(sd) => format!("σ = {:.1} %", 100.0 * sd),
        }
    }

    /// Whether the usual small noise of each side and endpoint is there too.
    fn is_usual(self) -> bool {
        !matches!(self, Self::None | Self::White(_))
    }

    /// What one slot of one side has for itself.
    pub(crate) fn of_slot(self, rng: &mut ChaCha8Rng) -> f64 {
        match self {
            Self::White(sd) => sd * std::f64::consts::FRAC_1_SQRT_2 * normal(rng),
            Self::HeavyTails => {
                let t = StudentT::new(3.0).expect("positive freedom");
                0.02 / 3.0_f64.sqrt() * t.sample(rng)
            }
            _ => 0.0,
        }
    }

    /// What one endpoint has for itself in one slot of one side.
    pub(crate) fn of_endpoint(self, rng: &mut ChaCha8Rng) -> f64 {
        if self.is_usual() {
            0.005 * normal(rng)
        } else {
            0.0
        }
    }

    /// A factor on the probability to fail in one slot of one side; its mean is 1.
    pub(crate) fn of_failures(self, rng: &mut ChaCha8Rng) -> f64 {
        match self {
            Self::Bursts => Gamma::new(1.0, 1.0).expect("a positive shape").sample(rng),
            _ => 1.0,
        }
    }

    /// Whether the generator is late in this round.
    pub(crate) fn is_late(self, rng: &mut ChaCha8Rng) -> bool {
        self == Self::LateRounds && chance(rng, 1.0 / 12.0)
    }
}

/// The shifts of one run, by second.
#[derive(Debug)]
pub(crate) struct Weather {
    noise: Noise,
    shared: Vec<f64>,
    own: [Vec<f64>; 2],
}

impl Weather {
    /// Draws so many seconds.
    pub(crate) fn new(noise: Noise, seconds: u32, rng: &mut ChaCha8Rng) -> Self {
        let own = [own(noise, seconds, rng), own(noise, seconds, rng)];
        let shared = shared(noise, seconds, rng);
        Self { noise, shared, own }
    }

    /// The shifts of one side in a slot that begins and lasts so many seconds, at `position` in
    /// its round.
    pub(crate) fn shifts(&self, side: Side, position: u8, start_s: f64, length_s: f64) -> Vec<f64> {
        let beats = whole(length_s.ceil()).max(1);
        let order = if self.noise == Noise::Order && position % 2 == 1 {
            -0.015
        } else {
            0.0
        };
        let own = &self.own[side.index()];
        let at = |beat: u64| {
            let second = start_s + (count(beat) + 0.5) * length_s / count(beats);
            let second = usize::try_from(whole(second)).unwrap_or(usize::MAX);
            let of = |series: &[f64]| series.get(second).copied().unwrap_or(0.0);
            of(&self.shared) + of(own) + order
        };
        (0..beats).map(at).collect()
    }
}

fn shared(noise: Noise, seconds: u32, rng: &mut ChaCha8Rng) -> Vec<f64> {
    let each = 0..seconds;
    let length = f64::from(seconds);
    match noise {
        Noise::Correlated | Noise::LateRounds => correlated(0.05, 30.0, seconds, rng),
        Noise::Neighbour => neighbour(seconds, rng),
        Noise::Drift => {
            let end = if chance(rng, 0.5) { 0.05 } else { -0.05 };
            each.map(|t| end * f64::from(t) / length).collect()
        }
        Noise::Walk => {
            let mut at = 0.0;
            let step = 0.05 / length.sqrt();
            let mut next = || {
                at += step * normal(rng);
                at
            };
            each.map(|_| next()).collect()
        }
        Noise::Cron => each.map(|t| if t % 60 < 30 { 0.1 } else { 0.0 }).collect(),
        Noise::None
        | Noise::Order
        | Noise::Bursts
        | Noise::HeavyTails
        | Noise::OwnSlow
        | Noise::White(_) => Vec::new(),
    }
}

fn own(noise: Noise, seconds: u32, rng: &mut ChaCha8Rng) -> Vec<f64> {
    if !noise.is_usual() {
        return Vec::new();
    }
    if noise == Noise::OwnSlow {
        return correlated(0.02, 30.0, seconds, rng);
    }
    let mut own = correlated(0.02, 1.5, seconds, rng);
    if noise == Noise::Bursts {
        for shift in &mut own {
            *shift += if chance(rng, 0.01) { 3.0_f64.ln() } else { 0.0 };
        }
    }
    own
}

fn neighbour(seconds: u32, rng: &mut ChaCha8Rng) -> Vec<f64> {
    let mut is_on = chance(rng, 1.0 / 3.0);
    let mut left = 0.0;
    let mut next = || {
        while left <= 0.0 {
            is_on = !is_on;
            let mean = if is_on { 60.0 } else { 120.0 };
            left += Exp::new(1.0 / mean).expect("a positive rate").sample(rng);
        }
        left -= 1.0;
        if is_on { 0.1 } else { 0.0 }
    };
    (0..seconds).map(|_| next()).collect()
}

/// A stationary autoregressive series with a correlation time in seconds.
fn correlated(sd: f64, tau: f64, seconds: u32, rng: &mut ChaCha8Rng) -> Vec<f64> {
    let keep = (-1.0 / tau).exp();
    let fresh = sd * (1.0 - keep * keep).sqrt();
    let mut at = sd * normal(rng);
    let mut next = || {
        at = keep * at + fresh * normal(rng);
        at
    };
    (0..seconds).map(|_| next()).collect()
}

fn normal(rng: &mut ChaCha8Rng) -> f64 {
    StandardNormal.sample(rng)
}

fn chance(rng: &mut ChaCha8Rng, p: f64) -> bool {
    Bernoulli::new(p).expect("a probability").sample(rng)
}
