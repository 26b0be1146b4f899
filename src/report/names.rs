//! Names that stay apart: where a format takes the first of two equal names, or refuses both.

use std::collections::BTreeSet;

/// The names given so far.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeSet<String>);

impl Names {
    /// The name itself, or with a number behind it when it was given before. What comes in the
    /// same order gets the same names.
    pub(super) fn unique(&mut self, name: &str) -> String {
        let mut unique = name.to_owned();
        while !self.0.insert(unique.clone()) {
            unique = format!("{name} ({})", self.0.len());
        }
        unique
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_names_get_numbers_that_nobody_has() {
        let mut names = Names::default();
        let given = ["a", "a", "a (2)", "a (1)", "b", "a"];
        let unique = given.map(|name| names.unique(name));
        let apart: BTreeSet<_> = unique.iter().collect();
        assert_eq!(apart.len(), given.len(), "{unique:?}");
        assert_eq!(unique[..2], ["a", "a (1)"]);
    }
}
