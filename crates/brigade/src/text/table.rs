//! Tables of text: columns as wide as their cells, which are made narrower or omitted to fit into a terminal.
//!
//! The first column is never omitted. A cell is escaped by its caller.

use unicode_width::UnicodeWidthStr;

use super::shortening::shortened;

/// The spaces between two columns.
const GAP: usize = 2;

/// A column of a table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TableColumn {
    heading: &'static str,
    is_number: bool,
    /// The width to which it may be shortened.
    least: Option<usize>,
    /// Columns with a larger value are omitted first; those with 0 never.
    omitted: u8,
}

impl TableColumn {
    /// A column of text, which is always shown.
    pub(crate) const fn text(heading: &'static str) -> Self {
        Self { heading, is_number: false, least: None, omitted: 0 }
    }

    /// A column of numbers, aligned to the right.
    pub(crate) const fn number(heading: &'static str) -> Self {
        Self { is_number: true, ..Self::text(heading) }
    }

    /// The column may be shortened to this width, before any column is omitted.
    pub(crate) const fn at_least(self, least: usize) -> Self {
        Self { least: Some(least), ..self }
    }

    /// The column may be omitted; the one with the largest `order` first.
    pub(crate) const fn omitted(self, order: u8) -> Self {
        Self { omitted: order, ..self }
    }
}

/// The table with a line of headings, in at most `width` columns of a terminal; `None` for no limit.
pub(crate) fn table(columns: &[TableColumn], rows: &[Vec<String>], width: Option<usize>) -> String {
    let mut shown: Vec<(usize, usize)> =
        (0..columns.len()).map(|at| (at, natural(columns, rows, at))).collect();
    if let Some(width) = width.map(|width| width.saturating_sub(1)) {
        while total(&shown) > width {
            let excess = total(&shown) - width;
            let shrinkable =
                shown.iter_mut().find(|(at, now)| columns[*at].least.is_some_and(|least| *now > least));
            if let Some((at, now)) = shrinkable {
                let least = columns[*at].least.unwrap_or_default();
                *now = now.saturating_sub(excess).max(least);
                continue;
            }
            let last = shown.iter().map(|(at, _)| columns[*at].omitted).max().filter(|order| *order > 0);
            let Some(order) = last else { break };
            shown.retain(|(at, _)| columns[*at].omitted != order);
            // What was shortened gets the space of the omitted column.
            for (at, now) in &mut shown {
                if columns[*at].least.is_some() {
                    *now = natural(columns, rows, *at);
                }
            }
        }
    }
    let heading: Vec<String> = columns.iter().map(|column| column.heading.to_owned()).collect();
    let lines = [&heading].into_iter().chain(rows).map(|cells| line(columns, &shown, cells));
    lines.collect::<Vec<_>>().join("\n")
}

/// The width that all cells of a column need.
fn natural(columns: &[TableColumn], rows: &[Vec<String>], at: usize) -> usize {
    let cells = rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.width());
    cells.chain([columns[at].heading.width()]).max().unwrap_or(0)
}

fn total(shown: &[(usize, usize)]) -> usize {
    shown.iter().map(|(_, width)| width + GAP).sum::<usize>().saturating_sub(GAP)
}

fn line(columns: &[TableColumn], shown: &[(usize, usize)], cells: &[String]) -> String {
    let mut line = String::new();
    for (at, width) in shown {
        let cell = shortened(cells.get(*at).map_or("", String::as_str), *width);
        let padding = " ".repeat(width.saturating_sub(cell.width()));
        if !line.is_empty() || *at > 0 {
            line += &" ".repeat(if line.is_empty() { 0 } else { GAP });
        }
        line += &if columns[*at].is_number { padding + &cell } else { cell + &padding };
    }
    line.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use unicode_width::UnicodeWidthStr;

    use super::{TableColumn, table};

    const COLUMNS: [TableColumn; 4] = [
        TableColumn::number("no"),
        TableColumn::text("name").at_least(6),
        TableColumn::number("size").omitted(1),
        TableColumn::text("from").omitted(2),
    ];

    fn rows() -> Vec<Vec<String>> {
        [["3", "a long film.mkv", "1.0 MB", "anna 61%"], ["12", "b", "7 B", ""]]
            .map(|row| row.map(str::to_owned).to_vec())
            .to_vec()
    }

    #[test]
    fn columns_are_as_wide_as_their_cells() {
        assert_eq!(
            table(&COLUMNS, &rows(), None),
            "no  name               size  from\n 3  a long film.mkv  1.0 MB  anna 61%\n12  b                   7 B"
        );
    }

    #[test]
    fn in_a_narrow_terminal_a_name_is_shortened_and_then_columns_are_omitted() {
        for width in 1..60 {
            let text = table(&COLUMNS, &rows(), Some(width));
            let widest = text.lines().map(UnicodeWidthStr::width).max().unwrap();
            assert!(widest < width || width <= 11, "{width}:\n{text}");
            assert_eq!(text.lines().count(), 3);
        }
        assert!(table(&COLUMNS, &rows(), Some(33)).contains("a lon….mkv"));
        assert!(!table(&COLUMNS, &rows(), Some(26)).contains("anna"));
        assert!(table(&COLUMNS, &rows(), Some(26)).contains("a lon"));
    }
}
