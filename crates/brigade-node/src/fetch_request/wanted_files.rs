//! The files that a request names, with everything that is needed to fetch them and to give them their names.
//!
//! These are values only. [`PeerHandle::resolve`](crate::peer::PeerHandle::resolve) finds the files.

use brigade_core::{
    id::Content,
    name::{FileName, Username},
};

use super::{FetchRequest, resolve_error::ResolveError};
use crate::store::landing::Landing;

/// The files of a request, and their common name.
#[derive(Debug)]
pub struct Resolved {
    pub(crate) name: String,
    pub(crate) files: Vec<WantedFile>,
    pub(crate) left_out: u64,
    /// The member whose files are fetched, if the request names one.
    pub(crate) from: Option<Username>,
    /// Whether files that have these names are kept aside.
    pub(crate) replace: bool,
}

impl Resolved {
    /// The files of a request, under the name that was given for the file. So many further names are left out, because
    /// the requested member does not share them.
    ///
    /// # Errors
    /// [`ResolveError::SeveralFiles`], if a name was given for several files.
    pub(crate) fn of(
        request: &FetchRequest,
        mut files: Vec<WantedFile>,
        left_out: u64,
    ) -> Result<Self, ResolveError> {
        let name = request.name.clone();
        if let Some(given) = &request.save_as {
            if files.len() > 1 {
                return Err(ResolveError::SeveralFiles { name, files: files.len(), save_as: given.clone() });
            }
            files = files.into_iter().map(|file| file.saved_as(given.clone())).collect();
        }
        Ok(Self { name, files, left_out, from: request.from.clone(), replace: request.replace })
    }

    /// These files, requested together under this name.
    #[cfg(test)]
    pub(crate) fn for_tests(name: &str, files: Vec<WantedFile>) -> Self {
        Self { name: name.to_owned(), files, left_out: 0, from: None, replace: false }
    }

    /// The requested name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The number of names in a folder, or that match a pattern, that only other members share than the requested one.
    pub const fn left_out(&self) -> u64 {
        self.left_out
    }

    /// The files.
    pub fn files(&self) -> &[WantedFile] {
        &self.files
    }
}

/// A wanted file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WantedFile {
    /// The name that it gets in the folder of this peer.
    pub name: FileName,
    /// Its name in the catalogue, which differs from `name` if it is saved under another one.
    pub catalogue_name: FileName,
    /// Its content.
    pub content: Content,
    /// When it was last written, in seconds since 1970.
    pub mtime_s: i64,
    /// Whether it is executable.
    pub executable: bool,
    /// Whether a file with the name and another content is kept aside.
    pub replace: bool,
}

impl WantedFile {
    /// A file that is saved under its own name, is not executable, replaces nothing and was written in 1970.
    pub(crate) fn new(name: FileName, content: Content) -> Self {
        let catalogue_name = name.clone();
        Self { name, catalogue_name, content, mtime_s: 0, executable: false, replace: false }
    }

    /// The same file, saved under another name.
    pub(crate) fn saved_as(self, name: FileName) -> Self {
        Self { name, ..self }
    }

    /// How it lands.
    pub(crate) fn landing(&self) -> Landing {
        Landing {
            name: self.name.clone(),
            mtime_s: self.mtime_s,
            executable: self.executable,
            replace: self.replace,
        }
    }
}
