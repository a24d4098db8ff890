//! Giving up fetches, pausing them, letting them go on, and changing their priority; and the questions of people about fetches.
//!
//! A paused fetch keeps its contents of several pieces: they stay open and are served. If another fetch wants such a
//! content, or many are open, it is closed; its pieces are hashed again when the fetch goes on.

use std::sync::Arc;

use brigade_core::{geometry::Geometry, id::Content};
use tokio::sync::watch;

use super::Fetches;
use crate::fetch_request::{
    FetchId,
    running_fetch::{Fetch, PieceMap},
};

/// The contents of several pieces that stay open although their fetches are paused. It is less than the number of those
/// that may be open, so that other fetches can go on.
const PAUSED_OPEN: usize = 16;

impl Fetches {
    /// Ends the fetches that were given up. The verified parts of them are kept.
    pub(crate) fn stop_given_up(&mut self) {
        for id in self.jobs.given_up() {
            for content in self.jobs.contents_of(id) {
                self.forget(&content);
                // Another fetch that waits for the same content takes it over; if it is getting its name, after that.
                self.jobs.release(&content);
            }
            self.note_numbers(Some(id));
            self.jobs.stop(id);
            self.background.remove_stored(vec![id]);
            self.prepare_more();
        }
    }

    /// Carries out what people wish for their fetches.
    pub(crate) fn carry_out_wishes(&mut self) {
        for (id, before, now) in self.jobs.change_options() {
            self.background.store_options(id, now);
            if !before.paused {
                self.pause_contents(id);
            }
            if now.paused {
                self.keep_paused(id);
            } else {
                self.go_on(id);
            }
        }
        for content in self.jobs.wanted_of_paused() {
            self.close_paused(&content);
        }
    }

    /// Lets a fetch go on that is neither paused nor waiting for space.
    pub(super) fn go_on(&mut self, id: FetchId) {
        let options = self.jobs.options(id);
        if options.paused || self.jobs.waits_for_space(id) {
            return;
        }
        for content in self.jobs.contents_of(id) {
            let uncounted = self.swarm.resume(&content, options.priority);
            uncounted.iter().for_each(|uncounted| self.jobs.stored_uncounted(&content, *uncounted));
        }
        self.prepare_more();
    }

    /// Requests nothing more of a fetch. Contents of several pieces stay as they are; those of one piece wait to be
    /// prepared again.
    pub(super) fn pause_contents(&mut self, id: FetchId) {
        for content in self.jobs.contents_of(id) {
            self.jobs.set_starved(&content, false);
            let Some(ended) = self.swarm.pause(&content) else { continue };
            if let Some(active) = self.ended(&content, &ended, false) {
                self.jobs.try_again(id, active.file, ended.present);
            }
            self.jobs.release(&content);
        }
    }

    /// If a fetch is paused: pauses the contents that were being prepared when it was paused, and closes those that are
    /// too many.
    pub(super) fn keep_paused(&mut self, id: FetchId) {
        if !self.jobs.options(id).paused {
            return;
        }
        self.pause_contents(id);
        let contents = self.jobs.contents_of(id);
        let superfluous = self.swarm.paused().saturating_sub(PAUSED_OPEN);
        contents.iter().rev().take(superfluous).for_each(|content| self.close_paused(content));
    }

    /// Closes the part of a content of a paused fetch. Its file waits to be prepared again.
    fn close_paused(&mut self, content: &Content) {
        if !self.swarm.is_paused(content) {
            return; // it is getting its name
        }
        let Some(ended) = self.swarm.forget(content) else { return };
        if let Some(active) = self.ended(content, &ended, false) {
            let id = active.job;
            self.jobs.try_again(id, active.file, ended.present);
        }
        self.jobs.release(content);
        self.prepare_more();
    }

    /// Follows the list of all fetches.
    pub(crate) fn list(&self) -> watch::Receiver<Arc<Vec<Fetch>>> {
        self.jobs.list()
    }

    /// Removes a fetch that has ended from the list. Returns whether there was one.
    pub(crate) fn forget_ended(&mut self, id: FetchId) -> bool {
        self.jobs.forget_ended(id)
    }

    /// The pieces of the content of several pieces that is being fetched for a fetch, if it is exactly one.
    pub(crate) fn piece_map(&self, id: FetchId) -> Option<PieceMap> {
        let contents = self.jobs.contents_of(id);
        let is_large = |content: &&Content| Geometry::new(content.size).is_ok_and(|one| one.count() > 1);
        let mut large = contents.iter().filter(is_large);
        let (Some(content), None) = (large.next(), large.next()) else { return None };
        let have = self.swarm.have(content)?;
        let name = self.jobs.file_of(content)?.1.name.clone();
        Some(PieceMap { name, pieces: have.len(), have: have.page(0, have.len()).to_vec() })
    }
}
