//! Command lines with the secrets in them shown as stars: what is written there stands in the
//! list of processes already, and belongs in no report.

use super::{Redactor, STARS, masked, names};

/// A shell command with each secret in it shown as `***`: read as a whole, then word by word, and
/// a word goes that stands behind a flag of a secret.
pub fn masked_command(command: &str) -> String {
    let mut shown = String::with_capacity(command.len());
    let mut is_awaited = false;
    let whole = Redactor::with_stars().free_text(command);
    for (word, blanks) in words(whole.as_deref().unwrap_or(command)) {
        let is_flag = word.starts_with('-');
        // What a variable holds does not stand here.
        let holds = !word.is_empty() && !is_flag && !word.trim_start_matches('"').starts_with('$');
        if is_awaited && holds {
            shown.push_str(STARS);
        } else {
            shown.push_str(&of_word(word));
        }
        let name = word.trim_start_matches('-');
        is_awaited = is_flag && !name.contains('=') && names::is_sensitive(name);
        shown.push_str(blanks);
    }
    shown
}

/// The value of a word behind its name and in its quotes, which are no part of it.
fn of_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
    let named = word.find('=').filter(|at| word[..*at].chars().all(plain));
    let value = &word[named.map_or(0, |at| at + 1)..];
    let bare = value.trim_matches(['\'', '"']);
    if bare.is_empty() || bare == STARS {
        return word.to_owned();
    }
    let quotes = value.len() - value.trim_start_matches(['\'', '"']).len();
    let start = word.len() - value.len() + quotes;
    let end = start + bare.len();
    format!("{}{}{}", &word[..start], masked(bare), &word[end..])
}

/// A word of a command line with each secret in it shown as `***`. Words that look random are left
/// alone: they are names of files and commits.
pub fn masked_argument(word: &str) -> String {
    let free = Redactor::with_stars().free(word.as_bytes(), false);
    free.map_or(word.to_owned(), |bytes| {
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// The words of a shell command with the blanks behind each; blanks in quotes divide nothing.
fn words(command: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    let mut rest = command;
    while !rest.is_empty() {
        let mut quote = None;
        let ends = |c: char| {
            match (quote, c) {
                (None, '\'' | '"') => quote = Some(c),
                (Some(open), _) if open == c => quote = None,
                _ => {}
            }
            quote.is_none() && c.is_whitespace()
        };
        let end = rest.find(ends).unwrap_or(rest.len());
        let (word, behind) = rest.split_at(end);
        let next = behind.trim_start();
        found.push((word, &behind[..behind.len() - next.len()]));
        rest = next;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_of_a_command_are_shown_as_stars_and_the_rest_as_it_is() {
        for (command, shown) in [
            ("./old --port {port}", "./old --port {port}"),
            ("  ./old  -v \t", "  ./old  -v \t"),
            ("PASSWORD=hunter2 ./old", "PASSWORD=*** ./old"),
            ("PASSWORD='hunter 2' ./old", "PASSWORD='***' ./old"),
            ("./old --token hunter2 -v", "./old --token *** -v"),
            ("./old --token 'hunter 2'", "./old --token ***"),
            ("./old --api-key=hunter2", "./old --api-key=***"),
            ("./old --token \"$TOKEN\"", "./old --token \"$TOKEN\""),
            ("./old --password --quiet", "./old --password --quiet"),
            (
                "DB=postgres://u:hunter2@db/x ./old",
                "DB=postgres://***@db/x ./old",
            ),
            (
                "run -H 'Authorization: Bearer hunter2hunter2'",
                "run -H 'Authorization: Bearer ***'",
            ),
            (
                "./old ghp_0123456789abcdefghijABCDEFGHIJ012345",
                "./old ***",
            ),
        ] {
            assert_eq!(masked_command(command), shown);
            assert_eq!(masked_command(shown), shown, "shown again");
        }
    }

    #[test]
    fn names_of_files_and_commits_stay_in_a_command_line() {
        for (word, shown) in [
            ("/tmp/.tmpQx81Zp/w.jsonl", "/tmp/.tmpQx81Zp/w.jsonl"),
            (
                "--commit=3f786850e387550fdab836ed7e6dc881de23001b",
                "--commit=3f786850e387550fdab836ed7e6dc881de23001b",
            ),
            ("http://u:hunter2@h/x", "http://***@h/x"),
            ("http://h/x?token=hunter2", "http://h/x?token=***"),
        ] {
            assert_eq!(masked_argument(word), shown);
        }
    }
}
