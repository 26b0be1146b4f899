//! What a team adds to redaction and exempts from it: the one value that carries its settings
//! from `proofload.toml` to every importer and to the recorder.

use super::names;
use crate::workload::pattern::{Pattern, PatternError};

/// The rules of a team, beside those that always hold. The default adds and exempts nothing.
///
/// What is dropped by name (`Authorization`, `Cookie`, header fields that look like credentials)
/// cannot be exempted.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    names: Vec<Pattern>,
    keep_names: Vec<Pattern>,
    values: Vec<Pattern>,
    keep_values: Vec<Pattern>,
    paths: Vec<PathRule>,
    key: Option<Key>,
}

/// A key that pseudonyms are made with; its `Debug` shows nothing.
#[derive(Clone, Copy)]
struct Key([u8; 32]);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key")
    }
}

/// What becomes of one segment of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is a secret, whatever it looks like.
    Secret,
    /// It is none.
    Kept,
}

#[derive(Debug, Clone)]
struct PathRule {
    steps: Vec<Step>,
}

#[derive(Debug, Clone)]
enum Step {
    Named(Pattern),
    Any,
    Of(Fate),
}

/// Why a rule cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// No pattern.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// No path with a place in it.
    #[error(
        "the path rule `{0}` marks no segment; write it as /invite/{{secret}} or /commit/{{keep}}"
    )]
    Path(String),
}

impl Rules {
    /// Values under a name like this are secrets: fields, parameters, keys, header fields. Names
    /// are compared without case and separators.
    ///
    /// # Errors
    /// When the pattern would match every name.
    pub fn secret_name(mut self, name: &str) -> Result<Self, RuleError> {
        self.names.push(of_name(name)?);
        Ok(self)
    }

    /// Values under a name like this are none, whatever name and value look like. Header fields
    /// that look like credentials are dropped all the same.
    ///
    /// # Errors
    /// When the pattern would match every name.
    pub fn keep_name(mut self, name: &str) -> Result<Self, RuleError> {
        self.keep_names.push(of_name(name)?);
        Ok(self)
    }

    /// Words like this are secrets wherever they stand.
    ///
    /// # Errors
    /// When the pattern would match every word.
    pub fn secret_value(mut self, value: &str) -> Result<Self, RuleError> {
        self.values.push(value.parse()?);
        Ok(self)
    }

    /// Values like this are none, wherever they stand.
    ///
    /// # Errors
    /// When the pattern would match every value.
    pub fn keep_value(mut self, value: &str) -> Result<Self, RuleError> {
        self.keep_values.push(value.parse()?);
        Ok(self)
    }

    /// Segments of a path: `/invite/{secret}`, `/commit/{keep}`; `*` is any one segment, and what
    /// follows behind the pattern may be anything.
    ///
    /// # Errors
    /// When no segment is marked.
    pub fn path(mut self, path: &str) -> Result<Self, RuleError> {
        let steps = path.trim_start_matches('/').split('/').map(|step| {
            Ok(match step {
                "{secret}" => Step::Of(Fate::Secret),
                "{keep}" => Step::Of(Fate::Kept),
                "*" => Step::Any,
                "" => return Err(RuleError::Path(path.to_owned())),
                name => Step::Named(name.parse()?),
            })
        });
        let steps = steps.collect::<Result<Vec<_>, _>>()?;
        if !steps.iter().any(|step| matches!(step, Step::Of(_))) {
            return Err(RuleError::Path(path.to_owned()));
        }
        self.paths.push(PathRule { steps });
        Ok(self)
    }

    /// Makes pseudonyms with this key, so that several recordings share them; without it a key is
    /// drawn that nobody ever knows.
    pub fn key(mut self, key: [u8; 32]) -> Self {
        self.key = Some(Key(key));
        self
    }

    /// What the header of a workload says of them.
    pub fn label(&self) -> String {
        let added = self.names.len() + self.values.len() + self.marked(Fate::Secret);
        let exempt = self.keep_names.len() + self.keep_values.len() + self.marked(Fate::Kept);
        if added + exempt == 0 {
            return "default".to_owned();
        }
        format!("default, {added} rules added, {exempt} exemptions")
    }

