//! What is not shared and why: a bounded list, for `status`, and news of what comes and goes. What the keeper itself
//! has trouble with stands beside it: people are told of that at once.
//!
//! A problem remembers who found it: what a look at the folder did not find, it does not declare solved.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use tokio::sync::watch;

use super::{Change, NoWatch};
use crate::store::{ignore::Ignoring, share::at_or_below};

/// Problems that are listed; of the rest only the number is kept.
const LISTED: usize = 1000;

/// What keeps the keeper from its work.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Trouble {
    /// The shared folder was removed, moved away or unmounted, or another one is in its place.
    #[error("the folder {} is not there any more: nothing of it is shared", .0.display())]
    Gone(PathBuf),
    /// Our own folder was removed while we run, and could not be made anew, or is another session's now.
    #[error("{0}")]
    PrivateLost(String),
    /// Our own folder was removed while we run, and was made anew; so often.
    #[error(
        "`.brigade` was removed while this peer runs{}: its lock and its key were written again, and its index is made \
         anew; what was being received is lost", times(*.0)
    )]
    PrivateRemoved(u32),
    /// Nothing can be written into the shared folder.
    #[error("{0}: fetches into it fail, serving goes on")]
    ReadOnly(String),
    /// News cannot be had of all folders.
    #[error("{0}: changes are found by looking at everything every few seconds")]
    Unwatched(NoWatch),
    /// The index cannot be opened or written.
    #[error("what was hashed is not remembered for the next start: {0}")]
    Unindexed(String),
}

fn times(times: u32) -> String {
    if times > 1 { format!(" ({times} times)") } else { String::new() }
}

/// The current problems.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProblemList {
    /// What keeps the keeper from its work; one of each kind at most.
    pub troubles: Vec<Trouble>,
    /// How much is not shared because its owner wants it so.
    pub ignoring: Ignoring,
    /// What is not shared (its path below the folder), and why; in the order of the paths.
    pub listed: Vec<(String, String)>,
    /// How many more there are.
    pub rest: usize,
}

/// Who found a problem: who looks again is the one to say that it is solved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Finder {
    /// A walk over the folder.
    Walk,
    /// An attempt to hash the file, or to take it up.
    File,
}

#[derive(Debug)]
pub(super) struct Problems {
    troubles: Vec<Trouble>,
    ignoring: Ignoring,
    listed: BTreeMap<String, (Finder, String)>,
    rest: usize,
    changed: bool,
    news: Vec<Change>,
    sender: watch::Sender<Arc<ProblemList>>,
}

impl Problems {
    pub(super) fn new(sender: watch::Sender<Arc<ProblemList>>) -> Self {
        let (troubles, ignoring) = (Vec::new(), Ignoring::default());
        Self {
            troubles,
            ignoring,
            listed: BTreeMap::new(),
            rest: 0,
            changed: false,
            news: Vec::new(),
            sender,
        }
    }

    /// The keeper cannot work as it should.
    pub(super) fn trouble(&mut self, trouble: Trouble) {
        if !self.troubles.contains(&trouble) {
            tracing::info!(%trouble, "trouble with the folder");
            self.mended(&trouble);
            self.troubles.push(trouble);
            self.troubles.sort_unstable();
            self.changed = true;
        }
    }

    /// There is no more trouble of this kind.
    pub(super) fn mended(&mut self, kind: &Trouble) {
        let before = self.troubles.len();
        self.troubles.retain(|trouble| std::mem::discriminant(trouble) != std::mem::discriminant(kind));
        self.changed |= self.troubles.len() != before;
    }

    /// So much is ignored.
    pub(super) fn ignoring(&mut self, ignoring: Ignoring) {
        self.changed |= self.ignoring != ignoring;
        self.ignoring = ignoring;
    }

    pub(super) fn add(&mut self, finder: Finder, what: &str, why: String) {
        let known = self.listed.get(what).is_some_and(|(_, old)| *old == why);
        if known {
            return;
        }
        self.changed = true;
        if self.listed.len() >= LISTED && !self.listed.contains_key(what) {
            self.rest += 1;
            return;
        }
        self.listed.insert(what.to_owned(), (finder, why.clone()));
        self.news.push(Change::Problem { what: what.to_owned(), why });
    }

    pub(super) fn solved(&mut self, what: &str) {
        if self.listed.remove(what).is_some() {
            self.changed = true;
            self.news.push(Change::Solved { what: what.to_owned() });
        }
    }

    /// Nothing is there any more, at this path or below it.
    pub(super) fn gone(&mut self, path: &str) {
        for what in at_or_below(&self.listed, path) {
            self.solved(&what);
        }
    }

