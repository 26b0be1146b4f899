//! Formats of secrets that issuers have made recognisable: prefixes of API keys, private keys,
//! log-ins inside URLs, numbers of payment cards.
//!
//! The prefixes are those that the issuers document for secret scanning.

use std::ops::Range;

use super::Kind;

/// A prefix, and how many letters, digits, `-` and `_` must follow it at the least.
const PREFIXES: &[(&str, usize)] = &[
    ("AKIA", 16),           // AWS
    ("ASIA", 16),           // AWS, for a session
    ("AIza", 30),           // Google
    ("ya29.", 20),          // Google, OAuth
    ("GOCSPX-", 20),        // Google, OAuth client
    ("ghp_", 20),           // GitHub
    ("gho_", 20),           // GitHub, OAuth
    ("ghu_", 20),           // GitHub, user to server
    ("ghs_", 20),           // GitHub, server to server
    ("ghr_", 20),           // GitHub, refresh
    ("github_pat_", 20),    // GitHub, fine-grained
    ("glpat-", 16),         // GitLab
    ("gldt-", 16),          // GitLab, deploy
    ("glrt-", 16),          // GitLab, runner
    ("xoxb-", 16),          // Slack, bot
    ("xoxp-", 16),          // Slack, user
    ("xoxa-", 16),          // Slack, app
    ("xoxs-", 16),          // Slack, session
    ("xapp-", 16),          // Slack, app level
    ("sk_live_", 16),       // Stripe
    ("sk_test_", 16),       // Stripe
    ("rk_live_", 16),       // Stripe, restricted
    ("rk_test_", 16),       // Stripe, restricted
    ("whsec_", 16),         // Stripe and others, webhooks
    ("sk-ant-", 20),        // Anthropic
    ("sk-proj-", 20),       // OpenAI
    ("hf_", 30),            // Hugging Face
    ("npm_", 30),           // npm
    ("pypi-AgE", 30),       // PyPI
    ("dckr_pat_", 20),      // Docker
    ("SG.", 40),            // SendGrid
    ("shpat_", 30),         // Shopify
    ("shpss_", 30),         // Shopify
    ("dop_v1_", 40),        // DigitalOcean
    ("lin_api_", 30),       // Linear
    ("glsa_", 30),          // Grafana
    ("hvs.", 20),           // Vault
    ("EAACEdEose0cBA", 10), // Facebook
    ("sq0csp-", 30),        // Square
];

/// What stands behind `-----BEGIN ` and another word or none.
const PRIVATE: &[u8] = b"PRIVATE KEY-----";

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_".contains(&byte)
}

/// Keys that tell their issuer.
pub(super) fn issued(bytes: &[u8]) -> Vec<(Kind, Range<usize>)> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let starts = is_word(bytes[at]) && (at == 0 || !bytes[at - 1].is_ascii_alphanumeric());
        if !starts {
            at += 1;
            continue;
        }
        let rest = &bytes[at..];
        let issuer = PREFIXES
            .iter()
            .find(|(prefix, _)| rest.starts_with(prefix.as_bytes()));
        if let Some((prefix, least)) = issuer {
            let more = |b: &&u8| is_word(**b) || **b == b'.';
            let length = rest[prefix.len()..].iter().take_while(more).count();
            let own = &rest[prefix.len()..prefix.len() + length];
            if length >= *least && own.iter().any(u8::is_ascii_digit) {
                found.push((Kind::Issued, at..at + prefix.len() + length));
                at += prefix.len() + length;
                continue;
            }
        }
        at += 1;
    }
    found
}

/// What stands between the lines that begin and end a private key, in PEM.
pub(super) fn private_keys(bytes: &[u8]) -> Vec<(Kind, Range<usize>)> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(begin) = find(&bytes[at..], b"-----BEGIN ") {
        let begin = at + begin + b"-----BEGIN ".len();
        let head = &bytes[begin..bytes.len().min(begin + 40)];
        let Some(private) = find(head, PRIVATE) else {
            at = begin;
            continue;
        };
        let start = begin + private + PRIVATE.len();
        let length = find(&bytes[start..], b"-----END").unwrap_or(bytes.len() - start);
        if length > 0 {
            found.push((Kind::PrivateKey, start..start + length));
        }
        at = start + length;
    }
    found
}

/// Whether a private key begins in this line.
pub(super) fn begins_private_key(line: &[u8]) -> bool {
    find(line, b"-----BEGIN ").is_some_and(|at| find(&line[at..], PRIVATE).is_some())
}

/// Names and passwords in front of the host of a URL.
pub(super) fn logins(bytes: &[u8]) -> Vec<(Kind, Range<usize>)> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(slashes) = find(&bytes[at..], b"://") {
        let start = at + slashes + 3;
        let end = |b: &u8| b.is_ascii_whitespace() || b"/?#\"'<>\\@".contains(b);
        let length = bytes[start..].iter().position(end);
        if let Some(length) = length
            && bytes[start + length] == b'@'
            && bytes[start..start + length].contains(&b':')
        {
            found.push((Kind::Login, start..start + length));
        }
        at = start;
    }
    found
}

/// What stands behind `Basic` and `Bearer`, where it is no word of a sentence.
pub(super) fn schemes(bytes: &[u8]) -> Vec<(Kind, Range<usize>)> {
    const LEAST: usize = 8;
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(space) = bytes[at..].iter().position(|b| *b == b' ') {
        let start = at + space + 1;
        let before = &bytes[..start - 1];
        let scheme = &before[before.len().saturating_sub(6)..];
        let is_scheme = scheme.eq_ignore_ascii_case(b"bearer")
            || scheme
                .get(1..)
                .is_some_and(|five| five.eq_ignore_ascii_case(b"basic"))
            || scheme.eq_ignore_ascii_case(b"basic");
        at = start;
        if is_scheme {
            let word = |b: &&u8| is_word(**b) || b"+/=.~".contains(b);
            let length = bytes[start..].iter().take_while(word).count();
            let own = &bytes[start..start + length];
            if length >= LEAST
                && own
                    .iter()
                    .any(|b| !b.is_ascii_lowercase() && !b"-.".contains(b))
            {
                found.push((Kind::Login, start..start + length));
            }
            at += length;
        }
    }
    found
}

