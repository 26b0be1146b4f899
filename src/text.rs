//! Foreign text made harmless for terminals, logs and pages.
//!
//! Paths, host names, endpoint names and error texts come from recordings and servers, which
//! strangers can write into. A control character could move the cursor, a bidirectional
//! override could turn a line around, `::error::` could command a CI runner. Formats add their
//! own quoting on top; this is the part that all share.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Text that is safe to print on one line of a terminal, a log or a page.
///
/// Control, bidirectional and invisible characters are shown as `\x1b` or `\u{202e}`. What a
/// CI runner would take for a command is broken: `::` at the start of a word, and `##`
/// anywhere (`##[error]`, `##vso[...]`).
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut before = ' ';
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            ':' if before.is_whitespace() && rest.peek() == Some(&':') => shown.push_str("\\x3a"),
            '#' if before == '#' => shown.push_str("\\x23"),
            c if is_hidden(c) => shown.push_str(&code(c)),
            c => shown.push(c),
        }
        before = c;
    }
    shown
}

fn code(c: char) -> String {
    match u32::from(c) {
        code @ ..0x80 => format!("\\x{code:02x}"),
        code => format!("\\u{{{code:x}}}"),
    }
}

/// Whether a character has no shape of its own or changes the shape of its neighbours.
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{3164}' | '\u{feff}'
            | '\u{ffa0}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{fff0}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}')
        || u32::from(c) & 0xfffe == 0xfffe
}

/// The printable text, cut to so many characters; a cut is shown by `…`.
pub fn printable_cut(text: &str, limit: usize) -> String {
    shorten(&printable(text), limit)
}

/// The text cut to so many characters, the cut shown as `…`.
pub fn shorten(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(limit.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// How many columns of a terminal the text takes: East Asian wide characters take two,
/// combining marks none.
pub fn columns(text: &str) -> usize {
    UnicodeWidthStr::width(text)
}

/// The text cut to so many columns of a terminal, the cut shown as `…`.
pub fn fit(text: &str, limit: usize) -> String {
    if columns(text) <= limit {
        return text.to_owned();
    }
    let mut cut = String::new();
    let mut used = 1;
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used > limit {
            break;
        }
        cut.push(c);
    }
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_act_is_shown_instead() {
        for (foreign, shown) in [
            ("GET /orders/{id}", "GET /orders/{id}"),
            ("GET /größe/日本", "GET /größe/日本"),
            ("a\x1b[31mb\x07", "a\\x1b[31mb\\x07"),
            ("a\u{9b}31m", "a\\u{9b}31m"),
            (
                "a\u{202e}b\u{200b}\u{feff}",
                "a\\u{202e}b\\u{200b}\\u{feff}",
            ),
            ("a\r\n::error::b\t", "a\\r\\n\\x3a:error::b\\t"),
            ("::error::x", "\\x3a:error::x"),
            (
                "GET /a ::set-env name=A::b",
                "GET /a \\x3a:set-env name=A::b",
            ),
            ("http://[::1]:8080", "http://[::1]:8080"),
            ("##[error]x ###vso[y]", "#\\x23[error]x #\\x23\\x23vso[y]"),
            (
                "\u{fffe}\u{1ffff}\u{e0041}",
                "\\u{fffe}\\u{1ffff}\\u{e0041}",
            ),
            ("\0\x7f", "\\x00\\x7f"),
        ] {
            assert_eq!(printable(foreign), shown, "{foreign:?}");
        }
    }

    #[test]
    fn cuts_are_visible_and_hold_the_limit() {
        assert_eq!(shorten("abc", 3), "abc");
        assert_eq!(shorten("abcd", 3), "ab…");
        assert_eq!(fit("日本語", 6), "日本語");
        assert_eq!(fit("日本語", 5), "日本…");
        assert_eq!(fit("日本語", 4), "日…");
        assert_eq!(columns("e\u{301}日"), 3);
    }
}
