//! Changes on their way to whoever announces them, in order and gathered into batches.
//!
//! The keeper never waits to say something: it would not hear meanwhile of files that landed, from the very task that
//! it waits for. While the outbox is full it takes up no other work instead.

use std::{collections::VecDeque, sync::Arc};

use brigade_core::{limits, name::FileName};

use super::Change;
use crate::store::share::Shared;

/// Changes that may wait before the keeper takes up no more work.
const FULL: usize = 32;

#[derive(Debug, Default)]
pub(super) struct Outbox {
    waiting: VecDeque<Change>,
}

impl Outbox {
    pub(super) fn shared(&mut self, file: Arc<Shared>) {
        match self.waiting.back_mut() {
            Some(Change::Shared(files)) if files.len() < limits::ANNOUNCE_ENTRIES => files.push(file),
            _ => self.waiting.push_back(Change::Shared(vec![file])),
        }
    }

    pub(super) fn gone(&mut self, name: FileName) {
        match self.waiting.back_mut() {
            Some(Change::Gone(names)) if names.len() < limits::ANNOUNCE_ENTRIES => names.push(name),
            _ => self.waiting.push_back(Change::Gone(vec![name])),
        }
    }

    pub(super) fn push(&mut self, change: Change) {
        self.waiting.push_back(change);
    }

    pub(super) fn pop(&mut self) -> Option<Change> {
        self.waiting.pop_front()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() >= FULL
    }
}