/// Numbers of payment cards: the prefixes of the issuers, 15 or 16 digits, in one or in groups
/// of four, with the check digit of ISO/IEC 7812.
pub(super) fn cards(bytes: &[u8]) -> Vec<(Kind, Range<usize>)> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let bounded = at == 0 || !(is_word(bytes[at - 1]) || b".+/=%".contains(&bytes[at - 1]));
        if !bytes[at].is_ascii_digit() || !bounded {
            at += 1;
            continue;
        }
        let length = digits(&bytes[at..]);
        let grouped = grouped(&bytes[at..]).unwrap_or(length);
        for length in [length, grouped] {
            let is_whole = bytes.get(at + length).is_none_or(|b| !is_word(*b));
            if is_whole && is_card(&bytes[at..at + length]) {
                found.push((Kind::Card, at..at + length));
                break;
            }
        }
        at += length;
    }
    found
}

fn digits(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|b| b.is_ascii_digit()).count()
}

/// The length of digits in groups as they stand on cards.
fn grouped(bytes: &[u8]) -> Option<usize> {
    const GROUPS: [&[usize]; 2] = [&[4, 4, 4, 4], &[4, 6, 5]];
    let sign = bytes.get(4).filter(|b| b" -".contains(b))?;
    GROUPS.iter().find_map(|groups| {
        let mut at = 0;
        for (place, group) in groups.iter().enumerate() {
            if place > 0 {
                (bytes.get(at) == Some(sign)).then_some(())?;
                at += 1;
            }
            (digits(bytes.get(at..)?) == *group).then_some(())?;
            at += group;
        }
        Some(at)
    })
}

pub(super) fn is_card(text: &[u8]) -> bool {
    let digits: Vec<u32> = text
        .iter()
        .filter(|b| b.is_ascii_digit())
        .map(|b| u32::from(b - b'0'))
        .collect();
    let separators = text.len() - digits.len();
    if !matches!(digits.len(), 15 | 16) || !matches!(separators, 0 | 2 | 3) {
        return false;
    }
    let four = digits[..4].iter().fold(0, |sum, digit| sum * 10 + digit);
    let known = match digits.len() {
        15 => matches!(four / 100, 34 | 37),
        _ => matches!(four, 4000..=4999 | 5100..=5599 | 2221..=2720 | 6011 | 6500..=6599),
    };
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| match (place % 2, digit * 2) {
            (0, _) => *digit,
            (_, twice) => twice / 10 + twice % 10,
        })
        .sum();
    known && sum.is_multiple_of(10) && digits.iter().any(|digit| *digit != digits[0])
}

pub(super) fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(found: Vec<(Kind, Range<usize>)>, text: &str) -> Vec<String> {
        found
            .into_iter()
            .map(|(_, range)| text[range].to_owned())
            .collect()
    }

    #[test]
    fn keys_tell_their_issuer() {
        // Written in two pieces, so that nobody's scanner takes this file for a leak.
        for (prefix, rest) in [
            ("AKIA", "IOSFODNN7EXAMPLE"),
            ("ghp_", "16C7e42F292c6912E7710c838347Ae178B4a"),
            ("sk_live_", "4eC39HqLyjWDarjtT1zdp7dc"),
            ("glpat-", "xxKTdYbNJ1s9wQp4VzR8"),
        ] {
            let text = format!("a {prefix}{rest}, b");
            assert_eq!(
                texts(issued(text.as_bytes()), &text),
                [format!("{prefix}{rest}")]
            );
        }
        for text in [
            "AKIA",
            "xAKIAIOSFODNN7EXAMPLE",
            "key-to-the-whole-city-of-the-dead-and-gone",
        ] {
            assert!(issued(text.as_bytes()).is_empty(), "{text}");
        }
    }

    #[test]
    fn private_keys_logins_and_cards_are_found() {
        let begin = "-----BEGIN RSA PRIVATE";
        let text = format!("x\n{begin} KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\n");
        assert_eq!(texts(private_keys(text.as_bytes()), &text), ["\nMIIE\n"]);
        let cut = format!("{begin} KEY-----MIIE");
        assert_eq!(texts(private_keys(cut.as_bytes()), &cut), ["MIIE"]);
        assert!(private_keys(b"-----BEGIN PUBLIC KEY-----x").is_empty());
        let text = "postgres://app:hunter2@db/x http://a@b/ http://h:80/@";
        assert_eq!(texts(logins(text.as_bytes()), text), ["app:hunter2"]);
        let text = "Authorization: Basic dXNlcjpwYXNz, bearer Ab3-xyz_9, basic authentication";
        assert_eq!(
            texts(schemes(text.as_bytes()), text),
            ["dXNlcjpwYXNz", "Ab3-xyz_9"]
        );
        let text = "4111 1111 1111 1111, 4111111111111111; 378282246310005 4111111111111112";
        assert_eq!(
            texts(cards(text.as_bytes()), text),
            ["4111 1111 1111 1111", "4111111111111111", "378282246310005"]
        );
        for text in [
            "4111-11111111-1111x",
            "x4111111111111111",
            "41111111111111110",
            "4444444444444444",
        ] {
            assert!(cards(text.as_bytes()).is_empty(), "{text}");
        }
    }
}