    /// Nothing is below this path any more.
    pub(super) fn gone_below(&mut self, path: &str) {
        for what in at_or_below(&self.listed, path).into_iter().filter(|what| what != path) {
            self.solved(&what);
        }
    }

    /// A walk over everything below `path` (everything there is, for "") found these and no others.
    pub(super) fn walked(&mut self, path: &str, found: &BTreeMap<String, String>) {
        let before = if path.is_empty() {
            self.listed.keys().cloned().collect()
        } else {
            at_or_below(&self.listed, path)
        };
        for what in before {
            let by_walk = self.listed.get(&what).is_some_and(|(finder, _)| *finder == Finder::Walk);
            if by_walk && !found.contains_key(&what) {
                self.solved(&what);
            }
        }
        for (what, why) in found {
            self.add(Finder::Walk, what, why.clone());
        }
    }

    /// The files at this path or below it (all of them, for "") that are a problem in themselves.
    pub(super) fn of_files(&self, path: &str) -> Vec<String> {
        let paths = if path.is_empty() {
            self.listed.keys().cloned().collect()
        } else {
            at_or_below(&self.listed, path)
        };
        let of_file =
            |what: &String| self.listed.get(what).is_some_and(|(finder, _)| *finder == Finder::File);
        paths.into_iter().filter(of_file).collect()
    }

    /// After a look at everything: as many as this are there in all.
    pub(super) fn counted(&mut self, all: usize) {
        let rest = all.saturating_sub(self.listed.len());
        self.changed |= rest != self.rest;
        self.rest = rest;
    }

    /// Shows the list to those who watch it; the news since the last time.
    pub(super) fn publish(&mut self) -> Vec<Change> {
        if self.changed {
            self.changed = false;
            let listed = self.listed.iter().map(|(what, (_, why))| (what.clone(), why.clone())).collect();
            let (troubles, ignoring, rest) = (self.troubles.clone(), self.ignoring, self.rest);
            self.sender.send_replace(Arc::new(ProblemList { troubles, ignoring, listed, rest }));
        }
        std::mem::take(&mut self.news)
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use tokio::sync::watch;

    use super::{Finder, LISTED, ProblemList, Problems, Trouble};

    #[test]
    fn a_walk_solves_what_walks_found_and_nothing_else() {
        let (sender, list) = watch::channel(Arc::new(ProblemList::default()));
        let mut problems = Problems::new(sender);
        let found = |names: &[&str]| -> BTreeMap<String, String> {
            names.iter().map(|name| ((*name).to_owned(), "why".to_owned())).collect()
        };
        problems.walked("", &found(&["a", "d/b"]));
        problems.add(Finder::File, "d/c", "unreadable".to_owned());
        assert_eq!(problems.publish().len(), 3);
        problems.walked("d", &found(&[]));
        problems.walked("", &found(&["a"]));
        assert_eq!(problems.publish().len(), 1);
        let listed: Vec<_> = list.borrow().listed.iter().map(|(what, _)| what.clone()).collect();
        assert_eq!(listed, ["a", "d/c"]);
        problems.gone("d");
        problems.publish();
        assert_eq!(list.borrow().listed.len(), 1);
    }

    #[test]
    fn of_each_kind_of_trouble_there_is_one() {
        let (sender, list) = watch::channel(Arc::new(ProblemList::default()));
        let mut problems = Problems::new(sender);
        for why in ["full", "full", "read-only"] {
            problems.trouble(Trouble::Unindexed(why.to_owned()));
        }
        problems.trouble(Trouble::Gone("folder".into()));
        problems.publish();
        let unindexed = Trouble::Unindexed("read-only".to_owned());
        assert_eq!(list.borrow().troubles, [Trouble::Gone("folder".into()), unindexed.clone()]);
        problems.mended(&Trouble::Gone("another".into()));
        problems.publish();
        assert_eq!(list.borrow().troubles, [unindexed]);
    }

    #[test]
    fn the_list_has_an_end_and_the_rest_is_counted() {
        let (sender, list) = watch::channel(Arc::new(ProblemList::default()));
        let mut problems = Problems::new(sender);
        for number in 0..LISTED + 5 {
            problems.add(Finder::File, &number.to_string(), "why".to_owned());
        }
        problems.publish();
        assert_eq!((list.borrow().listed.len(), list.borrow().rest), (LISTED, 5));
        problems.counted(LISTED + 2);
        problems.publish();
        assert_eq!(list.borrow().rest, 2);
    }
}
