//! Answers that were larger than proofload reads, counted for a warning that names the limit.

use crate::{
    compare::Warning,
    run::{BODY_BYTES_MAX, Class, HEAD_BYTES_MAX, HEAD_FIELDS_MAX, Slot},
};

/// How many there were. Reading ends at the limit, so that more than the limit is all that is known
/// of their size.
#[derive(Debug, Default)]
pub(super) struct Oversize {
    heads: u64,
    bodies: u64,
}

impl Oversize {
    pub(super) fn add(&mut self, slot: &Slot) {
        for stats in slot.endpoints.values() {
            let of = |class| stats.classes.get(&class).copied().unwrap_or(0);
            self.heads += of(Class::HeadersTooLarge);
            self.bodies += of(Class::BodyTooLarge);
        }
    }

    pub(super) fn warnings(&self) -> Vec<Warning> {
        let heads = format!(
            "more than {} KiB or {HEAD_FIELDS_MAX} fields in their heads",
            HEAD_BYTES_MAX / 1024
        );
        let bodies = format!("bodies of more than {} MiB", BODY_BYTES_MAX >> 20);
        let all = [
            (self.heads, Class::HeadersTooLarge, heads),
            (self.bodies, Class::BodyTooLarge, bodies),
        ];
        let warning = |(n, class, what): (u64, Class, String)| Warning {
            code: class.name().to_owned(),
            text: format!(
                "{n} answers had {what}, were not read any further and count as failures"
            ),
        };
        let seen = all.into_iter().filter(|(n, ..)| *n > 0);
        seen.map(warning).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_named_where_it_was_met_and_nowhere_else() {
        let said = |heads, bodies| -> Vec<String> {
            let all = Oversize { heads, bodies }.warnings();
            all.into_iter()
                .map(|it| format!("{}: {}", it.code, it.text))
                .collect()
        };
        assert_eq!(said(0, 0), Vec::<String>::new());
        let heads = said(30, 0);
        assert!(
            heads[0].starts_with("headers_too_large: 30 answers"),
            "{heads:?}"
        );
        assert!(heads[0].contains("64 KiB or 256 fields"), "{heads:?}");
        assert!(said(0, 1)[0].contains("16 MiB"));
    }
}
