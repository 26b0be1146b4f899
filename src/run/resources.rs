//! What a side used of its own machine during one slot; never anything of the generator.

use serde::{Deserialize, Serialize};

/// CPU and memory of one side during the measured time of one slot. Each is absent where it
/// could not be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// CPU time of all its processes and cores together, in nanoseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_ns: Option<u64>,
    /// The most memory that it held at once, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_bytes: Option<u64>,
}

impl Resources {
    /// Two slots as one: CPU together, of memory the more. What is unknown in one of them is
    /// unknown in both.
    pub fn and(self, other: Self) -> Self {
        let both = |a: Option<u64>, b: Option<u64>, join: fn(u64, u64) -> u64| Some(join(a?, b?));
        Self {
            cpu_ns: both(self.cpu_ns, other.cpu_ns, u64::saturating_add),
            peak_bytes: both(self.peak_bytes, other.peak_bytes, u64::max),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unknown_in_one_slot_is_unknown_in_the_round() {
        let of = |cpu_ns, peak_bytes| Resources { cpu_ns, peak_bytes };
        let (one, two) = (of(Some(3), Some(10)), of(Some(4), Some(9)));
        assert_eq!(one.and(two), of(Some(7), Some(10)));
        assert_eq!(one.and(of(None, Some(11))), of(None, Some(11)));
        assert_eq!(one.and(of(Some(1), None)), of(Some(4), None));
    }

    #[test]
    fn a_figure_that_is_unknown_is_left_out_of_the_file() {
        let only_cpu = Resources {
            cpu_ns: Some(5),
            peak_bytes: None,
        };
        let text = serde_json::to_string(&only_cpu).unwrap();
        assert_eq!(text, r#"{"cpu_ns":5}"#);
        assert_eq!(serde_json::from_str::<Resources>(&text).unwrap(), only_cpu);
    }
}