    fn marked(&self, fate: Fate) -> usize {
        let has = |rule: &&PathRule| {
            let mut steps = rule.steps.iter();
            steps.any(|step| matches!(step, Step::Of(own) if *own == fate))
        };
        self.paths.iter().filter(has).count()
    }

    pub(super) fn key_bytes(&self) -> Option<[u8; 32]> {
        self.key.map(|key| key.0)
    }

    /// What they say of a name; `None` when they say nothing.
    pub(super) fn of_name(&self, name: &str) -> Option<Fate> {
        if self.names.is_empty() && self.keep_names.is_empty() {
            return None;
        }
        let flat = names::flat(name);
        let fits = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.matches(&flat));
        if fits(&self.names) {
            return Some(Fate::Secret);
        }
        fits(&self.keep_names).then_some(Fate::Kept)
    }

    pub(super) fn keeps_value(&self, value: &str) -> bool {
        self.keep_values
            .iter()
            .any(|pattern| pattern.matches(value))
    }

    pub(super) fn is_secret_word(&self, word: &str) -> bool {
        self.values.iter().any(|pattern| pattern.matches(word))
    }

    pub(super) fn has_secret_words(&self) -> bool {
        !self.values.is_empty()
    }

    /// What they say of each segment of a path, which begins with `/`.
    pub(super) fn of_path(&self, segments: &[String]) -> Vec<Option<Fate>> {
        let mut fates = vec![None; segments.len()];
        for rule in &self.paths {
            let fits = rule.steps.len() <= segments.len()
                && rule
                    .steps
                    .iter()
                    .zip(segments)
                    .all(|(step, segment)| match step {
                        Step::Named(name) => name.matches(segment),
                        Step::Any | Step::Of(_) => true,
                    });
            if !fits {
                continue;
            }
            for (fate, step) in fates.iter_mut().zip(&rule.steps) {
                if let (Step::Of(own), false) = (step, *fate == Some(Fate::Secret)) {
                    *fate = Some(*own);
                }
            }
        }
        fates
    }
}

fn of_name(text: &str) -> Result<Pattern, PatternError> {
    let pattern: Pattern = text.parse()?;
    let flat = pattern.mapped(names::flat);
    if flat.is_empty() {
        return Err(PatternError::Everything(text.to_owned()));
    }
    Ok(flat)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_without_case_and_separators() {
        let rules = Rules::default().secret_name("tenant-*").unwrap();
        let rules = rules.keep_name("Page_Token").unwrap();
        assert_eq!(rules.of_name("tenantId"), Some(Fate::Secret));
        assert_eq!(rules.of_name("X-Tenant"), None);
        assert_eq!(rules.of_name("pageToken"), Some(Fate::Kept));
        assert_eq!(rules.label(), "default, 1 rules added, 1 exemptions");
        assert!(Rules::default().secret_name("_-*").is_err());
    }

    #[test]
    fn of_a_path_the_marked_segments_have_a_fate() {
        let rules = Rules::default().path("/invite/{secret}").unwrap();
        let rules = rules.path("/*/commits/{keep}").unwrap();
        let of = |path: &str| {
            let segments: Vec<String> = path.split('/').skip(1).map(str::to_owned).collect();
            rules.of_path(&segments)
        };
        assert_eq!(of("/invite/x/y"), [None, Some(Fate::Secret), None]);
        assert_eq!(of("/a/commits/x"), [None, None, Some(Fate::Kept)]);
        assert_eq!(of("/invite"), [None]);
        for bad in ["/a/b", "/a//{keep}", "", "/"] {
            assert!(Rules::default().path(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_key_is_never_shown() {
        let rules = Rules::default().key([65; 32]);
        assert!(!format!("{rules:?}").contains("65"), "{rules:?}");
        assert_eq!(rules.label(), "default");
    }
}
