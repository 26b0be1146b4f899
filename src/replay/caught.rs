//! What is kept of an answer for later requests of its client: cookies, or all of its fields and
//! the beginning of its body. Everything else is counted and thrown away.

/// Longer bodies are kept up to here, in bytes.
const BODY_MAX: usize = 1 << 20;

/// How much of an answer is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keeps {
    /// Nothing.
    Nothing,
    /// Its cookies, if it has any.
    Cookies,
    /// All fields, and the body.
    Everything,
}

impl Keeps {
    /// Whether anything of an answer is kept.
    pub(super) fn wants(self, has_cookies: bool) -> bool {
        match self {
            Self::Nothing => false,
            Self::Cookies => has_cookies,
            Self::Everything => true,
        }
    }
}

/// What was kept.
#[derive(Debug)]
pub(super) struct Caught {
    keeps: Keeps,
    /// Header fields.
    pub(super) fields: Vec<(String, Vec<u8>)>,
    /// The body, or its beginning.
    pub(super) body: Vec<u8>,
}

impl Caught {
    /// Keeps what is wanted of these fields.
    pub(super) fn new<'a>(keeps: Keeps, fields: impl Iterator<Item = (&'a str, &'a [u8])>) -> Self {
        let wanted =
            |name: &str| keeps == Keeps::Everything || name.eq_ignore_ascii_case("set-cookie");
        let fields = fields.filter(|(name, _)| wanted(name));
        Self {
            keeps,
            fields: fields
                .map(|(name, value)| (name.to_owned(), value.to_vec()))
                .collect(),
            body: Vec::new(),
        }
    }

    /// Takes more of the body.
    pub(super) fn body(&mut self, bytes: &[u8]) {
        if self.keeps == Keeps::Everything {
            let left = BODY_MAX - self.body.len();
            self.body.extend_from_slice(&bytes[..bytes.len().min(left)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_asked_for_is_not_kept() {
        let fields = [("Set-Cookie", &b"a=1"[..]), ("X-Other", b"b")];
        for (keeps, has_cookies, kept) in [
            (Keeps::Nothing, true, None),
            (Keeps::Cookies, false, None),
            (Keeps::Cookies, true, Some((1, 0))),
            (Keeps::Everything, false, Some((2, 1 << 20))),
        ] {
            let caught = keeps.wants(has_cookies).then(|| {
                let mut caught = Caught::new(keeps, fields.into_iter());
                caught.body(&vec![b'x'; 700_000]);
                caught.body(&vec![b'x'; 700_000]);
                (caught.fields.len(), caught.body.len())
            });
            assert_eq!(caught, kept, "{keeps:?}");
        }
    }
}
