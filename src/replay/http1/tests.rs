//! Raw answers with their outcome, whole, cut anywhere, and mutated.
//!
//! The table covers what RFC 9112 allows, what it forbids, and what has crashed other clients.

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;

const GET: Asked = Asked::plain(false);
const HEAD: Asked = Asked::plain(true);

/// What came of a whole conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// Complete: status, bytes of body, whether the connection may be used again, bytes of
    /// input that were not part of it.
    Ok(u16, u64, bool, usize),
    /// The peer closed before the first byte.
    Nothing,
    /// A failure.
    Bad(Class),
}
use Outcome::{Bad, Nothing, Ok as Good};

/// Feeds the pieces one after the other, then closes.
fn converse<'a>(asked: Asked, pieces: impl Iterator<Item = &'a [u8]>) -> Outcome {
    let mut response = Response::new(asked);
    let mut done: Option<(Answer, usize)> = None;
    for piece in pieces {
        if let Some((_, left)) = &mut done {
            *left += piece.len();
            continue;
        }
        match response.feed(piece) {
            Ok(Progress::More) => {}
            Ok(Progress::Done(answer, used)) => {
                assert!(used <= piece.len(), "claims {used} of {}", piece.len());
                done = Some((answer, piece.len() - used));
            }
            Err(class) => return Bad(class),
        }
    }
    let ended = match done {
        Some(done) => Ok(done),
        None => response.finish().map(|answer| (answer, 0)),
    };
    match ended {
        Ok((answer, left)) => Good(answer.status, answer.body_bytes, answer.reusable, left),
        Err(None) => Nothing,
        Err(Some(class)) => Bad(class),
    }
}

fn whole(asked: Asked, bytes: &[u8]) -> Outcome {
    converse(asked, std::iter::once(bytes))
}

const MALFORMED: Outcome = Bad(Class::MalformedHttp);
const CUT: Outcome = Bad(Class::TruncatedBody);

const FRAMED: &[(&str, Outcome)] = &[
    // Lengths.
    (
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        Good(200, 2, true, 0),
    ),
    (
        "HTTP/1.1 200 OK\r\nCONTENT-LENGTH:2\r\n\r\nok",
        Good(200, 2, true, 0),
    ),
    (
        "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        Good(200, 0, true, 0),
    ),
    (
        "HTTP/1.1 200 OK\r\ncontent-length: 002\r\n\r\nok",
        Good(200, 2, true, 0),
    ),
    (
        "HTTP/1.1 200 OK\r\ncontent-length:  2 \r\n\r\nok",
        Good(200, 2, true, 0),
    ),
    (
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nok",
        Good(200, 2, true, 0),
    ),
    (
        "HTTP/1.1 200\r\ncontent-length: 2\r\n\r\nok",
        Good(200, 2, true, 0),
    ),
    (
        "HTTP/1.1 200 \r\ncontent-length: 2\r\n\r\nok",
        Good(200, 2, true, 0),
    ),
    (
        "HTTP/1.1 200 OK\ncontent-length: 2\n\nok",
        Good(200, 2, true, 0),
    ),
    (
        "\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        Good(200, 2, true, 0),
    ),
    (
        "HTTP/1.1 599 Odd\r\ncontent-length: 1\r\n\r\nx",
        Good(599, 1, true, 0),
    ),
    (
        "HTTP/1.1 302 Found\r\nlocation: http://x/\r\ncontent-length: 0\r\n\r\n",
        Good(302, 0, true, 0),
    ),
    // More than was asked for.
    (
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok!",
        Good(200, 2, true, 1),
    ),
    (
        "HTTP/1.1 204 No\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        Good(204, 0, true, 19),
    ),
    (
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nxy",
        Good(200, 0, true, 2),
    ),
    // No body whatever the fields say.
    ("HTTP/1.1 204 No\r\n\r\n", Good(204, 0, true, 0)),
    (
        "HTTP/1.1 204 No\r\ncontent-length: 5\r\n\r\n",
        Good(204, 0, true, 0),
    ),
    (
        "HTTP/1.1 304 Not\r\ncontent-length: 99\r\n\r\n",
        Good(304, 0, true, 0),
    ),
    (
        "HTTP/1.1 304 Not\r\ntransfer-encoding: chunked\r\n\r\n",
        Good(304, 0, true, 0),
    ),
    // Until the end of the connection, which cannot be used again.
    ("HTTP/1.1 200 OK\r\n\r\nanything", Good(200, 8, false, 0)),
    ("HTTP/1.1 200 OK\r\n\r\n", Good(200, 0, false, 0)),
    ("HTTP/1.0 200 OK\r\n\r\nabc", Good(200, 3, false, 0)),
    (
        "HTTP/1.0 200 OK\r\nconnection: keep-alive\r\n\r\nabc",
        Good(200, 3, false, 0),
    ),
    // Whether it may be used again.
    (
        "HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\nx",
        Good(200, 1, false, 0),
    ),
    (
        "HTTP/1.0 200 OK\r\nconnection: Keep-Alive\r\ncontent-length: 1\r\n\r\nx",
        Good(200, 1, true, 0),
    ),
    (
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 1\r\n\r\nx",
        Good(200, 1, false, 0),
    ),
    (
        "HTTP/1.1 200 OK\r\nconnection: x, CLOSE ,y\r\ncontent-length: 1\r\n\r\nx",
        Good(200, 1, false, 0),
    ),
    (
        "HTTP/1.1 200 OK\r\nconnection: keep-alive\r\ncontent-length: 1\r\n\r\nx",
        Good(200, 1, true, 0),
    ),
    (
        "HTTP/1.1 200 OK\r\nconnection: closed\r\ncontent-length: 1\r\n\r\nx",
        Good(200, 1, true, 0),
    ),
    // Interim answers are skipped.
    (
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx",
        Good(200, 1, true, 0),
    ),
    (
        "HTTP/1.1 103 Early\r\nlink: x\r\n\r\nHTTP/1.1 204 No\r\n\r\n",
        Good(204, 0, true, 0),
    ),
    (
        "HTTP/1.1 102 P\r\n\r\nHTTP/1.1 100 C\r\n\r\nHTTP/1.1 204 No\r\n\r\n",
        Good(204, 0, true, 0),
    ),
    ("HTTP/1.1 100 Continue\r\n\r\n", MALFORMED),
    ("HTTP/1.1 101 Switching\r\nupgrade: h2c\r\n\r\n", MALFORMED),
];

