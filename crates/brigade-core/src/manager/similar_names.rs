//! The names that somebody may have meant who asked for one that is not there.
//!
//! A difference in case comes first, then the right file name in another folder, then a name that contains the text,
//! then small typing errors. The work is limited twice: by the number of names that the caller passes, and by a budget
//! for counting errors in names that can be near.

use std::{cmp::Ordering, collections::BinaryHeap};

use crate::name::FileName;

/// Letters compared with letters, at most, in one search: about 10 ms of work.
const BUDGET_CELLS: usize = 4_000_000;

/// The shortest text for which a name that contains it counts as near, in bytes.
const CONTAINED_BYTES: usize = 3;

/// Letters of a text, at most, for slips to be counted.
const LONGEST_LETTERS: usize = 255;

/// The names nearest to `wanted`, at most `most`, the nearest first.
pub(super) fn nearest<'a>(
    wanted: &str,
    names: impl Iterator<Item = &'a FileName>,
    most: usize,
) -> Vec<FileName> {
    let wanted = FoldedText::new(wanted);
    let mut budget = BUDGET_CELLS;
    let mut best = BinaryHeap::with_capacity(most + 1);
    for name in names {
        let Some(distance) = distance(&wanted, &FoldedText::new(name), &mut budget) else { continue };
        best.push(SimilarName { distance, name });
        if best.len() > most {
            best.pop();
        }
    }
    best.into_sorted_vec().into_iter().map(|near| near.name.clone()).collect()
}

/// How a name differs, from the least to the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Distance {
    Case,
    Folder,
    Longer(usize),
    Slips(usize),
}

#[derive(Debug, PartialEq, Eq)]
struct SimilarName<'a> {
    distance: Distance,
    name: &'a FileName,
}

impl Ord for SimilarName<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.distance.cmp(&other.distance).then_with(|| self.name.cmp(other.name))
    }
}

impl PartialOrd for SimilarName<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A name, or what was asked for, without its case.
struct FoldedText {
    whole: String,
    base_at: usize,
}

impl FoldedText {
    fn new(text: &str) -> Self {
        let whole = text.to_lowercase();
        let base_at = whole.rfind('/').map_or(0, |slash| slash + 1);
        Self { whole, base_at }
    }

    fn base(&self) -> &str {
        &self.whole[self.base_at..]
    }
}

fn distance(wanted: &FoldedText, name: &FoldedText, budget: &mut usize) -> Option<Distance> {
    if wanted.whole == name.whole {
        return Some(Distance::Case);
    }
    if !wanted.base().is_empty() && wanted.base() == name.base() {
        return Some(Distance::Folder);
    }
    if wanted.whole.len() >= CONTAINED_BYTES && name.whole.contains(&wanted.whole) {
        return Some(Distance::Longer(name.whole.len() - wanted.whole.len()));
    }
    let whole = slips(&wanted.whole, &name.whole, budget);
    let base = slips(wanted.base(), name.base(), budget).map(|slips| slips + 1); // the folder differs too
    whole.into_iter().chain(base).min().map(Distance::Slips)
}

/// How many letters were left out, put in, taken for another or swapped; `None` where it is more than a third.
fn slips(wanted: &str, name: &str, budget: &mut usize) -> Option<usize> {
    let (wanted_letters, name_letters) = (wanted.chars().count(), name.chars().count());
    let most = (wanted_letters / 3).max(1);
    if wanted_letters > LONGEST_LETTERS || name_letters > LONGEST_LETTERS {
        return None;
    }
    if wanted_letters < 2 || wanted_letters.abs_diff(name_letters) > most || min_slips(wanted, name) > most {
        return None;
    }
    *budget = budget.checked_sub(wanted_letters * name_letters)?;
    let slips = strsim::osa_distance(wanted, name);
    (slips <= most).then_some(slips)
}

/// A lower bound of the slips, without regard to the order of letters: each slip mends at most one of either sum.
fn min_slips(a: &str, b: &str) -> usize {
    let mut surplus = [0i32; 32];
    a.chars().for_each(|letter| surplus[u32::from(letter) as usize % 32] += 1);
    b.chars().for_each(|letter| surplus[u32::from(letter) as usize % 32] -= 1);
    let more: i32 = surplus.iter().filter(|count| **count > 0).sum();
    let less: i32 = surplus.iter().filter(|count| **count < 0).sum();
    usize::try_from(more.max(-less)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert, proptest};

    use super::{FileName, min_slips, nearest};

    #[track_caller]
    fn check(wanted: &str, expected: &[&str]) {
        let names: Vec<FileName> =
            ["Report.pdf", "a/report.pdf", "report.pdf.bak", "images/sunrise.jpg", "images/sunset.jpg", "x"]
                .iter()
                .map(|name| name.parse().unwrap())
                .collect();
        let near = nearest(wanted, names.iter(), 3);
        assert_eq!(near.iter().map(FileName::as_str).collect::<Vec<_>>(), expected, "{wanted:?}");
    }

    #[test]
    fn the_intended_name_comes_first() {
        check("report.pdf", &["Report.pdf", "a/report.pdf", "report.pdf.bak"]);
        check("reprot.pdf", &["Report.pdf", "a/report.pdf"]);
        check("sunrise.jpg", &["images/sunrise.jpg", "images/sunset.jpg"]);
        check("sunrize.jpg", &["images/sunrise.jpg"]);
        check("images/sunris.jpg", &["images/sunrise.jpg", "images/sunset.jpg"]);
        check("sun", &["images/sunset.jpg", "images/sunrise.jpg"]);
    }

    #[test]
    fn distant_names_are_not_suggested() {
        check("y", &[]);
        check("", &[]);
        check("/", &[]);
        check("something else", &[]);
        check(&"x".repeat(1024), &[]);
    }

    proptest! {
        #[test]
        fn the_lower_bound_is_one(a in "[a-eé]{0,12}", b in "[a-eé]{0,12}") {
            prop_assert!(min_slips(&a, &b) <= strsim::osa_distance(&a, &b));
        }
    }
}
