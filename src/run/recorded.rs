//! What the recording saw of one endpoint, kept with a run so that its report can show it beside
//! both sides. Plain data; never judged.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What the recording saw of one endpoint. What was not recorded is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// How many requests it holds.
    pub requests: u64,
    /// Recorded answers by status; those without one are in none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub statuses: BTreeMap<u16, u64>,
    /// The median of the recorded latencies, from sending to the end of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_p50_ns: Option<u64>,
    /// Their 0.99 quantile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_p99_ns: Option<u64>,
    /// The mean size of an answer's body as transferred.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean_bytes: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_recorded_takes_no_room() {
        let bare = Recorded {
            requests: 3,
            ..Recorded::default()
        };
        let text = serde_json::to_string(&bare).unwrap();
        assert_eq!(text, "{\"requests\":3}");
        assert_eq!(serde_json::from_str::<Recorded>(&text).unwrap(), bare);
    }
}
