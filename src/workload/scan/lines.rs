//! What a line of a file may be, when the file is not all of one kind.

/// Whether nothing but JSON stands in the line: a document or a part of one, which may go on in the
/// lines around it. Texts end in the line that they begin in.
pub(super) fn is_json(line: &str) -> bool {
    const WORDS: [&[u8]; 3] = [b"true", b"false", b"null"];
    let bytes = line.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        at = match bytes[at] {
            b'"' => match text_end(bytes, at + 1) {
                Some(end) => end,
                None => return false,
            },
            b'{' | b'}' | b'[' | b']' | b',' | b':' => at + 1,
            byte if byte.is_ascii_whitespace() => at + 1,
            _ => {
                let more = |b: &&u8| b.is_ascii_alphanumeric() || b"+-.".contains(b);
                let length = bytes[at..].iter().take_while(more).count();
                let word = &bytes[at..at + length];
                if !WORDS.contains(&word) && !is_number(word) {
                    return false;
                }
                at + length
            }
        };
    }
    true
}

/// Whether the line may stand between those that begin and end a private key in PEM, in a text of a
/// program perhaps.
pub(super) fn is_of_key(line: &str) -> bool {
    const FIELDS: [&str; 4] = ["Proc-Type:", "DEK-Info:", "Comment:", "Version:"];
    let line = line.trim_matches(|c: char| c.is_whitespace() || "\"',;\\=+".contains(c));
    let is_base64 = |b: u8| b.is_ascii_alphanumeric() || b"+/\\".contains(&b);
    line.bytes().all(is_base64) || FIELDS.iter().any(|field| line.starts_with(field))
}

/// One past the closing quote.
fn text_end(bytes: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

fn is_number(word: &[u8]) -> bool {
    let starts = word
        .first()
        .is_some_and(|b| b.is_ascii_digit() || *b == b'-');
    starts
        && word
            .iter()
            .all(|b| b.is_ascii_digit() || b"+-.eE".contains(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_json_are_told_from_other_text() {
        for line in [
            "",
            "  \"name\": \"it's \\\"here\\\"\",",
            "{\"a\":[1,-2.5e+3,true,null]}",
            "}]",
            "[",
        ] {
            assert!(is_json(line), "{line}");
        }
        for line in [
            "[error] no",
            "[db]",
            "{\"a\":1} and more",
            "{\"a\":\"cut",
            "{\"a\":\"cut\\",
            "// said",
            "a=1",
            "2026-01-02T03:04:05Z",
            "é",
        ] {
            assert!(!is_json(line), "{line}");
        }
    }
}
