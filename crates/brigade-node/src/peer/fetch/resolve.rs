//! From the name that a person typed to the files to fetch.
//!
//! An exact name comes first. Then a folder: all files below it. Then `NAME@ID-PREFIX`, one of several contents under a
//! name; then a [`Pattern`]. If a name has several contents, they are listed, and a person chooses. A content that only
//! this peer has is no choice. While the manager's catalogue is not complete, a missing name is asked for again.

use std::{collections::BTreeMap, time::Duration};

use brigade_core::{
    id::{Content, ContentId},
    limits,
    name::{FileName, NameError, Username},
    wire::manager::{CatalogueEntry, LookupResult, Version},
};
use tokio::time::{Instant, sleep_until};

use crate::{
    fetch_request::FetchRequest,
    fetch_request::resolve_error::{AmbiguousName, ResolveError},
    fetch_request::wanted_files::{Resolved, WantedFile},
    file_listing::{Pattern, is_pattern, may_be_pattern, most_held, next_page, split_version},
    peer::session::ManagerClient,
    peer_error::AskError,
};

/// The pause before a missing name is asked for again while the catalogue is not complete.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// The number of names with several contents that are listed; more are only counted.
const CHOICES_LISTED: usize = 64;

/// The files of a request, for the peer whose username now is `me`: an unbound one may change when the manager comes
/// back.
///
/// While the manager's catalogue is not complete, a negative answer does not count: a name is asked for again, and a
/// folder or a pattern waits until it is complete. `waits` is called with the longest time, before each wait.
pub(crate) async fn resolve_request(
    asking: &ManagerClient,
    me: &(dyn Fn() -> Username + Sync),
    request: &FetchRequest,
    waits: &mut (dyn FnMut(Duration) + Send),
) -> Result<Resolved, ResolveError> {
    let until = Instant::now() + limits::CATALOGUE_WAIT;
    loop {
        let believes = Instant::now() >= until;
        let me = me();
        let (incomplete, certain, left_out) = (None, false, 0);
        let mut resolving = Resolver { asking, me: &me, request, believes, incomplete, certain, left_out };
        let result = resolving.files().await;
        let may_change = result.as_ref().err().is_none_or(ResolveError::may_change);
        let left = resolving.incomplete.filter(|_| !resolving.certain && may_change);
        let Some(left) = left else {
            return match result {
                // There are no files only if the catalogue is not complete.
                Ok(files) => Resolved::of(request, files.unwrap_or_default(), resolving.left_out),
                Err(error) => Err(about_the_member(asking, request, error).await),
            };
        };
        waits(left);
        let pause = if matches!(result, Ok(None)) { left } else { left.min(ASK_AGAIN) };
        sleep_until(until.min(Instant::now() + pause)).await;
    }
}

/// `error`, or the one for a requested member that is not in the network, if that is the reason.
async fn about_the_member(
    asking: &ManagerClient,
    request: &FetchRequest,
    error: ResolveError,
) -> ResolveError {
    let Some(username) = &request.from else { return error };
    let is_away = match &error {
        ResolveError::Ask(error) => error.is_not_here(),
        ResolveError::NoSuchVersion { .. } => {
            let shared = asking.browse(&request.name, None, Some(username.clone())).await;
            shared.as_ref().is_err_and(AskError::is_not_here)
        }
        _ => false,
    };
    if is_away { ResolveError::NotHere { username: username.clone() } } else { error }
}

struct Resolver<'a> {
    asking: &'a ManagerClient,
    me: &'a Username,
    request: &'a FetchRequest,
    /// Whether the catalogue counts as complete, even if the manager denies it.
    believes: bool,
    /// The time until the catalogue is complete, by the last answer of the manager.
    incomplete: Option<Duration>,
    /// Whether the result does not change when peers come back.
    certain: bool,
    /// The number of names in the folder or of the pattern that the requested member does not share.
    left_out: u64,
}