const CHUNKED: &[(&str, Outcome)] = &[
    ("0\r\n\r\n", Good(200, 0, true, 0)),
    ("2\r\nok\r\n0\r\n\r\n", Good(200, 2, true, 0)),
    ("1\r\na\r\n1\r\nb\r\n0\r\n\r\n", Good(200, 2, true, 0)),
    ("A\r\n0123456789\r\n0\r\n\r\n", Good(200, 10, true, 0)),
    ("a\r\n0123456789\r\n000\r\n\r\n", Good(200, 10, true, 0)),
    ("2;name=value\r\nok\r\n0;x\r\n\r\n", Good(200, 2, true, 0)),
    ("2 ; name=\"a b\"\r\nok\r\n0\r\n\r\n", Good(200, 2, true, 0)),
    ("0\r\nx-trailer: 1\r\ny: 2\r\n\r\n", Good(200, 0, true, 0)),
    (
        "2\r\nok\r\n0\r\ndigest: abc\r\n\r\nrest",
        Good(200, 2, true, 4),
    ),
    ("", CUT),
    ("5", CUT),
    ("5\r", CUT),
    ("5\r\nab", CUT),
    ("2\r\nok", CUT),
    ("2\r\nok\r\n", CUT),
    ("2\r\nok\r\n0\r\n", CUT),
    ("2\r\nok\r\n0\r\nx: y\r\n", CUT),
    ("\r\n", MALFORMED),
    ("x\r\n", MALFORMED),
    ("-1\r\n", MALFORMED),
    ("0x2\r\nok\r\n", MALFORMED),
    (" 2\r\nok\r\n", MALFORMED),
    ("2\nok\r\n0\r\n\r\n", MALFORMED),
    ("2;x\nok\r\n", MALFORMED),
    ("2\rXok", MALFORMED),
    ("2\r\nokXX", MALFORMED),
    ("2\r\nok\rX", MALFORMED),
    ("2\r\nok!\r\n0\r\n\r\n", MALFORMED),
    ("ffffffffffffffff\r\n", MALFORMED),
    ("10000000000000000\r\n", MALFORMED),
    ("000000000000000000000000002\r\nok", MALFORMED),
    ("0\r\n\n", MALFORMED),
    ("0\r\nx: y\n\r\n", MALFORMED),
    ("0\r\n\rX", MALFORMED),
    ("HTTP/1.1 200 OK\r\n", MALFORMED),
    // Fifteen digits are a number: its bytes never come.
    ("fffffffffffffff\r\nab", CUT),
];

