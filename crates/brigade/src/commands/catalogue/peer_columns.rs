//! The columns of the table of peers: which ones fit into the terminal, and their widths.
//!
//! Columns are omitted before a row is wrapped, and no username is cut. `brigade peers` and the prompt print the rows;
//! the table on the screen of the manager has columns of its own.

use brigade_core::wire::manager::PeerRow;
use unicode_width::UnicodeWidthStr;

use crate::{
    terminal,
    text::{escape::escape, format},
};

/// The headings of the table.
const HEADINGS: [&str; 6] = ["username", "address", "files", "shared", "sending", "receiving"];

/// The widths of the columns, and the spaces between two, without a limit.
const WIDE: ([usize; 6], usize) = ([20, 22, 7, 10, 10, 10], 2);

/// The same for a narrow terminal: 78 columns in all. A rate has at most 10, an IPv4 address with its port 21.
const NARROW: ([usize; 6], usize) = ([16, 21, 7, 9, 10, 10], 1);

/// The first column with numbers; they are aligned to the right.
const FIRST_NUMBER: usize = 2;

/// The columns of the table that are shown, and their widths.
#[derive(Debug, Clone)]
pub(crate) struct Columns {
    widths: Vec<usize>,
    gap: usize,
}

impl Columns {
    /// The columns that fit into the terminal: all of them, and wide, if standard output is not a terminal.
    pub(crate) fn of_output() -> Self {
        Self::within(terminal::output_columns())
    }

    /// The columns that fit into this width; the username is always one of them.
    fn within(columns: Option<usize>) -> Self {
        let all = |(widths, gap): ([usize; 6], usize)| Self { widths: widths.to_vec(), gap };
        // Terminals differ in the last column.
        let fits = |table: &Self| columns.is_none_or(|columns| table.width() < columns);
        let wide = all(WIDE);
        if fits(&wide) {
            return wide;
        }
        let mut narrow = all(NARROW);
        while !fits(&narrow) && narrow.widths.len() > 1 {
            narrow.widths.pop();
        }
        narrow
    }

    fn width(&self) -> usize {
        self.widths.iter().sum::<usize>() + self.gap * (self.widths.len() - 1)
    }

    /// The line with the headings.
    pub(crate) fn head(&self) -> String {
        self.line(&HEADINGS.map(str::to_owned))
    }

    /// The row of a peer.
    pub(crate) fn row(&self, peer: &PeerRow) -> String {
        self.line(&[
            peer.username.as_str().to_owned(),
            escape(&peer.address).into_owned(),
            peer.files.to_string(),
            format::bytes(peer.bytes),
            format::rate(peer.sending),
            format::rate(peer.receiving),
        ])
    }

    /// The cells, each in its column. A cell that is too long uses the spaces of the following cells, as far as
    /// possible.
    fn line(&self, cells: &[String; 6]) -> String {
        let (mut line, mut edge) = (String::new(), 0);
        for (at, (cell, width)) in cells.iter().zip(&self.widths).enumerate() {
            let gap = if at == 0 { 0 } else { self.gap };
            edge += gap + width;
            line += &" ".repeat(gap);
            if at >= FIRST_NUMBER {
                line += &" ".repeat(edge.saturating_sub(line.width() + cell.width()));
            }
            line += cell;
            if at < FIRST_NUMBER && at + 1 < self.widths.len() {
                line += &" ".repeat(edge.saturating_sub(line.width()));
            }
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use unicode_width::UnicodeWidthStr;

    use super::{Columns, PeerRow};

    fn peer(username: &str, address: &str) -> PeerRow {
        PeerRow {
            username: username.parse().unwrap(),
            address: address.to_owned(),
            files: 1_000_000,
            bytes: 999_900_000_000,
            sending: 999_900_000,
            receiving: 123_400_000,
            since_s: 0,
        }
    }

    /// The headings and a row in this width.
    fn table(columns: Option<usize>, username: &str, address: &str) -> [String; 2] {
        let fitting = Columns::within(columns);
        [fitting.head(), fitting.row(&peer(username, address))]
    }

    #[test]
    fn without_a_terminal_the_table_has_all_columns() {
        assert_eq!(
            table(None, "fire_user", "127.0.0.1:7001"),
            [
                "username              address                   files      shared     sending   receiving",
                "fire_user             127.0.0.1:7001          1000000    999.9 GB  999.9 MB/s  123.4 MB/s",
            ]
        );
        assert_eq!(table(Some(200), "a", "b"), table(None, "a", "b"));
    }

    #[test]
    fn in_eighty_columns_every_column_fits() {
        let shown = table(Some(80), "fire_user", "192.168.100.100:65535");
        assert_eq!(
            shown,
            [
                "username         address                 files    shared    sending  receiving",
                "fire_user        192.168.100.100:65535 1000000  999.9 GB 999.9 MB/s 123.4 MB/s",
            ]
        );
        for columns in 38..200 {
            for line in table(Some(columns), "fire_user", "192.168.100.100:65535") {
                assert!(line.width() < columns, "{columns}: {line}");
            }
        }
    }

    #[test]
    fn narrow_tables_omit_the_rightmost_columns() {
        let last = |columns| {
            let [head, row] = table(Some(columns), "fire_user", "10.0.0.1:7001");
            assert!(head.width() < columns && row.width() < columns, "{columns}: {head}\n{row}");
            head.split_whitespace().last().unwrap().to_owned()
        };
        assert_eq!(
            [79, 78, 68, 57, 47, 39, 38].map(last),
            ["receiving", "sending", "sending", "shared", "files", "address", "username"]
        );
    }

    #[test]
    fn a_long_name_is_not_cut_and_uses_spaces_of_its_row() {
        let long = "a_username_of_twenty_6";
        let [head, row] = table(Some(80), long, "10.0.0.1:7001");
        assert!(row.starts_with(&format!("{long} 10.0.0.1:7001 ")), "{row}");
        assert_eq!(row.width(), head.width(), "{row}");
        assert_eq!(table(Some(10), long, "10.0.0.1:7001")[1], long);
        let [_, row] = table(Some(80), "a", "[2001:db8:1111:2222:3333:4444:5555:6666]:65535");
        assert!(row.contains(":6666]:65535 ") && row.ends_with(" 123.4 MB/s"), "{row}");
    }
}
