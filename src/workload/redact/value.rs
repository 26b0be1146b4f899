//! Values whose name tells nothing, and the pairs of queries and forms: what may be inside a
//! value, and inside that.

use std::borrow::Cow;

use super::{
    DEEPEST, Kind, Redactor,
    encoded::{base64_text, encoded_like, percent_decode},
    random::is_identifier,
    rules::Fate,
};

impl Redactor {
    /// `name=value` pairs divided by `&`, as in queries and forms.
    pub(super) fn pairs(&mut self, text: &str, depth: u8) -> String {
        let pairs: Vec<Cow<str>> = text.split('&').map(|pair| self.pair(pair, depth)).collect();
        pairs.join("&")
    }

    fn pair<'a>(&mut self, pair: &'a str, depth: u8) -> Cow<'a, str> {
        let decode = |text: &str| percent_decode(&text.replace('+', " "));
        let Some((raw_name, raw_value)) = pair.split_once('=') else {
            let replaced = self.unnamed(&decode(pair), depth);
            return replaced.map_or(pair.into(), |value| encoded_like(pair, &value, true).into());
        };
        let (name, value) = (decode(raw_name), decode(raw_value));
        let shown_name = self.free_text(&name);
        let shown_name = shown_name.map(|name| encoded_like(raw_name, &name, true));
        self.note_name(&name);
        let shown_value = match self.fate(&name) {
            _ if value.is_empty() => None,
            Some(Fate::Kept) => None,
            Some(Fate::Secret) => self
                .secret(Kind::Field, &value)
                .or_else(|| self.unnamed(&value, depth)),
            None => self.unnamed(&value, depth),
        };
        if shown_name.is_none() && shown_value.is_none() {
            return pair.into();
        }
        let name = shown_name.unwrap_or(raw_name.to_owned());
        let value = shown_value.map_or(raw_value.to_owned(), |value| {
            encoded_like(raw_value, &value, true)
        });
        format!("{name}={value}").into()
    }

    /// A decoded value whose name tells nothing, with its secrets replaced; `None` when it
    /// holds none.
    pub(super) fn unnamed(&mut self, value: &str, depth: u8) -> Option<String> {
        if value.len() < 3 || is_identifier(value) {
            return None;
        }
        if depth >= DEEPEST {
            return self.secret(Kind::Encoded, value);
        }
        let before = self.place();
        let shown = self.plain(value, depth);
        let open = self.since(&before);
        let after = self.place();
        let hidden = self.hidden(value, depth);
        if hidden > open {
            self.back_to(&before);
            return self.secret(Kind::Encoded, value);
        }
        self.back_to(&after);
        if shown.is_some() && self.is_pseudonym(value) {
            self.back_to(&before);
            return None;
        }
        shown
    }

    /// The value read as JSON, as a form, or as a text.
    fn plain(&mut self, value: &str, depth: u8) -> Option<String> {
        let start = value.trim_start_matches('\u{feff}').trim_start();
        let shown = if start.starts_with(['{', '[']) {
            self.json(value, depth + 1)
        } else if let Some(at) = form_start(value) {
            let shown = self.pairs(&value[at..], depth + 1);
            let path = self.free_text(&value[..at]);
            path.unwrap_or(value[..at].to_owned()) + &shown
        } else {
            return self.free_text(value);
        };
        (shown != value).then_some(shown)
    }

    /// How many secrets show only when the value is percent-decoded once more or read as base 64.
    fn hidden(&mut self, value: &str, depth: u8) -> u64 {
        let before = self.place();
        let decoded = percent_decode(value);
        let mut hidden = 0;
        if decoded != value {
            self.unnamed(&decoded, depth + 1);
            hidden = self.since(&before);
            self.back_to(&before);
        }
        if hidden == 0
            && let Some(text) = base64_text(value)
        {
            self.unnamed(&text, depth + 1);
            hidden = self.since(&before);
        }
        hidden
    }
}

/// Where a form begins in the value, behind a path and `?` perhaps; `None` when it is none. A
/// document with `=` in it is none either.
fn form_start(value: &str) -> Option<usize> {
    let sign = value.find('=')?;
    let at = value[..sign].rfind('?').map_or(0, |at| at + 1);
    let name = |b: u8| b.is_ascii_alphanumeric() || b"_.-[]%$:@~+&".contains(&b);
    // At the end of base 64 it is filling.
    let is_form = (1..=100).contains(&(sign - at))
        && value[sign..].bytes().any(|b| b != b'=')
        && value[at..sign].bytes().all(name)
        && !value.contains(['<', '>', '\n']);
    is_form.then_some(at)
}
