//! From values to places in a drawing, and which values get a label. Arithmetic only.

/// Where a value stands along one axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scale {
    /// The value at the first end.
    from: f64,
    /// The value at the other end; never the same.
    to: f64,
    /// The places of both ends, in units of the drawing.
    places: [i32; 2],
    /// Whether each tenfold takes the same room.
    log: bool,
}

impl Scale {
    /// Equal steps; values that leave no room between them get some.
    pub(super) fn linear(from: f64, to: f64, places: [i32; 2]) -> Self {
        let to = if to - from > 1e-12 { to } else { from + 1.0 };
        Self {
            from,
            to,
            places,
            log: false,
        }
    }

    /// Equal factors, both ends above 0.
    pub(super) fn log(from: f64, to: f64, places: [i32; 2]) -> Self {
        let from = from.max(1e-12);
        let to = if to > from * 1.01 { to } else { from * 10.0 };
        Self {
            from,
            to,
            places,
            log: true,
        }
    }

    /// The place of a value, held inside both ends.
    pub(super) fn place(&self, value: f64) -> i32 {
        let part = if self.log {
            (value.max(1e-12) / self.from).ln() / (self.to / self.from).ln()
        } else {
            (value - self.from) / (self.to - self.from)
        };
        let [first, last] = self.places.map(f64::from);
        pixel(first + part.clamp(0.0, 1.0) * (last - first))
    }

    /// Round values inside both ends, at most about so many.
    pub(super) fn ticks(&self, most: usize) -> Vec<f64> {
        if self.log {
            log_ticks(self.from, self.to, most)
        } else {
            linear_ticks(self.from, self.to, most)
        }
    }
}

/// A place without its fraction.
#[expect(
    clippy::cast_possible_truncation,
    reason = "clamped to the size of a drawing; as saturates"
)]
pub(super) fn pixel(value: f64) -> i32 {
    value.clamp(-1e6, 1e6).round() as i32
}

/// The smallest of 1, 2 and 5 times a power of ten that is not below.
fn nice(value: f64) -> f64 {
    let power = 10_f64.powf(value.max(1e-300).log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * power);
    let fits = steps.into_iter().find(|step| *step >= value * 0.999_999);
    fits.unwrap_or(10.0 * power)
}

fn linear_ticks(from: f64, to: f64, most: usize) -> Vec<f64> {
    let step = nice((to - from) / crate::units::count(most.max(1) as u64));
    let first = (from / step).ceil();
    let all = (0..50).map(|n| (first + f64::from(n)) * step);
    all.take_while(|tick| *tick <= to + step * 1e-6).collect()
}

fn log_ticks(from: f64, to: f64, most: usize) -> Vec<f64> {
    let (first, last) = (from.log10().floor(), to.log10().ceil());
    let of = |steps: &[f64], stride: f64| -> Vec<f64> {
        let decades = (0..40).map(|n| first + f64::from(n) * stride);
        let decades = decades.take_while(|decade| *decade <= last);
        let all = decades.flat_map(|decade| steps.iter().map(move |it| it * 10_f64.powf(decade)));
        all.filter(|tick| (from * 0.999..=to * 1.001).contains(tick))
            .collect()
    };
    let finest_first: [(&[f64], f64); 5] = [
        (&[1.0, 2.0, 5.0], 1.0),
        (&[1.0, 3.0], 1.0),
        (&[1.0], 1.0),
        (&[1.0], 2.0),
        (&[1.0], 3.0),
    ];
    let mut found = Vec::new();
    for (steps, stride) in finest_first {
        found = of(steps, stride);
        if found.len() <= most {
            break;
        }
    }
    found
}

/// The end of an axis that begins at 0: a round value not below, with a little room; 1 where
/// everything is 0.
pub(super) fn roof(most: f64) -> f64 {
    if most <= 0.0 {
        return 1.0;
    }
    let step = nice(most.max(1e-9) / 5.0);
    (most * 1.02 / step).ceil().max(1.0) * step
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_lie_between_both_ends() {
        let scale = Scale::linear(0.0, 10.0, [100, 0]);
        assert_eq!(
            [0.0, 5.0, 10.0, 99.0, -1.0].map(|v| scale.place(v)),
            [100, 50, 0, 0, 100]
        );
        let scale = Scale::log(1.0, 100.0, [0, 200]);
        assert_eq!(
            [1.0, 10.0, 100.0, 0.0].map(|v| scale.place(v)),
            [0, 100, 200, 0]
        );
        assert_eq!(scale.place(f64::NAN), 0);
        assert_eq!(Scale::linear(3.0, 3.0, [0, 10]).place(3.0), 0);
    }

    #[test]
    fn ticks_are_round_and_few() {
        let ticks = |from, to| Scale::linear(from, to, [0, 1]).ticks(5);
        assert_eq!(ticks(0.0, 10.0), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        assert_eq!(ticks(-0.1, 0.2).len(), 4);
        let log = |from, to| Scale::log(from, to, [0, 1]).ticks(6);
        assert_eq!(log(9.0, 120.0).len(), 4);
        assert_eq!(log(1.0, 1e6).len(), 4);
        for (from, to) in [(1e3, 1e12), (1.0, 1.2), (1e-9, 1e9), (5.0, 5e3)] {
            assert!(log(from, to).len() <= 7, "{from} {to}: {:?}", log(from, to));
        }
        assert_eq!([0.0, 9.7, 10.0, 101.0].map(roof), [1.0, 10.0, 12.0, 150.0]);
    }
}
