//! A text around one value, such as `Bearer {}`: how a value is found, and how it is written.

/// What stands before the value and behind it; both may be empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Pattern {
    before: String,
    behind: String,
}

/// Between a place and its pattern.
const SEPARATOR: &str = " ~ ";

/// Divides `PLACE ~ PATTERN`; without a pattern the value is all there is.
///
/// # Errors
/// When the pattern does not hold `{}` exactly once.
pub(super) fn divide(text: &str) -> Result<(&str, Pattern), &'static str> {
    let Some((place, pattern)) = text.split_once(SEPARATOR) else {
        return Ok((text.trim(), Pattern::default()));
    };
    let (before, behind) = pattern
        .split_once("{}")
        .ok_or("needs `{}` in its pattern, where the value stands")?;
    if behind.contains("{}") {
        return Err("has more than one `{}` in its pattern");
    }
    let pattern = Pattern {
        before: before.to_owned(),
        behind: behind.to_owned(),
    };
    Ok((place.trim(), pattern))
}

impl Pattern {
    /// Whether nothing stands around the value.
    pub(super) fn is_empty(&self) -> bool {
        self.before.is_empty() && self.behind.is_empty()
    }

    /// The bytes of the value in a text that holds the pattern; the first that fits.
    pub(super) fn span(&self, text: &str) -> Option<std::ops::Range<usize>> {
        let start = text.find(&self.before)? + self.before.len();
        let length = match self.behind.as_str() {
            "" => text.len() - start,
            behind => text[start..].find(behind)?,
        };
        Some(start..start + length)
    }

    /// The value in a text that holds the pattern.
    pub(super) fn find<'a>(&self, text: &'a str) -> Option<&'a str> {
        self.span(text).map(|span| &text[span])
    }

    /// A value with what stands around it.
    pub(super) fn write(&self, value: &str) -> String {
        [&self.before, value, &self.behind].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_finds_what_it_writes() {
        for (text, place, around, value) in [
            ("header:a", "header:a", "xy", "xy"),
            ("header:a ~ Bearer {}", "header:a", "Bearer xy", "xy"),
            ("body ~ id='{}'", "body", "a id='xy' id='z'", "xy"),
            ("body ~ {};", "body", "xy; z", "xy"),
        ] {
            let (found, pattern) = divide(text).unwrap();
            assert_eq!(found, place);
            assert_eq!(pattern.find(around), Some(value), "{text}");
            assert_eq!(pattern.find(&pattern.write("é")), Some("é"));
        }
        assert!(divide("body ~ x").is_err() && divide("body ~ {}{}").is_err());
        let (_, pattern) = divide("body ~ a{}b").unwrap();
        assert_eq!((pattern.find("xb"), pattern.find("ax")), (None, None));
        assert!(!pattern.is_empty() && Pattern::default().is_empty());
    }
}
