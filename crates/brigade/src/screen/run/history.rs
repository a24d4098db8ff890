//! The history of typed commands, in the same file as that of the editor of the plain prompt.
//!
//! An error of the file is no error of the screen: there is no history then.

use std::path::{Path, PathBuf};

use rustyline::history::{FileHistory, History};

/// The number of lines that the file keeps.
const LINES: usize = 1000;

/// The file, and the lines in it.
pub(super) struct TypedHistory {
    file: Option<PathBuf>,
    history: FileHistory,
}

impl TypedHistory {
    /// Reads the file.
    pub(super) fn load(file: Option<PathBuf>) -> Self {
        let mut history = FileHistory::new();
        let _ = history.set_max_len(LINES);
        if let Some(file) = &file {
            let _ = history.load(file); // it does not exist at the first start
        }
        Self { file, history }
    }

    /// The lines, the oldest first.
    pub(super) fn lines(&self) -> Vec<String> {
        self.history.iter().cloned().collect()
    }

    /// Adds a line to the file.
    pub(super) fn add(&mut self, line: &str) {
        if line.trim().is_empty() || !self.history.add(line).unwrap_or(false) {
            return;
        }
        if let Some(file) = &self.file {
            append(&mut self.history, file);
        }
    }
}

fn append(history: &mut FileHistory, file: &Path) {
    if let Err(error) = history.append(file) {
        tracing::debug!(%error, "the history of commands cannot be written");
    }
}
