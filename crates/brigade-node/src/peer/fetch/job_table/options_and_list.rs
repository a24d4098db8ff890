//! The options of fetches, which people change while the fetches run, and the published list of fetches.
//!
//! `fetch_coordination/user_wishes` acts on the options.

use std::sync::Arc;

use tokio::sync::watch;

use super::{ActiveFile, Content, FetchId, FetchJob, Jobs};
use crate::fetch_request::{FetchOptions, running_fetch::Fetch};

impl Jobs {
    /// Puts the options that people wish for their fetches into effect: each fetch of which they differ now, and its
    /// options before and now.
    pub(crate) fn change_options(&mut self) -> Vec<(FetchId, FetchOptions, FetchOptions)> {
        let changed = |(id, job): (&FetchId, &mut FetchJob)| {
            let before = job.change_options()?;
            Some((*id, before, job.options()))
        };
        self.jobs.iter_mut().filter_map(changed).collect()
    }

    /// The options of a fetch; those of a new one if it has ended.
    pub(crate) fn options(&self, id: FetchId) -> FetchOptions {
        self.jobs.get(&id).map_or_else(FetchOptions::default, FetchJob::options)
    }

    /// The contents of paused fetches for which files of other fetches wait.
    pub(crate) fn wanted_of_paused(&self) -> Vec<Content> {
        let is_paused = |active: &ActiveFile| self.options(active.job).paused;
        let paused = self.active.iter().filter(|(_, active)| is_paused(active));
        let wanted =
            paused.filter(|(content, active)| self.claims.is_deferred_by_others(content, active.job));
        wanted.map(|(content, _)| *content).collect()
    }

    /// Follows the list of all fetches.
    pub(crate) fn list(&self) -> watch::Receiver<Arc<Vec<Fetch>>> {
        self.list.follow()
    }

    /// Removes a fetch that has ended from the list. Returns whether there was one.
    pub(crate) fn forget_ended(&mut self, id: FetchId) -> bool {
        self.list.forget(id)
    }
}
