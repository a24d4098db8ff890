//! The line of a file in a list for people.
//!
//! `files` and the prompt print it, and `folded_files` for the files that are in no folder.

use brigade_core::{plural::noun, wire::manager::CatalogueEntry};

use crate::text::{escape::escape, format};

/// A line for people.
pub(crate) fn row(file: &CatalogueEntry) -> String {
    format!(
        "{:>10}  {:>3} {:<7}  {}  {}",
        format::bytes(file.size),
        file.holders,
        noun(file.holders, "holder"),
        file.id.short(),
        escape(&file.name)
    )
}
