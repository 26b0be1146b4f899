//! The `[redact]` table of `proofload.toml`: what a team adds to redaction and exempts from it.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use serde::{Deserialize, Serialize};

use crate::workload::redact::Rules;

/// Rules of redaction. There are no flags for them: they belong to a service, not to a command.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub(in crate::cli) struct RedactSettings {
    /// Names of fields, parameters, keys and header fields whose values are secrets too.
    pub names: Vec<String>,
    /// Names whose values are none.
    pub keep_names: Vec<String>,
    /// Words that are secrets wherever they stand.
    pub values: Vec<String>,
    /// Values that are none.
    pub keep_values: Vec<String>,
    /// Segments of paths: `/invite/{secret}`, `/commit/{keep}`.
    pub paths: Vec<String>,
    /// A file with a key of 64 hexadecimal digits, so that recordings share their pseudonyms.
    pub key_file: Option<PathBuf>,
}

/// The keys of the table.
pub(super) const KEYS: [&str; 6] = [
    "names",
    "keep-names",
    "values",
    "keep-values",
    "paths",
    "key-file",
];

impl RedactSettings {
    /// The rules as importers, the recorder and the scan take them.
    ///
    /// # Errors
    /// When a rule would match everything, or the key cannot be read.
    pub(in crate::cli) fn rules(&self) -> anyhow::Result<Rules> {
        let mut rules = Rules::default();
        for name in &self.names {
            rules = rules.secret_name(name).context("in [redact] names")?;
        }
        for name in &self.keep_names {
            rules = rules.keep_name(name).context("in [redact] keep-names")?;
        }
        for value in &self.values {
            rules = rules.secret_value(value).context("in [redact] values")?;
        }
        for value in &self.keep_values {
            rules = rules.keep_value(value).context("in [redact] keep-values")?;
        }
        for path in &self.paths {
            rules = rules.path(path).context("in [redact] paths")?;
        }
        if let Some(path) = &self.key_file {
            rules = rules.key(key(path)?);
        }
        Ok(rules)
    }
}

fn key(path: &Path) -> anyhow::Result<[u8; 32]> {
    let name = path.display();
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the key file {name} of [redact]"))?;
    let text = text.trim();
    let digits = text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
    let byte = |at: usize| u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok();
    let bytes: Option<Vec<u8>> = (0..32).map(byte).collect();
    let key = bytes
        .filter(|_| digits)
        .and_then(|bytes| bytes.try_into().ok());
    key.ok_or_else(|| {
        anyhow!(
            "the key file {name} of [redact] must hold 64 hexadecimal digits; make one with \
             openssl rand -hex 32"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> RedactSettings {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn rules_come_from_the_table_and_say_where_they_are_wrong() {
        let rules = settings("names = ['tenant*']\npaths = ['/c/{keep}']\nvalues = ['a_*']");
        assert_eq!(
            rules.rules().unwrap().label(),
            "default, 2 rules added, 1 exemptions"
        );
        for (text, place) in [
            ("names = ['*']", "names"),
            ("keep-names = ['']", "keep-names"),
            ("values = ['*']", "values"),
            ("keep-values = ['**']", "keep-values"),
            ("paths = ['/a']", "paths"),
        ] {
            let error = format!("{:#}", settings(text).rules().unwrap_err());
            assert!(error.contains(place), "{error}");
        }
    }

    #[test]
    fn a_key_is_read_and_never_shown() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("redact.key");
        let with = |text: &str| {
            std::fs::write(&path, text).unwrap();
            let key_file = Some(path.clone());
            let settings = RedactSettings {
                key_file,
                ..RedactSettings::default()
            };
            settings.rules().map(|_| ())
        };
        assert!(with(&format!("{}\n", "0f".repeat(32))).is_ok());
        for bad in ["", "hunter2", &"zz".repeat(32), &"é".repeat(32)] {
            let error = format!("{:#}", with(bad).unwrap_err());
            assert!(
                error.contains("openssl") && !error.contains("hunter2"),
                "{error}"
            );
        }
    }
}
