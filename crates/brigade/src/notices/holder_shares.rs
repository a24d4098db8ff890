//! Which part of the bytes of a fetch each holder sends now.
//!
//! The progress line and the table of transfers show it: that pieces come from several holders at once is seen while
//! they come.

use brigade_node::peer::{FetchState, HolderTraffic, Progress};

use crate::text::{escape::escape, shortening::shortened};

/// The most holders whose share is shown.
const SHOWN_HOLDERS: usize = 3;

/// The most columns of the name of a holder in its share.
const HOLDER_COLUMNS: usize = 12;

/// What part of the bytes each holder sends now: `anna 61% · ben 39%`; empty if nothing comes.
pub(crate) fn holder_shares(progress: &Progress) -> String {
    let sends = |one: &&HolderTraffic| one.rate > 0;
    let mut sending: Vec<&HolderTraffic> = progress.senders.iter().filter(sends).collect();
    if progress.state != FetchState::Fetching || sending.is_empty() {
        return String::new();
    }
    sending.sort_by(|a, b| b.rate.cmp(&a.rate).then_with(|| a.username.cmp(&b.username)));
    let all: u128 = sending.iter().map(|one| u128::from(one.rate)).sum();
    // The nearest percent, but never 0 or more than there is.
    let percent = |rate: u64| (u128::from(rate) * 100 + all / 2) / all;
    let share = |one: &&HolderTraffic| {
        format!("{} {}%", shortened(&escape(&one.username), HOLDER_COLUMNS), percent(one.rate).max(1))
    };
    let shown = sending.iter().take(SHOWN_HOLDERS).map(share);
    let rest = sending.len().saturating_sub(SHOWN_HOLDERS);
    let more = (rest > 0).then(|| format!("{rest} more"));
    shown.chain(more).collect::<Vec<_>>().join(" · ")
}

#[cfg(test)]
mod tests {
    use super::{FetchState, HolderTraffic, Progress, holder_shares};

    fn shares(rates: &[(&str, u64)]) -> String {
        let mut progress = Progress::new("film.mkv");
        progress.state = FetchState::Fetching;
        let holder = |(name, rate): &(&str, u64)| {
            let mut holder = HolderTraffic::new(name.parse().unwrap(), "127.0.0.1:1".parse().unwrap());
            holder.rate = *rate;
            holder
        };
        progress.senders = rates.iter().map(holder).collect();
        holder_shares(&progress)
    }

    #[test]
    fn the_largest_shares_come_first() {
        assert_eq!(shares(&[]), "");
        assert_eq!(shares(&[("anna", 0)]), "");
        assert_eq!(shares(&[("ben", 39), ("anna", 61)]), "anna 61% · ben 39%");
        assert_eq!(shares(&[("a", 1), ("b", 1_000_000)]), "b 100% · a 1%");
        let five = [("a", 10), ("b", 20), ("c", 30), ("d", 40), ("e", 0)];
        assert_eq!(shares(&five), "d 40% · c 30% · b 20% · 1 more");
        assert_eq!(shares(&[("a_long_username", 1)]), "a_long…rname 100%");
    }
}
