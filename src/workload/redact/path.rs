//! Redaction of paths: each segment by what it looks like and by what stands before it, then the
//! query.

use super::{
    Kind, Redactor,
    encoded::{encoded_like, percent_decode},
    names, random,
    rules::Fate,
};
use crate::workload::endpoint::is_hex;

/// Hexadecimal path segments of at least this length may be session or reset tokens.
const SECRET_HEX: usize = 32;
/// Behind a segment with one of these words one that is no word is a secret: `/reset/8f3k2j9d`,
/// `/magic-link/8f3k2j9d`.
const FOLLOWED: &[&str] = &[
    "invite",
    "invites",
    "invitation",
    "invitations",
    "reset",
    "recover",
    "recovery",
    "verify",
    "verification",
    "confirm",
    "confirmation",
    "activate",
    "activation",
    "unlock",
    "magic",
    "unsubscribe",
    "share",
    "shared",
    "shares",
    "signup",
    "onboarding",
    "join",
    "optin",
];
/// What browsers load beside a page; the names of such files often hold digests of their content.
const ASSETS: &[&str] = &[
    "js", "mjs", "css", "map", "png", "jpg", "jpeg", "gif", "svg", "webp", "avif", "ico", "woff",
    "woff2", "ttf", "otf", "eot", "wasm", "mp4", "webm", "mp3",
];

impl Redactor {
    /// Path and query with their secrets replaced.
    pub fn path(&mut self, path: &str) -> String {
        let (path, query) = match path.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (path, None),
        };
        let raw: Vec<&str> = path.split('/').collect();
        let plain = |segment: &&str| percent_decode(segment.split(';').next().unwrap_or_default());
        let decoded: Vec<String> = raw.iter().map(plain).collect();
        let mut fates = match decoded.split_first() {
            Some((first, rest)) if first.is_empty() => self.rules.of_path(rest),
            _ => Vec::new(),
        };
        fates.insert(0, None);
        fates.resize(raw.len(), None);
        let mut shown = Vec::with_capacity(raw.len());
        for (at, segment) in raw.iter().enumerate() {
            let before = at.checked_sub(1).map_or("", |before| &*decoded[before]);
            let fate = fates[at].or_else(|| self.behind(before, &decoded[at]));
            shown.push(self.segment(segment, &decoded[at], fate));
        }
        let mut shown = shown.join("/");
        if let Some(query) = query {
            shown.push('?');
            shown.push_str(&self.pairs(query, 0));
        }
        shown
    }

    /// What becomes of a segment behind another.
    fn behind(&self, before: &str, segment: &str) -> Option<Fate> {
        let flat = names::flat(before);
        let tells = FOLLOWED.contains(&&*flat)
            || names::words(before)
                .iter()
                .any(|word| FOLLOWED.contains(&&**word))
            || self.is_secret_name(before);
        let is_coded = random::is_code(segment) && file_name(segment).is_none();
        (tells && is_coded).then_some(Fate::Secret)
    }

    fn segment(&mut self, segment: &str, decoded: &str, fate: Option<Fate>) -> String {
        let mut parts = segment.split(';');
        let name = parts.next().unwrap_or_default();
        self.note_name("");
        let replaced = match (fate, file_name(decoded)) {
            (Some(Fate::Kept), _) => None,
            (Some(Fate::Secret), _) => self.secret(Kind::Field, decoded),
            (None, Some((stem, extension))) => self.file(decoded, stem, extension),
            (None, None) if is_hex(decoded, SECRET_HEX) => self.secret(Kind::Token, decoded),
            (None, None) => self.unnamed(decoded, 0),
        };
        let replaced = replaced.map(|value| encoded_like(name, &value, false));
        let mut shown = replaced.unwrap_or(name.to_owned());
        for parameter in parts {
            shown.push(';');
            shown.push_str(&self.pairs(parameter, 0).replace('+', "%20"));
        }
        shown
    }
}

impl Redactor {
    /// What becomes of the name of a file that stands alone.
    pub(super) fn file_name(&mut self, name: &str) -> Option<String> {
        self.note_name("filename");
        match file_name(name) {
            Some((stem, extension)) => self.file(name, stem, extension),
            None => self.unnamed(name, 0),
        }
    }

    /// What becomes of the name of a file.
    fn file(&mut self, name: &str, stem: &str, extension: &str) -> Option<String> {
        let before = self.place();
        if let Some(bytes) = self.free(name.as_bytes(), false) {
            return Some(String::from_utf8_lossy(&bytes).into_owned());
        }
        // What was recognised, such as an address, is no name of a file.
        if ASSETS.contains(&extension) || self.since(&before) > 0 {
            return None;
        }
        let stem = self.unnamed(stem, 0)?;
        Some(format!("{stem}.{extension}"))
    }
}

/// Whether a name is that of a file whose digest may stand in it.
pub(super) fn is_asset(name: &str) -> bool {
    file_name(name).is_some_and(|(_, extension)| ASSETS.contains(&extension))
}

/// Stem and extension of the name of a file.
fn file_name(segment: &str) -> Option<(&str, &str)> {
    let (stem, extension) = segment.rsplit_once('.')?;
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let is_file = !stem.is_empty()
        && (1..=5).contains(&extension.len())
        && extension.bytes().all(plain)
        && extension.starts_with(|c: char| c.is_ascii_lowercase());
    is_file.then_some((stem, extension))
}
