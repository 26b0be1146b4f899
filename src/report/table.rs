//! Text in columns and in lines for the terminal, never wider than 100 columns.

use crate::text::{columns, fit};

/// The widest line that is drawn.
pub(super) const WIDTH: usize = 100;

/// How a cell lies in its column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// Rows below a header. The flexible column gives way when a row would be too wide; foreign
/// text in it must be printable already.
#[derive(Debug)]
pub(super) struct Table {
    header: Vec<(&'static str, Align)>,
    flexible: usize,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with one flexible column, by its index.
    pub(super) fn new(header: &[(&'static str, Align)], flexible: usize) -> Self {
        Self {
            header: header.to_vec(),
            flexible,
            rows: Vec::new(),
        }
    }

    /// Adds a row with as many cells as the header has.
    pub(super) fn push(&mut self, row: Vec<String>) {
        debug_assert_eq!(row.len(), self.header.len());
        self.rows.push(row);
    }

    /// The lines; `paint` may dress a padded cell, given its row (`None` in the header) and
    /// its column.
    pub(super) fn lines(&self, paint: &dyn Fn(Option<usize>, usize, String) -> String) -> String {
        let widths = self.widths();
        let header: Vec<_> = self
            .header
            .iter()
            .map(|(name, _)| (*name).to_owned())
            .collect();
        let rows = self
            .rows
            .iter()
            .enumerate()
            .map(|(at, row)| (Some(at), row));
        let mut text = String::new();
        for (at, row) in std::iter::once((None, &header)).chain(rows) {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                let width = widths[column];
                let cell = if column == self.flexible {
                    &fit(cell, width)
                } else {
                    cell
                };
                let space = " ".repeat(width.saturating_sub(columns(cell)));
                let padded = match self.header[column].1 {
                    Align::Left if column + 1 == row.len() => cell.clone(),
                    Align::Left => format!("{cell}{space}"),
                    Align::Right => format!("{space}{cell}"),
                };
                if column > 0 {
                    line.push_str(if column == 1 && widths[0] == 1 {
                        " "
                    } else {
                        "  "
                    });
                }
                line.push_str(&paint(at, column, padded));
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }

    fn widths(&self) -> Vec<usize> {
        let mut widths: Vec<usize> = self.header.iter().map(|(name, _)| columns(name)).collect();
        widths[0] = widths[0].max(1);
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(columns(cell));
            }
        }
        let used: usize = widths.iter().sum::<usize>() + 2 * (widths.len() - 1);
        let flexible = &mut widths[self.flexible];
        *flexible = flexible.saturating_sub(used.saturating_sub(WIDTH)).max(6);
        widths
    }
}

/// Text broken at spaces into lines of at most 100 columns. The first line begins with
/// `first`, the others with `next`.
pub(super) fn wrap(text: &str, first: &str, next: &str) -> String {
    let mut lines = String::new();
    let mut line = first.to_owned();
    let mut empty = true;
    for word in text.split(' ') {
        let word = fit(word, WIDTH - columns(next));
        if !empty && columns(&line) + 1 + columns(&word) > WIDTH {
            lines.push_str(line.trim_end());
            lines.push('\n');
            next.clone_into(&mut line);
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(&word);
        empty = false;
    }
    lines.push_str(line.trim_end());
    lines.push('\n');
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flexible_column_gives_way() {
        let mut table = Table::new(&[("name", Align::Left), ("n", Align::Right)], 0);
        table.push(vec!["x".repeat(200), "12,345".into()]);
        table.push(vec!["y".into(), "1".into()]);
        let text = table.lines(&|_, _, cell| cell);
        for line in text.lines() {
            assert!(columns(line) <= WIDTH, "{line}");
            assert!(line.ends_with(['n', '5', '1']));
        }
        assert!(text.contains('…'));
    }

    #[test]
    fn long_words_are_cut_and_long_lines_broken() {
        let text = wrap(&format!("a {} b", "w".repeat(300)), "- ", "  ");
        for line in text.lines() {
            assert!(columns(line) <= WIDTH, "{line}");
        }
        assert!(text.starts_with("- a\n  www"));
    }
}
