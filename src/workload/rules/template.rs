//! A request with places in it whose values only answers bring.

use std::cmp::Reverse;

use super::{
    Client, Lot, Part,
    picks::Picks,
    placeholder::{filled, has_any},
    put::Spot,
};
use crate::workload::{Request, headers};

/// The rule, by its index, whose value no answer has brought, or none that may stand there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lacking(pub usize);

/// The request and the places, each with its rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    request: Request,
    /// From the last byte to the first, so that none moves another.
    spots: Vec<(usize, Spot)>,
}

impl Template {
    /// `None` where nothing is carried.
    pub(super) fn new(request: &Request, mut spots: Vec<(usize, Spot)>) -> Option<Self> {
        if spots.is_empty() {
            return None;
        }
        spots.sort_by_key(|(_, spot)| (spot.part.clone(), Reverse(spot.bytes.start)));
        // Two rules for one place: the first that is written in the settings.
        spots.dedup_by(|(_, later), (_, earlier)| {
            let (a, b) = (&later.bytes, &earlier.bytes);
            later.part == earlier.part && (a.end > b.start || a.start == b.start)
        });
        Some(Self {
            request: request.clone(),
            spots,
        })
    }

    /// The rules whose values it needs, by index.
    pub fn needs(&self) -> impl Iterator<Item = usize> {
        self.spots.iter().map(|(rule, _)| *rule)
    }

    /// The request with the values that its client knows; cookies go to those of the client.
    ///
    /// # Errors
    /// The first rule without a value.
    pub fn fill(&self, client: &mut Client) -> Result<Request, Lacking> {
        let mut request = self.request.clone();
        for (rule, spot) in &self.spots {
            let value = client.value(*rule).ok_or(Lacking(*rule))?;
            let written = spot.written(value).ok_or(Lacking(*rule))?;
            match &spot.part {
                Part::Cookie(name) => client.put_cookie(name, &written),
                _ => replace(&mut request, spot, &written),
            }
        }
        Ok(request)
    }
}

/// Puts a written value into a request; a cookie has no place in one.
pub(super) fn replace(request: &mut Request, spot: &Spot, written: &str) {
    match &spot.part {
        Part::Path => request.path.replace_range(spot.bytes.clone(), written),
        Part::Header(at) => written.clone_into(&mut request.headers[*at].1),
        Part::Body => {
            let bytes = written.bytes();
            request.body.splice(spot.bytes.clone(), bytes);
        }
        Part::NewHeader(name) => {
            let field = (name.to_ascii_lowercase(), written.to_owned());
            request.headers.push(field);
        }
        Part::Cookie(_) => {}
    }
}

/// Fills in the placeholders wherever they stand, each as its part of the request demands.
pub(super) fn fill_placeholders(
    request: &mut Request,
    (lot, nth): (&mut Lot<'_>, &mut u64),
    picks: &Picks,
) {
    let encoded = |value: &str| -> String {
        let encoded: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
        encoded.replace('+', "%20")
    };
    if has_any(&request.path) {
        request.path = filled(&request.path, (lot, nth), picks, &encoded);
    }
    let in_field = |value: &str| {
        let sound = value.chars().filter(|c| !c.is_control());
        sound.collect::<String>()
    };
    let mut content_type = String::new();
    for (name, value) in &mut request.headers {
        if has_any(value) {
            *value = filled(value, (lot, nth), picks, &in_field);
            debug_assert!(headers::is_value(value));
        }
        if name.eq_ignore_ascii_case("content-type") {
            content_type = value.to_ascii_lowercase();
        }
    }
    let Ok(text) = std::str::from_utf8(&request.body) else {
        return;
    };
    if !has_any(text) {
        return;
    }
    let plain = |value: &str| value.to_owned();
    let in_json = |value: &str| {
        let quoted = serde_json::to_string(value).expect("text always serialises");
        // The quotes, if any, stand around the placeholder.
        quoted[1..quoted.len() - 1].to_owned()
    };
    let quote: &dyn Fn(&str) -> String = if content_type.contains("json") {
        &in_json
    } else if content_type.starts_with("application/x-www-form-urlencoded") {
        &encoded
    } else {
        &plain
    };
    request.body = filled(text, (lot, nth), picks, quote).into_bytes();
}