const REFUSED: &[(&str, Outcome)] = &[
    ("", Nothing),
    ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab", CUT),
    ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", CUT),
    ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n", MALFORMED),
    ("HTTP/1.1 20", MALFORMED),
    ("H", MALFORMED),
    ("garbage\r\n\r\n", MALFORMED),
    ("SSH-2.0-OpenSSH_9.7\r\n", MALFORMED),
    ("HTTP/2 200 OK\r\n\r\n", MALFORMED),
    ("HTTP/1.2 200 OK\r\n\r\n", MALFORMED),
    ("HTTP/0.9 200 OK\r\n\r\n", MALFORMED),
    ("http/1.1 200 OK\r\n\r\n", MALFORMED),
    ("HTTP/1.1 OK\r\n\r\n", MALFORMED),
    ("HTTP/1.1 20 OK\r\n\r\n", MALFORMED),
    ("HTTP/1.1 2000 OK\r\n\r\n", MALFORMED),
    ("HTTP/1.1 -20 OK\r\n\r\n", MALFORMED),
    ("HTTP/1.1  200 OK\r\n\r\n", MALFORMED),
    ("HTTP/1.1 200 OK\r\nno colon\r\n\r\n", MALFORMED),
    ("HTTP/1.1 200 OK\r\n: nameless\r\n\r\n", MALFORMED),
    ("HTTP/1.1 200 OK\r\nbad name: x\r\n\r\n", MALFORMED),
    ("HTTP/1.1 200 OK\r\nx: a\x00b\r\n\r\n", MALFORMED),
    ("HTTP/1.1 200 OK\r\n folded: x\r\n\r\n", MALFORMED),
    // What could be read in two ways is refused: another reader would take the other one.
    (
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        MALFORMED,
    ),
    (
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 2\r\n\r\n0\r\n\r\n",
        MALFORMED,
    ),
    (
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok",
        MALFORMED,
    ),
    (
        "HTTP/1.1 200 OK\r\ncontent-length: 2, 2\r\n\r\nok",
        MALFORMED,
    ),
    ("HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n", MALFORMED),
    ("HTTP/1.1 200 OK\r\ncontent-length: +1\r\n\r\nx", MALFORMED),
    ("HTTP/1.1 200 OK\r\ncontent-length: 0x1\r\n\r\nx", MALFORMED),
    ("HTTP/1.1 200 OK\r\ncontent-length: 1e1\r\n\r\nx", MALFORMED),
    ("HTTP/1.1 200 OK\r\ncontent-length: \r\n\r\n", MALFORMED),
    (
        "HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\n",
        MALFORMED,
    ),
    (
        "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        MALFORMED,
    ),
    (
        "HTTP/1.1 200 OK\r\ntransfer-encoding: identity\r\n\r\n",
        MALFORMED,
    ),
    (
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n",
        MALFORMED,
    ),
    // Sizes.
    (
        "HTTP/1.1 200 OK\r\ncontent-length: 16777217\r\n\r\n",
        Bad(Class::BodyTooLarge),
    ),
    (
        "HTTP/1.1 200 OK\r\ncontent-length: 999999999999999999\r\n\r\n",
        Bad(Class::BodyTooLarge),
    ),
    ("HTTP/1.1 200 OK\r\ncontent-length: 16777216\r\n\r\n", CUT),
];

const CHUNKED_HEAD: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n";

/// Every row of the tables as a GET.
fn corpus() -> Vec<(Vec<u8>, Outcome)> {
    let plain = FRAMED.iter().chain(REFUSED);
    let plain = plain.map(|(text, outcome)| ((*text).to_owned(), *outcome));
    let chunked = CHUNKED.iter();
    let chunked = chunked.map(|(text, outcome)| (format!("{CHUNKED_HEAD}{text}"), *outcome));
    plain
        .chain(chunked)
        .map(|(text, outcome)| (text.into_bytes(), outcome))
        .collect()
}

#[test]
fn each_raw_answer_has_its_outcome() {
    let corpus = corpus();
    assert!(corpus.len() >= 60);
    for (bytes, expected) in corpus {
        let outcome = whole(GET, &bytes);
        assert_eq!(outcome, expected, "{}", bytes.escape_ascii());
    }
}

#[test]
fn an_answer_to_head_has_no_body_whatever_its_fields_say() {
    for fields in [
        "",
        "content-length: 5\r\n",
        "transfer-encoding: chunked\r\n",
    ] {
        let text = format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
        assert_eq!(
            whole(HEAD, text.as_bytes()),
            Good(200, 0, true, 0),
            "{fields}"
        );
    }
    let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 No\r\ncontent-length: 9\r\n\r\n";
    assert_eq!(whole(HEAD, interim.as_bytes()), Good(404, 0, true, 0));
}

#[test]
fn where_the_bytes_are_cut_into_pieces_changes_nothing() {
    for (bytes, expected) in corpus() {
        for at in 0..=bytes.len() {
            let (a, b) = bytes.split_at(at);
            let outcome = converse(GET, [a, b].into_iter());
            assert_eq!(outcome, expected, "{} at {at}", bytes.escape_ascii());
        }
        let outcome = converse(GET, bytes.chunks(1));
        assert_eq!(outcome, expected, "{} in bytes", bytes.escape_ascii());
    }
}

