//! The table of peers in the order of any of its columns.
//!
//! The owner knows only the order of the usernames. For another order, all rows are read page by page and ordered
//! outside the owner's task (`handle.rs`), where they delay no peer. Peers with the same value are ordered by username.

use std::cmp::Ordering;

use brigade_core::manager::Row;

use super::owner_questions::PeerPage;

/// The column that decides the order of the peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum PeerOrder {
    /// The username.
    #[default]
    Username,
    /// The address.
    Address,
    /// The number of shared files.
    Files,
    /// The bytes of the shared files.
    Bytes,
    /// The rate of sending.
    Sending,
    /// The rate of receiving.
    Receiving,
    /// The rates of sending and receiving together: the active peers are at one end.
    Rates,
    /// The time of joining.
    Since,
    /// The time of the last message.
    LastMessage,
}

impl PeerOrder {
    fn compare(self, a: &Row, b: &Row) -> Ordering {
        match self {
            Self::Username => Ordering::Equal, // the username is compared anyway
            Self::Address => a.address.cmp(&b.address),
            Self::Files => a.files.cmp(&b.files),
            Self::Bytes => a.bytes.cmp(&b.bytes),
            Self::Sending => a.sending.cmp(&b.sending),
            Self::Receiving => a.receiving.cmp(&b.receiving),
            Self::Rates => rates(a).cmp(&rates(b)),
            Self::Since => a.since.cmp(&b.since),
            Self::LastMessage => a.last_message.cmp(&b.last_message),
        }
    }

    /// The page of at most `limit` rows from the row number `first` on, or from an earlier one, so that it is full. If
    /// `descending`, the largest values come first; the order of usernames is turned too only if they decide alone.
    pub(super) fn page(self, mut rows: Vec<Row>, descending: bool, first: usize, limit: usize) -> PeerPage {
        let total = rows.len();
        let first = first.min(total.saturating_sub(limit));
        let end = total.min(first.saturating_add(limit));
        let compare = |a: &Row, b: &Row| {
            let (a, b) = if descending { (b, a) } else { (a, b) };
            let by_name = a.username.cmp(&b.username);
            let is_turned = descending && self != Self::Username;
            self.compare(a, b).then(if is_turned { by_name.reverse() } else { by_name })
        };
        // Only the rows up to the end of the page are ordered.
        if end > 0 && end < total {
            rows.select_nth_unstable_by(end - 1, compare);
        }
        rows.truncate(end);
        rows.sort_unstable_by(compare);
        PeerPage::new(rows.split_off(first.min(end)), first, total)
    }
}

fn rates(row: &Row) -> u64 {
    row.sending.saturating_add(row.receiving)
}

#[cfg(test)]
mod tests {
    use brigade_core::{id::PeerKey, time::UnixTime};

    use super::{PeerOrder, Row};

    /// Peers with these names and rates of sending.
    fn rows(peers: &[(&str, u64)]) -> Vec<Row> {
        let row = |(name, sending): &(&str, u64)| Row {
            username: name.parse().unwrap(),
            key: PeerKey([1; 32]),
            is_bound: true,
            address: ([127, 0, 0, 1], 7001).into(),
            files: 0,
            bytes: 0,
            sending: *sending,
            receiving: u64::MAX,
            since: UnixTime(0),
            last_message: UnixTime(0),
        };
        peers.iter().map(row).collect()
    }

    #[track_caller]
    fn check(order: PeerOrder, descending: bool, first: usize, limit: usize, expected: &[&str]) {
        let peers = [("anna", 5), ("bert", 0), ("carl", 9), ("dora", 0), ("emil", 7)];
        let page = order.page(rows(&peers), descending, first, limit);
        let names: Vec<_> = page.rows.iter().map(|row| row.username.as_str()).collect();
        assert_eq!(names, expected);
        assert_eq!((page.total, page.more), (5, page.first.unwrap() + names.len() < 5));
    }

    #[test]
    fn the_rows_of_a_page_are_those_of_the_whole_order() {
        check(PeerOrder::Sending, true, 0, 3, &["carl", "emil", "anna"]);
        check(PeerOrder::Sending, true, 2, 2, &["anna", "bert"]);
        check(PeerOrder::Sending, false, 0, 9, &["bert", "dora", "anna", "emil", "carl"]);
        check(PeerOrder::Sending, false, 9, 2, &["emil", "carl"]);
        check(PeerOrder::Username, true, 0, 2, &["emil", "dora"]);
        check(PeerOrder::Rates, true, 0, 2, &["anna", "bert"]); // sums that are too large are equal
        check(PeerOrder::Files, true, 0, 0, &[]);
        assert_eq!(PeerOrder::Bytes.page(vec![], false, 3, 9).rows, []);
    }
}
