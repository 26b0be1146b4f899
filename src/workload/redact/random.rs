//! Which words look drawn at random.
//!
//! The entropy of twenty characters says little: a title in a path has nearly as much as a
//! token. What tells them apart is what stands beside what: in words and identifiers of all
//! languages that use these letters few pairs are common, in a token every pair is as good as
//! another. So the odd pairs of neighbours are counted.

use crate::workload::endpoint::{is_token, is_uuid};

/// Shorter words say too little.
pub(super) const SHORTEST: usize = 20;
/// Beside letters and digits, what base 64 and the tokens of common makers consist of.
pub(super) const WORD: &[u8] = b"-_+/=.~";
/// A code has no fewer characters.
const CODE_LEAST: usize = 8;

/// How sure one has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doubt {
    /// In doubt it is random: for redaction. Of random words of 24 letters and digits, one in
    /// 3,000 is taken for a name.
    Against,
    /// In doubt it is a name: for a search in files that were written by people.
    For,
}

/// For each letter, those that seldom stand behind it. In the prose and the identifiers of 530
/// packages of open source the 330 other pairs make 96.5 % of all.
const RARE: [u32; 26] = [
    set("hjoqz"),
    set("bdfghjkmnpqtvwxz"),
    set("gjnqvwxz"),
    set("jkmqvwxz"),
    set("jz"),
    set("bghjkmpqvwxyz"),
    set("bcdfjkmpqtvwxyz"),
    set("bcdfghjklnpqvwxyz"),
    set("hijquwy"),
    set("abcdfghijklmnpqrstuvwxyz"),
    set("bcdfghjklmnopqrtuvwxyz"),
    set("bhjkmnqrvwxz"),
    set("cfghjknqrvwxyz"),
    set("bhjqwxz"),
    set("ehjqyz"),
    set("bcdfgjkmnqvwxz"),
    set("abcdefghijklmnopqrstvwxyz"),
    set("hjqxz"),
    set("bfgjqvwxz"),
    set("gjknqvxz"),
    set("hjkoquvwxyz"),
    set("bcdfghjklmnpqrstuvwxyz"),
    set("bcdfgjklmpqtuvwxyz"),
    set("bdfghjklmnoqrsuvwxyz"),
    set("dfghjkqruvwxyz"),
    set("bcdfghijklmnopqrstuvwxyz"),
];

const fn set(letters: &str) -> u32 {
    let bytes = letters.as_bytes();
    let (mut set, mut at) = (0, 0);
    while at < bytes.len() {
        set |= 1 << (bytes[at] - b'a');
        at += 1;
    }
    set
}

/// Whether a word of base 64, hexadecimal digits or the like looks drawn at random. Identifiers
/// that are made to be shown, UUID and ULID, do not count.
pub(super) fn is_random(word: &str, doubt: Doubt) -> bool {
    let in_words = |b: u8| b.is_ascii_alphanumeric() || WORD.contains(&b);
    if word.len() < SHORTEST || is_identifier(word) || !word.bytes().all(in_words) {
        return false;
    }
    let shortened = without_uuids(word);
    let word = shortened.as_deref().unwrap_or(word);
    if word.len() < SHORTEST {
        return false;
    }
    let (pairs, odd) = pairs(word.as_bytes());
    let (least, percent) = match doubt {
        Doubt::Against => (4, 22),
        Doubt::For => (5, 28),
    };
    is_token(word) || (odd >= least && 100 * odd >= percent * pairs)
}

/// Whether a word that stands where a secret may stand is more likely a code than a name: letters
/// and digits that take turns.
pub(super) fn is_code(word: &str) -> bool {
    let in_words = |b: u8| b.is_ascii_alphanumeric() || b"-_".contains(&b);
    let has = |class: fn(&u8) -> bool| word.bytes().any(|b| class(&b));
    if word.len() < CODE_LEAST || is_identifier(word) || !word.bytes().all(in_words) {
        return false;
    }
    let (pairs, odd) = pairs(word.as_bytes());
    let mixed = has(u8::is_ascii_digit) && has(u8::is_ascii_alphabetic);
    mixed && odd >= 3 && 100 * odd >= 35 * pairs
}

/// Whether a word is plain: lower-case letters none of which stands oddly beside another.
pub(super) fn is_plain(word: &str) -> bool {
    word.len() >= 4 && word.bytes().all(|b| b.is_ascii_lowercase()) && pairs(word.as_bytes()).1 == 0
}

