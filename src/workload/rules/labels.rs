//! Templates of endpoints that the user gives, where the built-in ones cut too much or too little.
//!
//! A template is a method, which may be left out, and a path whose segments are literal or hold
//! one `{placeholder}`; `{rest}` at the end stands for all that follows. The first that fits gives
//! its name to the request; one without any placeholder keeps a path from being shortened.

use super::RuleError;
use crate::{
    text::printable_cut,
    workload::{Method, Request, endpoint::ALL_ENDPOINTS},
};

/// The last segment of a template that stands for any number of them.
const REST: &str = "{rest}";

/// Templates in the order in which they are tried.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Labels(Vec<Label>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Label {
    method: Option<Method>,
    segments: Vec<Segment>,
    has_rest: bool,
    template: String,
}

/// What stands before and behind the placeholder, or a literal.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Literal(String),
    Around(String, String),
}

impl Segment {
    fn parse(text: &str) -> Result<Self, &'static str> {
        let Some((before, rest)) = text.split_once('{') else {
            if text.contains('}') {
                return Err("closes a brace that it does not open");
            }
            return Ok(Self::Literal(text.to_owned()));
        };
        let (_, behind) = rest
            .split_once('}')
            .ok_or("opens a brace and does not close it")?;
        if behind.contains(['{', '}']) {
            return Err("has two placeholders in one segment");
        }
        Ok(Self::Around(before.to_owned(), behind.to_owned()))
    }

    fn fits(&self, segment: &str) -> bool {
        match self {
            Self::Literal(text) => segment == text,
            Self::Around(before, behind) => {
                let rest = segment.strip_prefix(before.as_str());
                rest.is_some_and(|rest| rest.len() > behind.len() && rest.ends_with(behind))
            }
        }
    }
}

impl Label {
    fn parse(text: &str) -> Result<Self, RuleError> {
        let refuse = |why| RuleError::Endpoint(printable_cut(text, 80), why);
        let trimmed = text.trim();
        let (method, path) = match trimmed.split_once(' ') {
            Some((method, path)) => (Some(method), path.trim_start()),
            None => (None, trimmed),
        };
        let method = method.map(|method| Method::try_from(method.to_ascii_uppercase()));
        let method = method
            .transpose()
            .map_err(|_| refuse("has no method that HTTP allows"))?;
        let inner = path
            .strip_prefix('/')
            .ok_or(refuse("does not begin with `/` behind its method"))?;
        if !path.bytes().all(|byte| byte.is_ascii_graphic()) || path.contains(['?', '#']) {
            return Err(refuse("holds a blank, a query or another character"));
        }
        let mut names: Vec<&str> = inner.split('/').collect();
        let has_rest = names.last() == Some(&REST);
        if has_rest {
            names.pop();
        }
        let segments: Result<_, _> = names.into_iter().map(Segment::parse).collect();
        Ok(Self {
            method,
            segments: segments.map_err(refuse)?,
            has_rest,
            template: path.to_owned(),
        })
    }

    fn fits(&self, request: &Request) -> bool {
        if self.method.as_ref().is_some_and(|it| *it != request.method) {
            return false;
        }
        let end = request.path.find(['?', '#']).unwrap_or(request.path.len());
        let path = &request.path[..end];
        let mut found = path.strip_prefix('/').unwrap_or(path).split('/');
        // Matrix parameters are values, like the query.
        let mut next = || Some(found.next()?.split(';').next().unwrap_or_default());
        let fits = self
            .segments
            .iter()
            .all(|segment| next().is_some_and(|it| segment.fits(it)));
        fits && next().is_some() == self.has_rest
    }
}

impl Labels {
    /// Reads templates such as `GET /shop/{name}/reviews`.
    ///
    /// # Errors
    /// When one cannot be read.
    pub(super) fn parse(texts: &[String]) -> Result<Self, RuleError> {
        let labels = texts.iter().map(|text| Label::parse(text));
        Ok(Self(labels.collect::<Result<_, _>>()?))
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The endpoint of a request, where a template fits it.
    pub(super) fn of(&self, request: &Request) -> Option<String> {
        let label = self.0.iter().find(|label| label.fits(request))?;
        let name = format!("{} {}", request.method.as_str(), label.template);
        debug_assert_ne!(name, ALL_ENDPOINTS);
        Some(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::parse_request;

    fn label(templates: &[&str], request: &str) -> Option<String> {
        let templates: Vec<String> = templates.iter().map(ToString::to_string).collect();
        let labels = Labels::parse(&templates).unwrap();
        labels.of(&parse_request(request).unwrap())
    }

    #[test]
    fn the_first_template_that_fits_names_the_endpoint() {
        let templates = [
            "GET /shop/sale",
            "GET /shop/{name}",
            "/shop/{name}/reviews",
            "/report-{year}.pdf",
            "/files/{rest}",
        ];
        for (request, expected) in [
            ("GET /shop/sale", Some("GET /shop/sale")),
            ("GET /shop/tea?x=1", Some("GET /shop/{name}")),
            ("GET /shop/tea;v=1", Some("GET /shop/{name}")),
            ("POST /shop/tea", None),
            ("PUT /shop/tea/reviews", Some("PUT /shop/{name}/reviews")),
            ("GET /shop/tea/reviews/1", None),
            ("GET /report-2026.pdf", Some("GET /report-{year}.pdf")),
            ("GET /report-.pdf", None),
            ("GET /files/a", Some("GET /files/{rest}")),
            ("GET /files/a/b/c", Some("GET /files/{rest}")),
            ("GET /files", None),
            ("GET /", None),
        ] {
            assert_eq!(label(&templates, request).as_deref(), expected, "{request}");
        }
        assert_eq!(label(&["/{rest}"], "GET /"), Some("GET /{rest}".into()));
        assert_eq!(label(&["get /v/1"], "GET /v/1"), Some("GET /v/1".into()));
    }

    #[test]
    fn a_template_that_cannot_fit_anything_is_refused() {
        for text in [
            "",
            "GET",
            "shop",
            "GET shop",
            "G@T /x",
            "/a b",
            "/a?b",
            "/a/{x",
            "/a/x}",
            "/a/{x}{y}",
            "/é",
        ] {
            let error = Labels::parse(&[text.to_owned()]).unwrap_err().to_string();
            assert!(error.contains("endpoint"), "{error}");
        }
    }
}