#[test]
fn what_is_too_large_is_refused_in_any_pieces() {
    let fields = |n: usize| "x: y\r\n".repeat(n);
    let head = |middle: &str| format!("HTTP/1.1 204 No\r\n{middle}\r\n").into_bytes();
    let interim = "HTTP/1.1 100 Continue\r\n\r\n".repeat(1 + INTERIM_MAX as usize);
    let chunks = format!("{:x}\r\n{}\r\n", 1 << 20, "x".repeat(1 << 20)).repeat(16);
    let chunked = |body: &str| format!("{CHUNKED_HEAD}{body}").into_bytes();
    let large = Bad(Class::HeadersTooLarge);
    for (bytes, expected) in [
        (head(&fields(HEAD_FIELDS_MAX)), Good(204, 0, true, 0)),
        (head(&fields(HEAD_FIELDS_MAX + 1)), large),
        (
            head(&format!("x: {}\r\n", "y".repeat(HEAD_BYTES_MAX / 2))),
            Good(204, 0, true, 0),
        ),
        (
            head(&format!("x: {}\r\n", "y".repeat(HEAD_BYTES_MAX))),
            large,
        ),
        (
            format!("HTTP/1.1 200 {}", "y".repeat(HEAD_BYTES_MAX)).into_bytes(),
            large,
        ),
        (
            chunked(&format!("1;{}", "e".repeat(CHUNK_EXTRA_MAX + 1))),
            large,
        ),
        (
            chunked(&format!("0\r\n{}", "t".repeat(CHUNK_EXTRA_MAX + 1))),
            large,
        ),
        (interim.into_bytes(), MALFORMED),
        (
            chunked(&format!("{chunks}0\r\n\r\n")),
            Good(200, BODY_BYTES_MAX, true, 0),
        ),
        (
            chunked(&format!("{chunks}1\r\nx")),
            Bad(Class::BodyTooLarge),
        ),
    ] {
        let shown = bytes[..60.min(bytes.len())].escape_ascii().to_string();
        assert_eq!(whole(GET, &bytes), expected, "{shown} whole");
        assert_eq!(
            converse(GET, bytes.chunks(1447)),
            expected,
            "{shown} in packets"
        );
    }
}

/// Changes a few bytes, cuts, repeats or splices.
fn mutate(bytes: &mut Vec<u8>, other: &[u8], random: &mut ChaCha8Rng) {
    const TOKENS: &[&[u8]] = &[
        b"\r\n",
        b"\n",
        b"\0",
        b"0",
        b"f",
        b"ffffffffffffffff",
        b":",
        b";",
        b"HTTP/1.1 ",
        b"content-length: ",
        b"transfer-encoding: chunked\r\n",
        b"connection: close\r\n",
        b"100 ",
    ];
    for _ in 0..random.random_range(1..4) {
        let at = random.random_range(0..=bytes.len());
        match random.random_range(0..6) {
            0 if at < bytes.len() => bytes[at] = random.random(),
            1 if at < bytes.len() => bytes[at] ^= 1 << random.random_range(0..8),
            2 => bytes.truncate(at),
            3 => drop(bytes.splice(
                at..at,
                TOKENS[random.random_range(0..TOKENS.len())].to_vec(),
            )),
            4 => {
                let end = random.random_range(at..=bytes.len());
                bytes.drain(at..end);
            }
            _ => {
                let from = random.random_range(0..=other.len());
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
        }
    }
}

#[test]
fn mutated_answers_never_bring_the_parser_down_and_pieces_never_matter() {
    let corpus = corpus();
    let mut random = ChaCha8Rng::seed_from_u64(0x5eed);
    let mut seen = std::collections::BTreeMap::<String, u32>::new();
    for _ in 0..60_000 {
        let pick = |random: &mut ChaCha8Rng| &corpus[random.random_range(0..corpus.len())].0;
        let mut bytes = pick(&mut random).clone();
        let other = pick(&mut random);
        mutate(&mut bytes, other, &mut random);
        let asked = if random.next_u32().is_multiple_of(16) {
            HEAD
        } else {
            GET
        };
        let outcome = whole(asked, &bytes);
        let (a, b) = bytes.split_at(random.random_range(0..=bytes.len()));
        let cut = converse(asked, [a, b].into_iter());
        assert_eq!(outcome, cut, "{} at {}", bytes.escape_ascii(), a.len());
        if let Good(_, body, _, left) = outcome {
            let used = bytes.len() - left;
            assert!(
                body <= used as u64,
                "more body than bytes: {}",
                bytes.escape_ascii()
            );
        }
        let kind = match outcome {
            Good(..) => "good".to_owned(),
            other => format!("{other:?}"),
        };
        *seen.entry(kind).or_default() += 1;
    }
    assert!(
        seen.values().filter(|n| **n > 500).count() >= 4,
        "too tame: {seen:?}"
    );
}
