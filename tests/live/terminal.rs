//! The display of a load on a real terminal: a pseudo terminal that `script` of util-linux makes,
//! read by a small one of our own.

use std::process::{Command, Stdio};

use proofload::{clock::Clock, units::SECOND_NS};

use crate::{
    faultd::{Fault, Faultd},
    kernel::skipped,
};

const COLUMNS: usize = 60;
/// What stands in every drawing of the display, and nowhere else.
const DRAWN: &str = " of 3s, round ";

/// A terminal that never scrolls: rows of characters, long lines going on in the next row.
#[derive(Default)]
struct Screen {
    rows: Vec<Vec<char>>,
    at: (usize, usize),
}

impl Screen {
    /// Shows a text with the escape sequences in it that move and erase.
    fn show(&mut self, text: &str) {
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let sequence = rest.strip_prefix("\u{1b}[");
            let end = sequence.and_then(|it| it.find(|c: char| c.is_ascii_alphabetic()));
            if let (Some(sequence), Some(end)) = (sequence, end) {
                self.obey(&sequence[..end], &sequence[end..=end]);
                rest = &sequence[end + 1..];
                continue;
            }
            match c {
                '\r' => self.at.1 = 0,
                '\n' => self.at.0 += 1,
                c => self.write(c),
            }
            rest = &rest[c.len_utf8()..];
        }
    }

    fn obey(&mut self, number: &str, command: &str) {
        let n: usize = number.parse().unwrap_or(1);
        match command {
            "A" => self.at.0 = self.at.0.saturating_sub(n),
            "B" => self.at.0 += n,
            "K" => self.row().clear(),
            "m" => {}
            other => panic!("what does a terminal do at {number}{other}?"),
        }
    }

    fn row(&mut self) -> &mut Vec<char> {
        let row = self.at.0;
        self.rows.resize(self.rows.len().max(row + 1), Vec::new());
        &mut self.rows[row]
    }

    fn write(&mut self, c: char) {
        if self.at.1 == COLUMNS {
            self.at = (self.at.0 + 1, 0);
        }
        let column = self.at.1;
        let row = self.row();
        row.resize(row.len().max(column + 1), ' ');
        row[column] = c;
        self.at.1 += 1;
    }

    /// What stands there, without blanks at the ends of rows.
    fn rows(&self) -> Vec<String> {
        let rows = self.rows.iter().map(|row| row.iter().collect::<String>());
        rows.map(|row| row.trim_end().to_owned()).collect()
    }
}

#[test]
fn the_display_keeps_to_its_place_and_makes_room_for_the_table() {
    if Command::new("script").arg("--version").output().is_err() {
        let test = "the_display_keeps_to_its_place_and_makes_room_for_the_table";
        return skipped(test, "there is no `script` (util-linux)");
    }
    let server = Faultd::always(Fault::Status(200));
    let dir = tempfile::tempdir().unwrap();
    let line = format!(
        "stty cols {COLUMNS} rows 24; exec '{}' run --target {} --request /x --rate 100/s -d 3s \
         -o run.jsonl",
        env!("CARGO_BIN_EXE_proofload"),
        server.url()
    );
    let clock = Clock::start();
    let ended = Command::new("script")
        .args(["-qec", &line, "typescript"])
        .current_dir(dir.path())
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", dir.path())
        .env("TMPDIR", dir.path())
        .env("TERM", "xterm")
        .env("LANG", "C.UTF-8")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .unwrap();
    let seconds = usize::try_from(clock.now_ns().div_ceil(SECOND_NS)).unwrap();
    let text = std::fs::read(dir.path().join("typescript")).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert!(matches!(ended.code(), Some(0 | 12)), "{ended}: {text}");
    // The first line and the last are those of `script` itself.
    let (_, text) = text.split_once('\n').unwrap();
    let (text, _) = text.rsplit_once("\nScript done").unwrap();

    let draws = text.matches(DRAWN).count();
    assert!(
        (3..=10 * seconds + 5).contains(&draws),
        "{draws} in {seconds} s"
    );
    let (display, table) = text.split_at(text.find("target http").unwrap());
    assert!(!table.contains(DRAWN), "the table comes last: {table}");
    let mut screen = Screen::default();
    let mut drawings = display.split_inclusive(DRAWN);
    drawings
        .by_ref()
        .take(draws / 2)
        .for_each(|it| screen.show(it));
    let between = screen.rows();
    assert!(
        between.iter().any(|row| row.contains(DRAWN.trim_end())),
        "{between:?}"
    );
    drawings.for_each(|it| screen.show(it));
    // A line too long for the terminal would have taken a row more, and left it behind.
    assert_eq!(screen.rows(), ["", ""], "two rows, empty again");
    assert_eq!(screen.at, (0, 0));
    screen.show(table);
    let rows = screen.rows();
    assert!(rows[0].starts_with("target http://127.0.0.1:"), "{rows:?}");
    assert!(
        rows.iter().any(|row| row.starts_with("GET /x ")),
        "{rows:?}"
    );
}
