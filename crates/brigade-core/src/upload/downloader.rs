//! One downloader: what it waits for, what it got, and how much that counts.
//!
//! Bookkeeping only; who is next is decided in [`super`].

use std::time::Duration;

use super::inputs_and_outputs::{UploadTotal, WantedContent};
use crate::{id::Content, time::Timestamp};

/// The time in which what a downloader has had counts half as much for its turn.
const HALF_LIFE: Duration = Duration::from_secs(10);

/// How much more, or less, than somebody who can pass on as much as comes from here a downloader may get.
const MOST_WEIGHT: f64 = 16.0;

/// A content of which any piece is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Interest {
    pub(super) content: Content,
    /// Whether every piece of it is here.
    pub(super) complete: bool,
}

#[derive(Debug)]
pub(super) struct Downloader {
    /// Requests that take up no offer and have not had their turn.
    pub(super) waiting: usize,
    /// In the order that they were wanted in.
    pub(super) interests: Vec<Interest>,
    /// Turns that are not over: offered, waiting for the line, or being served.
    pub(super) turns: usize,
    /// Those of them that are being served.
    pub(super) served: usize,
    pub(super) connected: bool,
    /// Whether it left an offer without an answer, and nothing was heard of it since.
    pub(super) silent: bool,
    pub(super) total: UploadTotal,
    pub(super) last_turn: u64,
    /// Bytes a second that it says it can pass on.
    uplink: Option<u64>,
    /// How much more than others it is to get, of what it wanted first.
    weight: f64,
    recent: f64,
    recent_at: Timestamp,
}

impl Default for Downloader {
    fn default() -> Self {
        Self {
            waiting: 0,
            interests: Vec::new(),
            turns: 0,
            served: 0,
            connected: false,
            silent: false,
            total: UploadTotal::default(),
            last_turn: 0,
            uplink: None,
            weight: 1.0,
            recent: 0.0,
            recent_at: Timestamp::default(),
        }
    }
}

impl Downloader {
    /// It wants any piece of a content.
    pub(super) fn want(&mut self, want: WantedContent, bytes_per_second: Option<u64>) {
        let interest = Interest { content: want.content, complete: want.complete.is_some() };
        match self.interests.iter_mut().find(|known| known.content == want.content) {
            Some(known) => *known = interest,
            None => self.interests.push(interest),
        }
        self.uplink = want.uplink;
        self.update_weight(bytes_per_second);
    }

    /// It wants nothing more of a content.
    pub(super) fn unwant(&mut self, content: &Content, bytes_per_second: Option<u64>) {
        self.interests.retain(|interest| interest.content != *content);
        self.update_weight(bytes_per_second);
    }

    /// Updates the downloader's weight. Pieces from a complete holder are new to everyone: a downloader that can pass
    /// on more gets more of them, in proportion (Kumar, Ross: Peer-Assisted File Distribution, 2006). Otherwise all get
    /// the same; a downloader that passes nothing on comes last.
    #[allow(clippy::cast_precision_loss)] // a weight
    pub(super) fn update_weight(&mut self, bytes_per_second: Option<u64>) {
        let complete = self.next_interest().is_some_and(|interest| interest.complete);
        self.weight = match (self.uplink, bytes_per_second) {
            (Some(0), _) => 1.0 / MOST_WEIGHT,
            (Some(uplink), Some(rate)) if complete => {
                (uplink as f64 / rate.max(1) as f64).clamp(1.0 / MOST_WEIGHT, MOST_WEIGHT)
            }
            _ => 1.0,
        };
    }

    /// What it is to be offered next: what it wanted first.
    pub(super) fn next_interest(&self) -> Option<Interest> {
        self.interests.first().copied()
    }

    /// The turns that it has, in whole turns of one who is to get as much as others.
    #[allow(clippy::cast_precision_loss)] // a handful
    pub(super) fn turns_had(&self) -> f64 {
        (self.turns as f64 / self.weight.max(1.0)).floor()
    }

    /// What it has had of late, by what it is to get.
    pub(super) fn recent_weighted(&self, now: Timestamp) -> f64 {
        self.recent(now) / self.weight
    }

    #[allow(clippy::cast_precision_loss)] // a weight, far below 2^53
    pub(super) fn count(&mut self, now: Timestamp, bytes: u64) {
        self.recent = self.recent(now) + bytes as f64;
        self.recent_at = now;
        self.total.bytes += bytes;
        self.total.pieces += u64::from(bytes > 0);
    }

    /// Bytes that it has had, the older the less.
    fn recent(&self, now: Timestamp) -> f64 {
        let half_life_count = now.since(self.recent_at).as_secs_f64() / HALF_LIFE.as_secs_f64();
        self.recent / (1.0 + half_life_count) // a rational decay: the same bits on every machine
    }
}
