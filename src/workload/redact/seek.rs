//! The redactor as a searcher: it notes what it would replace, under which name, and where to go
//! back to when a reading turns out to be the wrong one.

use super::{
    Kind, Redactor, Rules, Writes,
    random::{self, Doubt},
};

/// Values with fewer letters and digits are not judged: their pseudonyms carry no mark.
const JUDGED_LEAST: usize = 6;
/// What people write where a secret was, or will be.
const STAND_INS: &[&str] = &[
    "redacted",
    "example",
    "changeme",
    "placeholder",
    "xxxx",
    "...",
];

/// How sure a search is of what it reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::workload) enum Manner {
    /// A request of a workload: whatever redaction would have replaced counts.
    Recorded,
    /// Any text: what stands under a telling name counts if it looks like a secret.
    Any,
}

/// One thing that redaction would have replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::workload) struct Found {
    pub(in crate::workload) kind: Kind,
    /// The name that it stands under; empty when there is none.
    pub(in crate::workload) name: String,
    /// The secret itself: never shown whole.
    pub(in crate::workload) value: String,
}

#[derive(Debug)]
pub(super) struct Seek {
    manner: Manner,
    name: String,
    found: Vec<Found>,
}

/// How far the redactor has come.
pub(super) struct Place {
    counts: [u64; Kind::ALL.len()],
    recognised: u64,
    found: usize,
}

impl Seek {
    pub(super) fn found(&mut self, kind: Kind, value: &str) {
        self.found.push(Found {
            kind,
            name: self.name.clone(),
            value: value.to_owned(),
        });
    }

    /// Whether a value of this kind is worth a finding.
    pub(super) fn wants(&self, kind: Kind, value: &str) -> bool {
        if is_placeholder(value) {
            return false;
        }
        let known = value.bytes().filter(u8::is_ascii_alphanumeric).count();
        let is_named = matches!(kind, Kind::Field | Kind::Encoded);
        match (self.manner, is_named) {
            (_, true) if value.contains('@') && is_reserved(value) => false,
            (_, false) => kind != Kind::Email || !is_reserved(value),
            (Manner::Recorded, true) => known >= JUDGED_LEAST || !value.is_ascii(),
            (Manner::Any, true) => known >= JUDGED_LEAST && is_plausible(&self.name, value),
        }
    }
}

impl Redactor {
    /// One that seeks: it counts and notes, and what it returns is of no use.
    pub(in crate::workload) fn seeking(rules: &Rules, manner: Manner) -> Self {
        let mut redactor = Self::writing(Writes::Stars, rules.clone());
        redactor.seek = Some(Seek {
            manner,
            name: String::new(),
            found: Vec::new(),
        });
        redactor
    }

    /// Whether a key can be the name of a field where nobody knows what a text is: the endpoints of
    /// a report are none.
    pub(super) fn is_name(&self, key: &str) -> bool {
        let is_any = self
            .seek
            .as_ref()
            .is_some_and(|seek| seek.manner == Manner::Any);
        !(is_any && key.contains([' ', '/']))
    }

    /// What was found since the last time.
    pub(in crate::workload) fn take_found(&mut self) -> Vec<Found> {
        let found = self
            .seek
            .as_mut()
            .map(|seek| std::mem::take(&mut seek.found));
        found.unwrap_or_default()
    }

    /// A header field that no workload may hold.
    pub(in crate::workload) fn credential(&mut self, name: &str, value: &str) {
        self.note_name(name);
        if !is_placeholder(value) && !self.is_pseudonym(value) {
            self.count(Kind::Field, value);
        }
    }

    /// A line of a text of which nobody knows what it is.
    pub(in crate::workload) fn line(&mut self, line: &str) {
        self.note_name("");
        self.free_text(line);
    }

    /// A line that begins a private key.
    pub(in crate::workload) fn private_key(&mut self, line: &str) {
        self.note_name("");
        self.count(Kind::PrivateKey, line);
    }

    /// What follows stands under this name.
    pub(super) fn note_name(&mut self, name: &str) {
        if let Some(seek) = &mut self.seek {
            name.clone_into(&mut seek.name);
        }
    }

    pub(super) fn place(&self) -> Place {
        Place {
            counts: self.counts,
            recognised: self.recognised,
            found: self.seek.as_ref().map_or(0, |seek| seek.found.len()),
        }
    }

    /// How many secrets were found since then, pseudonyms among them.
    pub(super) fn since(&self, place: &Place) -> u64 {
        let sum = |counts: &[u64]| counts.iter().sum::<u64>();
        sum(&self.counts) + self.recognised - sum(&place.counts) - place.recognised
    }

    /// As if nothing had been found since then, or all of what was.
    pub(super) fn back_to(&mut self, place: &Place) {
        self.counts = place.counts;
        self.recognised = place.recognised;
        if let Some(seek) = &mut self.seek {
            seek.found.truncate(place.found);
        }
    }
}

/// Whether the value is one that people write in a workload, to be filled in at replay: `{{uuid}}`,
/// `{{pick:users.csv}}`. In a recording it is a value like any other.
fn is_placeholder(value: &str) -> bool {
    let inner = value
        .strip_prefix("{{")
        .and_then(|it| it.strip_suffix("}}"));
    inner
        .is_some_and(|inner| !inner.is_empty() && inner.len() <= 100 && !inner.contains(['{', '}']))
}

/// Addresses of domains that belong to nobody (RFC 2606).
fn is_reserved(address: &str) -> bool {
    let domain = address.rsplit('@').next().unwrap_or_default();
    let domain = domain.to_ascii_lowercase();
    let top = domain.rsplit('.').next().unwrap_or_default();
    ["test", "example", "invalid", "localhost"].contains(&top)
        || ["example.com", "example.org", "example.net"]
            .iter()
            .any(|own| domain == *own || domain.ends_with(&format!(".{own}")))
}

/// Whether a value under a telling name looks like a secret and not like a word about one.
fn is_plausible(name: &str, value: &str) -> bool {
    let lower = value.to_ascii_lowercase();
    let stands_in = STAND_INS.iter().any(|word| lower.contains(word))
        || value.starts_with(['$', '%', '<', '{'])
        || value.contains(char::is_whitespace);
    let has = |class: fn(&u8) -> bool| value.bytes().any(|b| class(&b));
    let mixed = has(u8::is_ascii_digit) && has(u8::is_ascii_alphabetic);
    // People choose passwords, machines draw the others.
    let name = name.to_ascii_lowercase();
    let is_chosen = ["pass", "pwd", "secret"]
        .iter()
        .any(|part| name.contains(part));
    let bare = value.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    !stands_in
        && !is_program(value)
        && mixed
        && (is_chosen || random::is_code(bare) || random::is_random(bare, Doubt::For))
}

/// Whether a value is of a programming language: a path, a call or a type.
fn is_program(value: &str) -> bool {
    let opens = value.find(['(', '<']);
    let name = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let is_call = opens.is_some_and(|at| at > 0 && value[..at].bytes().all(name));
    value.contains("::") || (is_call && value.ends_with([')', '>']))
}
