//! Parts of contents that are not being fetched: how much there is of them, and when they go.
//!
//! A part goes when its name was fetched otherwise, when its content came in another way, or when it was left alone for
//! as long as the settings say. A part that is in use, or that a fetch waits for, is never touched: what is about to be
//! removed counts as being looked through, so that no fetch takes it up meanwhile.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, SystemTime},
};

use brigade_core::{id::Content, name::FileName, time::Timestamp};
use tokio::sync::watch;

use super::{
    job::Job,
    orders::{Answer, Certain},
    owner::Fetches,
};
use crate::{
    clock,
    peer::swarm::fetching::Kind,
    store::{
        folder::Folder,
        parts::{KeptPart, kept_parts, remove_part},
    },
};

/// How often the parts are looked at. It is one listing of a small directory.
const LOOK_EVERY: Duration = Duration::from_secs(3600);

/// How soon after the first look they are looked at again, and from then on after twice as long each time: what is shared
/// becomes known only while the folder is looked through.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// The parts that nobody is fetching.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KeptTotals {
    /// How many there are.
    pub parts: usize,
    /// Bytes that they take on the disk.
    pub bytes: u64,
}

/// What is known of them.
#[derive(Debug)]
pub(crate) struct Kept {
    /// How long a part may be left alone; `None` for ever.
    keep: Option<Duration>,
    parts: BTreeMap<Content, KeptPart>,
    by_name: BTreeMap<FileName, BTreeSet<Content>>,
    /// Contents whose parts are being removed.
    removing: BTreeSet<Content>,
    /// Whether the disk is being asked at this moment.
    looking: bool,
    next_look: Timestamp,
    /// How long after that the look that follows it is.
    pause: Duration,
    totals: watch::Sender<KeptTotals>,
}

impl Kept {
    /// Before anything was looked at; the totals are told on the channel. Where only fetches look at them (`of_fetch`), the
    /// first one does: what it takes up again is not left alone any more, whatever its age.
    pub(crate) fn new(keep: Option<Duration>, of_fetch: bool) -> (Self, watch::Receiver<KeptTotals>) {
        let (totals, told) = watch::channel(KeptTotals::default());
        let next_look = if of_fetch { clock::now().after(LOOK_EVERY) } else { Timestamp::default() };
        let (parts, by_name, removing) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        (Self { keep, parts, by_name, removing, looking: false, next_look, pause: LOOK_AGAIN, totals }, told)
    }

    /// Contents whose parts are being removed.
    pub(crate) fn removing(&self) -> Vec<Content> {
        self.removing.iter().copied().collect()
    }

    /// There may be more or fewer of them.
    pub(crate) fn look_again(&mut self) {
        self.next_look = Timestamp::default();
    }

    /// A content is being fetched from now on, or its part is gone.
    pub(crate) fn forget(&mut self, content: &Content) {
        let Some(part) = self.parts.remove(content) else { return };
        if let Some(name) = part.name
            && let Some(of_name) = self.by_name.get_mut(&name)
        {
            of_name.remove(content);
            if of_name.is_empty() {
                self.by_name.remove(&name);
            }
        }
        self.tell();
    }

    fn found(&mut self, parts: Vec<KeptPart>) {
        (self.parts, self.by_name) = (BTreeMap::new(), BTreeMap::new());
        for part in parts {
            if let Some(name) = &part.name {
                self.by_name.entry(name.clone()).or_default().insert(part.content);
            }
            self.parts.insert(part.content, part);
        }
        self.tell();
    }

    fn tell(&self) {
        let bytes = self.parts.values().map(KeptPart::all_bytes).sum();
        self.totals.send_replace(KeptTotals { parts: self.parts.len(), bytes });
    }

    /// The parts that are of no use once `content` is under `name`.
    fn obsolete(&self, name: &FileName, content: &Content) -> Vec<Content> {
        if self.parts.is_empty() {
            return vec![];
        }
        let mut obsolete = self.by_name.get(name).cloned().unwrap_or_default();
        if self.parts.contains_key(content) {
            obsolete.insert(*content);
        }
        obsolete.into_iter().collect()
    }
}

impl Fetches {
    /// Has the parts looked at, where it is time to.
    pub(crate) fn look_at_kept(&mut self, now: Timestamp) {
        if self.kept.looking || now < self.kept.next_look {
            return;
        }
        self.kept.looking = true;
        self.kept.next_look = now.after(self.kept.pause);
        self.kept.pause = (self.kept.pause * 2).min(LOOK_EVERY);
        let in_use = self.fetching.values().filter_map(|fetching| match &fetching.kind {
            Kind::Large { file, .. } => Some(file.clone()),
            Kind::Small(_) => None,
        });
        let in_use: Vec<_> = in_use.collect();
        let folder = self.folder.clone();
        let certain = Certain::new(self.answers.clone(), Answer::Kept(vec![]));
        tokio::task::spawn_blocking(move || {
            // What is wanted all the time, and gets nothing, is not left alone.
            in_use.iter().for_each(|file| drop(file.touch()));
            certain.answer(Answer::Kept(look(&folder)));
        });
    }

