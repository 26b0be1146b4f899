//! Foreign text made harmless for terminals and logs.
//!
//! Paths, host names and session names come from recordings, which strangers can write into.
//! A control character could move the cursor or rename the window, a bidirectional override
//! could turn a line around. What cannot be seen is written as its number; nothing is lost.

use std::fmt::Write;

/// The text with every invisible or reordering character written as `\u{..}`.
///
/// Letters of all scripts stay as they are. The result is one line.
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if is_harmful(character) {
            write!(shown, "\\u{{{:x}}}", u32::from(character)).expect("writing to memory");
        } else {
            shown.push(character);
        }
    }
    shown
}

/// The printable text, cut to so many characters; a cut is shown by `…`.
pub fn printable_cut(text: &str, limit: usize) -> String {
    let shown = printable(text);
    if shown.chars().count() <= limit {
        return shown;
    }
    let mut cut: String = shown.chars().take(limit.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// Controls, bidirectional marks, zero-width characters, line separators and tags.
fn is_harmful(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_shown_as_its_number() {
        for (text, shown) in [
            ("GET /users/{id}", "GET /users/{id}"),
            ("grüße 日本 🐵", "grüße 日本 🐵"),
            ("\x1b[2Jx", "\\u{1b}[2Jx"),
            ("a\r\nb\0\t", "a\\u{d}\\u{a}b\\u{0}\\u{9}"),
            ("\u{202e}cod.exe", "\\u{202e}cod.exe"),
            ("a\u{200b}b\u{feff}\u{9b}", "a\\u{200b}b\\u{feff}\\u{9b}"),
            ("", ""),
        ] {
            assert_eq!(printable(text), shown);
        }
    }

    #[test]
    fn a_cut_is_visible_and_counts_characters() {
        assert_eq!(printable_cut("日本日本", 4), "日本日本");
        assert_eq!(printable_cut("日本日本日", 4), "日本日…");
        assert_eq!(printable_cut("ab", 0), "…");
    }
}