/// A UUID, or a ULID of this century.
pub(super) fn is_identifier(word: &str) -> bool {
    let crockford = |b: u8| b.is_ascii_alphanumeric() && !b"ILOUilou".contains(&b);
    is_uuid(word) || (word.len() == 26 && word.starts_with("01") && word.bytes().all(crockford))
}

/// The word without the UUIDs in it; `None` when there are none.
fn without_uuids(word: &str) -> Option<String> {
    const LENGTH: usize = 36;
    let mut rest = word;
    let mut kept = String::new();
    let mut at = 0;
    while at + LENGTH <= rest.len() {
        match rest.get(at..at + LENGTH) {
            Some(part) if is_uuid(part) => {
                kept.push_str(&rest[..at]);
                rest = &rest[at + LENGTH..];
                at = 0;
            }
            _ => at += 1,
        }
    }
    if rest.len() == word.len() {
        return None;
    }
    kept.push_str(rest);
    Some(kept)
}

/// Neighbours that are letters or digits, and how many of those pairs are odd: a letter beside
/// a digit, or two letters that seldom stand together.
fn pairs(bytes: &[u8]) -> (usize, usize) {
    let (mut pairs, mut odd) = (0, 0);
    for pair in bytes.windows(2) {
        let [first, second] = [pair[0].to_ascii_lowercase(), pair[1].to_ascii_lowercase()];
        let letters = [first, second].map(|byte| byte.is_ascii_lowercase());
        let digits = [first, second].map(|byte| byte.is_ascii_digit());
        match (letters, digits) {
            ([true, true], _) => {
                pairs += 1;
                let rare = RARE[usize::from(first - b'a')] >> (second - b'a') & 1;
                // What is repeated is a line of x, not chance.
                odd += usize::from(rare == 1 && first != second);
            }
            ([true, false], [_, true]) | ([false, true], [true, _]) => {
                pairs += 1;
                odd += 1;
            }
            _ => {}
        }
    }
    (pairs, odd)
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn names_titles_and_identifiers_are_not_random() {
        for word in [
            "how-to-load-test-your-service",
            "getUserAccountByNameAndDate",
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            "550e8400-e29b-41d4-a716-446655440000",
            "user-550e8400-e29b-41d4-a716-446655440000",
            "01ARZ3NDEKTSV4RRFFQ69G5FAV",
            "2026-11-25T02:13:00.000000001Z",
            "Rindfleischetikettierungsueberwachung",
            "iphone-15-pro-max-256gb-blue",
            "ec2-12-34-56-78.compute-1.amazonaws.com",
            "Donaudampfschifffahrtsgesellschaft",
            "000000000000000000000000000000000000",
            "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
            "short",
        ] {
            assert!(!is_random(word, Doubt::For), "{word}");
        }
    }

    #[test]
    fn codes_are_told_from_names() {
        for (word, code) in [
            ("8f3k2j9d", true),
            ("a8Xk2Qz9", true),
            ("3f2a9c81b0", true),
            ("callback2024", false),
            ("oauth2authorize", false),
            ("12345678", false),
            ("sha256sum", false),
            ("abcdefgh", false),
            ("8f3k2", false),
        ] {
            assert_eq!(is_code(word), code, "{word}");
        }
    }

    #[test]
    fn random_words_are_seen_and_in_doubt_more_of_them() {
        let mut random = ChaCha8Rng::seed_from_u64(3);
        let base_62: Vec<u8> = (b'0'..=b'9')
            .chain(b'A'..=b'Z')
            .chain(b'a'..=b'z')
            .collect();
        for (alphabet, length, misses_most) in [
            (base_62.as_slice(), 24, [12, 50]),
            (b"0123456789abcdef".as_slice(), 32, [1, 5]),
            (b"abcdefghijklmnopqrstuvwxyz234567".as_slice(), 32, [3, 12]),
        ] {
            let mut misses = [0, 0];
            for _ in 0..10_000 {
                let pick = |_| char::from(alphabet[random.random_range(0..alphabet.len())]);
                let word: String = (0..length).map(pick).collect();
                misses[0] += usize::from(!is_random(&word, Doubt::Against));
                misses[1] += usize::from(!is_random(&word, Doubt::For));
            }
            assert!(misses[0] <= misses[1], "{misses:?}");
            assert!(
                misses[0] <= misses_most[0] && misses[1] <= misses_most[1],
                "{misses:?}"
            );
        }
    }
}