impl Resolver<'_> {
    /// The files; `None` if the catalogue has to be complete first.
    async fn files(&mut self) -> Result<Option<Vec<WantedFile>>, ResolveError> {
        if let Some(id) = self.request.id {
            return self.with_id(id).await;
        }
        let name = self.request.name.as_str();
        let folder = name.trim_end_matches('/');
        if folder.len() > limits::NAME_BYTES {
            return Err(ResolveError::BadName { name: name.to_owned(), reason: NameError::TooLong });
        }
        if is_pattern(folder) {
            return self.matching(name).await;
        }
        let found = self.lookup(folder).await?;
        let is_folder = folder.len() < name.len();
        if !found.versions.is_empty() && !is_folder {
            return self.settle(folder, found.versions, None);
        }
        if found.below > 0 {
            return self.all_below(folder).await;
        }
        let mut is_file = !found.versions.is_empty();
        if let Some((base, prefix)) = split_version(folder) {
            let of_base = self.lookup(base).await?;
            is_file |= !of_base.versions.is_empty();
            if !of_base.versions.is_empty() && !is_folder {
                return self.settle(base, of_base.versions, Some(prefix));
            }
        }
        if self.incomplete.is_none() && may_be_pattern(folder) {
            match self.matching(name).await {
                Err(ResolveError::NotFound { .. }) => {}
                // A name is similar: it was meant as a name.
                Err(ResolveError::BadPattern { .. }) if !found.closest.is_empty() => {}
                result => return result,
            }
        }
        let of_file = || folder.parse::<FileName>().into_iter().collect::<Vec<_>>();
        let closest = if is_folder && is_file { of_file() } else { found.closest };
        Err(ResolveError::not_found(name, closest))
    }

    async fn lookup(&mut self, name: &str) -> Result<LookupResult, AskError> {
        let found = self.asking.lookup(name).await?;
        self.note(found.incomplete_ms);
        Ok(found)
    }

    fn note(&mut self, incomplete_ms: Option<u64>) {
        self.incomplete = incomplete_ms.filter(|_| !self.believes).map(Duration::from_millis);
    }

    /// The one content of a name that fits. Later there may be more that fit, not fewer; so one that only this peer has
    /// may be one of several.
    fn settle(
        &mut self,
        name: &str,
        versions: Vec<Version>,
        prefix: Option<&str>,
    ) -> Result<Option<Vec<WantedFile>>, ResolveError> {
        let others: Vec<Content> = versions
            .iter()
            .filter(|version| version.holders != std::slice::from_ref(self.me))
            .map(content)
            .collect();
        let chosen = self.choose(name, versions, prefix);
        self.certain = chosen.as_ref().is_ok_and(|file| others.contains(&file.content));
        chosen.map(|file| Some(vec![file]))
    }

    /// The one content of a name that fits.
    fn choose(
        &self,
        name: &str,
        versions: Vec<Version>,
        prefix: Option<&str>,
    ) -> Result<WantedFile, ResolveError> {
        let parsed: FileName =
            name.parse().map_err(|reason| ResolveError::BadName { name: name.to_owned(), reason })?;
        let from = self.request.from.as_ref();
        let chosen = self.request.chosen.get(&parsed);
        let prefix = prefix.map(str::to_ascii_lowercase);
        let fits = |version: &&Version| {
            from.is_none_or(|from| version.holders.contains(from))
                && prefix.as_ref().is_none_or(|prefix| version.id.to_string().starts_with(prefix))
                && chosen.is_none_or(|chosen| *chosen == content(version))
        };
        let mut fitting: Vec<&Version> = versions.iter().filter(fits).collect();
        if fitting.len() > 1 {
            fitting.retain(|version| version.holders != std::slice::from_ref(self.me));
        }
        match fitting[..] {
            [version] => Ok(self.wanted(parsed, content(version), version.mtime_s, version.executable)),
            [] => {
                let id = prefix.map(|prefix| format!("the one that begins with {prefix}"));
                let from = from.map(|from| format!("shared by \"{from}\""));
                let vanished = chosen.map(|chosen| format!("{} any more", chosen.id.short()));
                let wanted = match (id, from) {
                    (Some(id), Some(from)) => format!("{id} and is {from}"),
                    (id, from) => id.or(from).or(vanished).unwrap_or_default(),
                };
                Err(ResolveError::NoSuchVersion { name: name.to_owned(), wanted, versions })
            }
            _ => {
                let versions = fitting.into_iter().cloned().collect();
                Err(ResolveError::Ambiguous {
                    choices: vec![AmbiguousName { name: parsed, versions }],
                    rest: 0,
                })
            }
        }
    }

    async fn all_below(&mut self, folder: &str) -> Result<Option<Vec<WantedFile>>, ResolveError> {
        // The manager's answer is checked: a name outside the folder must not be written.
        let below = |entry: &CatalogueEntry| entry.name.is_below(folder);
        let from = self.request.from.as_ref();
        let wanted = from.map_or("there any more".to_owned(), |from| format!("shared by \"{from}\""));
        let none = ResolveError::no_version(folder, wanted);
        self.all_that_fit(&format!("{folder}/"), below, none).await
    }

    /// All files that the pattern fits.
    async fn matching(&mut self, text: &str) -> Result<Option<Vec<WantedFile>>, ResolveError> {
        let bad = |reason| ResolveError::BadPattern { pattern: text.to_owned(), reason };
        let pattern = Pattern::parse(text).map_err(bad)?;
        let fits = |entry: &CatalogueEntry| pattern.fits(&entry.name);
        let none = ResolveError::not_found(&self.request.name, vec![]);
        self.all_that_fit(pattern.prefix(), fits, none).await
    }

    /// All files that fit and that the requested member shares, if one is requested; the error `none` if nobody shares
    /// such a file.
    async fn all_that_fit(
        &mut self,
        prefix: &str,
        fits: impl Fn(&CatalogueEntry) -> bool,
        none: ResolveError,
    ) -> Result<Option<Vec<WantedFile>>, ResolveError> {
        let Some(files) = self.gather(prefix, &fits).await? else { return Ok(None) };
        let counted = self.count_left_out(prefix, &files, &fits).await;
        self.left_out = if files.is_empty() { counted? } else { counted.unwrap_or(0) };
        match &self.request.from {
            _ if !files.is_empty() => self.choose_each(prefix, files).await.map(Some),
            Some(from) if self.left_out > 0 => {
                Err(ResolveError::no_version(&self.request.name, format!("shared by \"{from}\"")))
            }
            _ => Err(none),
        }
    }

    /// The number of names beside `files` that others share, if a member is requested.
    async fn count_left_out(
        &self,
        prefix: &str,
        files: &BTreeMap<FileName, Vec<CatalogueEntry>>,
        fits: impl Fn(&CatalogueEntry) -> bool,
    ) -> Result<u64, ResolveError> {
        const COUNTED: usize = 100_000; // counting more names would delay the fetch for too long
        let Some(_) = &self.request.from else { return Ok(0) };
        let mine = self.mine(prefix).await?;
        let (mut count, mut last) = (0, None::<FileName>);
        let take = |entry: CatalogueEntry| {
            let is_mine = entry.holders == 1 && mine.get(&entry.name) == Some(&listed(&entry));
            let is_left_out = !is_mine && fits(&entry) && !files.contains_key(&entry.name);
            if is_left_out && last.as_ref() != Some(&entry.name) {
                count += 1;
                last = Some(entry.name);
            }
        };
        self.asking.browse_all(prefix, None, COUNTED, take).await?;
        Ok(count)
    }

    /// The file with this content, under the first of its names.
    async fn with_id(&mut self, id: ContentId) -> Result<Option<Vec<WantedFile>>, ResolveError> {
        let Some(files) = self.gather("", |entry| entry.id == id).await? else { return Ok(None) };
        let entry = most_held(files.into_values().flatten());
        let Some(entry) = entry else { return Err(ResolveError::not_found(&self.request.name, vec![])) };
        let content = listed(&entry);
        Ok(Some(vec![self.wanted(entry.name, content, entry.mtime_s, entry.executable)]))
    }

    /// The entries whose names begin with `prefix` and that are `wanted`; `None` if the catalogue is not complete.
    async fn gather(
        &mut self,
        prefix: &str,
        wanted: impl Fn(&CatalogueEntry) -> bool,
    ) -> Result<Option<BTreeMap<FileName, Vec<CatalogueEntry>>>, ResolveError> {
        if self.incomplete.is_some() {
            return Ok(None);
        }
        let mut files: BTreeMap<FileName, Vec<CatalogueEntry>> = BTreeMap::new();
        let mut after = None;
        loop {
            let page = match self.asking.browse(prefix, after.clone(), self.request.from.clone()).await {
                Ok(page) => page,
                Err(error) => {
                    if error.is_not_here() {
                        self.lookup("").await?; // a refusal does not say whether the catalogue is complete
                    }
                    return if self.incomplete.is_some() { Ok(None) } else { Err(error.into()) };
                }
            };
            self.note(page.incomplete_ms);
            if self.incomplete.is_some() {
                return Ok(None);
            }
            let last = page.entries.last().map(|entry| entry.name.clone());
            for entry in page.entries {
                if wanted(&entry) {
                    let versions = files.entry(entry.name.clone()).or_default();
                    // More than the manager may list are of no use: a person could not choose.
                    if versions.len() < limits::VERSIONS_LISTED {
                        versions.push(entry);
                    }
                }
            }
            if files.len() > limits::ANNOUNCED_NAMES {
                return Err(ResolveError::TooMany { name: self.request.name.clone() });
            }
            match next_page(page.more, last, after) {
                None => return Ok(Some(files)),
                next => after = next,
            }
        }
    }

    /// One content for each name.
    async fn choose_each(
        &self,
        prefix: &str,
        files: BTreeMap<FileName, Vec<CatalogueEntry>>,
    ) -> Result<Vec<WantedFile>, ResolveError> {
        let mine = match files.values().any(|entries| entries.len() > 1) {
            true => self.mine(prefix).await?,
            false => BTreeMap::new(),
        };
        let mut wanted = Vec::with_capacity(files.len());
        let mut several = vec![];
        for (name, mut entries) in files {
            if entries.len() > 1 {
                let (chosen, own) = (self.request.chosen.get(&name), mine.get(&name));
                entries.retain(|entry| match chosen {
                    Some(chosen) => *chosen == listed(entry),
                    None => entry.holders > 1 || own != Some(&listed(entry)),
                });
            }
            match &entries[..] {
                [] if self.request.chosen.contains_key(&name) => return Err(self.choice_gone(name)),
                [one] => wanted.push(self.wanted(name, listed(one), one.mtime_s, one.executable)),
                _ => several.push(name),
            }
        }
        if several.is_empty() { Ok(wanted) } else { Err(self.ambiguous(several).await?) }
    }

    /// The files that this peer shares under names that begin with `prefix`.
    async fn mine(&self, prefix: &str) -> Result<BTreeMap<FileName, Content>, ResolveError> {
        let mut mine = BTreeMap::new();
        let take = |entry: CatalogueEntry| {
            let content = listed(&entry);
            mine.insert(entry.name, content);
        };
        match self.asking.browse_all(prefix, Some(self.me), limits::ANNOUNCED_NAMES, take).await {
            // The manager does not know this peer at this moment: then it shares nothing.
            Err(error) if !error.is_not_here() => Err(error.into()),
            _ => Ok(mine),
        }
    }

    /// The error for names that have several contents.
    async fn ambiguous(&self, names: Vec<FileName>) -> Result<ResolveError, AskError> {
        let rest = names.len().saturating_sub(CHOICES_LISTED);
        let mut choices = vec![];
        for name in names.into_iter().take(CHOICES_LISTED) {
            let mut versions = self.asking.lookup(&name).await?.versions;
            versions.retain(|version| version.holders != std::slice::from_ref(self.me));
            choices.push(AmbiguousName { name, versions });
        }
        Ok(ResolveError::Ambiguous { choices, rest })
    }

    /// The chosen content of a name does not exist any more.
    fn choice_gone(&self, name: FileName) -> ResolveError {
        let chosen = self.request.chosen.get(&name).map(|chosen| chosen.id.short());
        ResolveError::no_version(&name, format!("{} any more", chosen.unwrap_or_default()))
    }

    fn wanted(&self, name: FileName, content: Content, mtime_s: i64, executable: bool) -> WantedFile {
        let replace = self.request.replace;
        WantedFile { mtime_s, executable, replace, ..WantedFile::new(name, content) }
    }
}

const fn content(version: &Version) -> Content {
    Content { id: version.id, size: version.size }
}

const fn listed(entry: &CatalogueEntry) -> Content {
    Content { id: entry.id, size: entry.size }
}

#[cfg(test)]
mod tests;
