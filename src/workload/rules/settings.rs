//! The rules as they are written in `proofload.toml`, under `[replay]`.

use serde::{Deserialize, Serialize};

/// `[replay]`: what is done to requests on their way.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct ReplaySettings {
    /// Templates of endpoints, such as `GET /shop/{name}/reviews`; the first that fits counts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub endpoints: Vec<String>,
    /// `[[replay.rule]]`
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rule: Vec<RuleSettings>,
}

impl ReplaySettings {
    /// The keys of the table.
    pub const KEYS: [&'static str; 2] = ["endpoints", "rule"];
}

/// A value and where it goes: taken from answers, or made anew for each request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RuleSettings {
    /// Its name in messages.
    pub name: String,
    /// From which answers the value is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extract: Option<ExtractSettings>,
    /// A text with placeholders that is the value instead, such as `{{uuid}}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Which requests carry it, and where.
    #[serde(default)]
    pub replace: Vec<ReplaceSettings>,
}

/// Where a value is found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ExtractSettings {
    /// The endpoint that answers with it.
    pub from: String,
    /// The place in the answer, such as `json:/cart/id`.
    pub at: String,
}

/// Where a value goes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ReplaceSettings {
    /// The endpoint of the requests that carry it.
    pub r#in: String,
    /// The place in the request, such as `form:csrf`.
    pub at: String,
}