    /// These parts are there, after a look at them.
    pub(crate) fn looked_at_kept(&mut self, parts: Vec<KeptPart>) {
        self.kept.looking = false;
        self.kept_parts(parts);
    }

    /// These parts are there.
    pub(crate) fn kept_parts(&mut self, mut parts: Vec<KeptPart>) {
        parts.retain(|part| !self.is_in_use(&part.content));
        let is_old = |part: &KeptPart| self.kept.keep.is_some_and(|keep| part.idle >= keep);
        let goes = |part: &&KeptPart| is_old(part) || self.share.has(&part.content);
        let going: Vec<Content> = parts.iter().filter(goes).map(|part| part.content).collect();
        self.kept.found(parts);
        self.remove_parts(going);
    }

    /// A file with this content is under this name: what is there of other contents for that name, and of this one
    /// elsewhere, is of no use any more.
    pub(crate) fn not_wanted_any_more(&mut self, name: &FileName, content: &Content) {
        let obsolete = self.kept.obsolete(name, content);
        self.remove_parts(obsolete);
    }

    /// The parts of these contents are gone, or could not be removed.
    pub(crate) fn removed(&mut self, contents: &[Content]) {
        for content in contents {
            self.kept.removing.remove(content);
            self.in_preparation.remove(content);
            self.release(content);
        }
        self.prepare_more();
    }

    fn is_in_use(&self, content: &Content) -> bool {
        self.by_content.contains_key(content)
            || self.in_preparation.contains(content)
            || self.deferred.contains_key(content)
    }

    /// Removes the parts of these contents, but for those that are in use or that files of fetches still wait for.
    fn remove_parts(&mut self, mut contents: Vec<Content>) {
        contents.retain(|content| !self.is_in_use(content));
        if contents.is_empty() {
            return; // mostly: then the files that wait are not looked at
        }
        let going: BTreeSet<Content> = contents.iter().copied().collect();
        let waiting = self.jobs.values().flat_map(Job::waiting).map(|wanted| wanted.content);
        let waiting: BTreeSet<Content> = waiting.filter(|content| going.contains(content)).collect();
        contents.retain(|content| !waiting.contains(content));
        if contents.is_empty() {
            return;
        }
        for content in &contents {
            self.in_preparation.insert(*content);
            self.kept.removing.insert(*content);
            self.kept.forget(content);
        }
        let folder = self.folder.clone();
        let certain = Certain::new(self.answers.clone(), Answer::Removed(contents.clone()));
        tokio::task::spawn_blocking(move || {
            remove(&folder, &contents);
            certain.answer(Answer::Removed(contents));
        });
    }
}

/// The parts that are there; none where that cannot be said.
pub(crate) fn look(folder: &Folder) -> Vec<KeptPart> {
    kept_parts(folder, SystemTime::now()).unwrap_or_else(|error| {
        tracing::debug!(%error, "the parts of files could not be looked at");
        vec![]
    })
}

/// Removes what is there of these contents.
pub(crate) fn remove(folder: &Folder, contents: &[Content]) {
    for content in contents {
        match remove_part(folder, *content) {
            Ok(true) => tracing::info!(id = content.id.short(), "a part that nobody wants was removed"),
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "a part that nobody wants could not be removed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use brigade_core::id::{Content, ContentId};

    use super::{Kept, KeptPart, KeptTotals};

    fn part(byte: u8, name: Option<&str>) -> KeptPart {
        let content = Content { id: ContentId([byte; 32]), size: 10 };
        KeptPart {
            content,
            name: name.map(|name| name.parse().unwrap()),
            bytes: vec![(Default::default(), 5)],
            idle: Duration::ZERO,
        }
    }

    #[test]
    fn parts_are_of_no_use_once_their_name_or_their_content_is_there() {
        let (mut kept, totals) = Kept::new(None, false);
        let parts = [part(1, Some("film")), part(2, Some("film")), part(3, Some("other")), part(4, None)];
        let contents = parts.each_ref().map(|part| part.content);
        let name = |name: &str| name.parse().unwrap();
        assert_eq!(kept.obsolete(&name("film"), &contents[0]), []);
        kept.found(parts.to_vec());
        assert_eq!(*totals.borrow(), KeptTotals { parts: 4, bytes: 20 });
        let another = Content { size: 11, ..contents[0] };
        assert_eq!(kept.obsolete(&name("film"), &another), contents[..2]);
        assert_eq!(kept.obsolete(&name("copy"), &contents[3]), contents[3..]);
        assert_eq!(kept.obsolete(&name("other"), &contents[0]), [contents[0], contents[2]]);
        assert_eq!(kept.obsolete(&name("Film"), &another), []);
        kept.forget(&contents[0]);
        kept.forget(&contents[1]);
        assert_eq!(kept.obsolete(&name("film"), &contents[0]), []);
        assert_eq!(*totals.borrow(), KeptTotals { parts: 2, bytes: 10 });
    }
}
