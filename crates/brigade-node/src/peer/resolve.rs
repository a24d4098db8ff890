//! From what a person typed to the files that are to be fetched.
//!
//! An exact name always wins. Then a folder: all files below it. Then `NAME@ID-PREFIX`, one of several contents
//! under a name. What is not clear is not guessed: the versions are listed, and a person chooses.

use std::collections::BTreeMap;

use brigade_core::{
    id::Content,
    limits,
    name::{BadName, FileName, Username},
    wire::manager::{Found, Listed, Version},
};

use super::{asking::Asking, prepare::WantedFile, questions::AskError};

/// The shortest beginning of an id that chooses a version.
const ID_PREFIX_DIGITS: usize = 4;

/// Why nothing can be fetched under a name.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// Nobody shares it.
    #[error("nobody shares {name:?}")]
    NotFound {
        /// What was asked for.
        name: String,
        /// Names that come near it.
        closest: Vec<FileName>,
    },
    /// There are several contents under the name.
    #[error("{name} has {} contents", .versions.len())]
    Ambiguous {
        /// The name.
        name: FileName,
        /// The contents, the one with most holders first.
        versions: Vec<Version>,
    },
    /// There is the name, but not the version that was asked for.
    #[error("no content of {name:?} is {wanted}")]
    NoSuchVersion {
        /// The name.
        name: String,
        /// What was wanted of it.
        wanted: String,
        /// The contents that there are.
        versions: Vec<Version>,
    },
    /// The name cannot be one.
    #[error("{name:?} cannot be the name of a file: {why}")]
    BadName {
        /// What was asked for.
        name: String,
        /// Which rule it breaks.
        why: BadName,
    },
    /// More files than one fetch takes.
    #[error("{name:?} has more than {} files", limits::ANNOUNCED_NAMES)]
    TooMany {
        /// What was asked for.
        name: String,
    },
    /// The manager did not answer.
    #[error(transparent)]
    Ask(#[from] AskError),
}

/// The files that `name` means; where `from` is given, as that member shares them.
pub(super) async fn resolve(
    asking: &Asking,
    name: &str,
    from: Option<&Username>,
) -> Result<Vec<WantedFile>, ResolveError> {
    let folder = name.trim_end_matches('/');
    if folder.len() > limits::NAME_BYTES {
        return Err(ResolveError::BadName { name: name.to_owned(), why: BadName::TooLong });
    }
    let found = asking.lookup(folder).await?;
    let is_folder = folder.len() < name.len();
    if !found.versions.is_empty() && !is_folder {
        return choose(folder, found.versions, from, None).map(|file| vec![file]);
    }
    if found.below > 0 {
        return all_below(asking, folder, from).await;
    }
    if let Some((base, prefix)) = split_version(folder) {
        let of_base = asking.lookup(base).await?;
        if !of_base.versions.is_empty() {
            return choose(base, of_base.versions, from, Some(prefix)).map(|file| vec![file]);
        }
    }
    Err(nothing(name, found))
}

fn nothing(name: &str, found: Found) -> ResolveError {
    ResolveError::NotFound { name: name.to_owned(), closest: found.closest }
}

/// `NAME@ID-PREFIX`, cut at the last `@`.
fn split_version(name: &str) -> Option<(&str, &str)> {
    let (base, prefix) = name.rsplit_once('@')?;
    let is_prefix =
        (ID_PREFIX_DIGITS..=64).contains(&prefix.len()) && prefix.bytes().all(|b| b.is_ascii_hexdigit());
    (is_prefix && !base.is_empty()).then_some((base, prefix))
}

fn choose(
    name: &str,
    versions: Vec<Version>,
    from: Option<&Username>,
    prefix: Option<&str>,
) -> Result<WantedFile, ResolveError> {
    let parsed: FileName =
        name.parse().map_err(|why| ResolveError::BadName { name: name.to_owned(), why })?;
    let prefix = prefix.map(str::to_ascii_lowercase);
    let fits = |version: &&Version| {
        from.is_none_or(|from| version.holders.contains(from))
            && prefix.as_ref().is_none_or(|prefix| version.id.to_string().starts_with(prefix))
    };
    let fitting: Vec<&Version> = versions.iter().filter(fits).collect();
    match fitting[..] {
        [version] => Ok(wanted(
            parsed,
            Content { id: version.id, size: version.size },
            version.mtime_s,
            version.executable,
        )),
        [] => {
            let from = from.map(|from| format!("shared by {from}"));
            let id = prefix.map(|prefix| format!("the one that begins with {prefix}"));
            let wanted = from.or(id).unwrap_or_default();
            Err(ResolveError::NoSuchVersion { name: name.to_owned(), wanted, versions })
        }
        _ => {
            let versions = fitting.into_iter().cloned().collect();
            Err(ResolveError::Ambiguous { name: parsed, versions })
        }
    }
}

async fn all_below(
    asking: &Asking,
    folder: &str,
    from: Option<&Username>,
) -> Result<Vec<WantedFile>, ResolveError> {
    let prefix = format!("{folder}/");
    let mut files: BTreeMap<FileName, Vec<Listed>> = BTreeMap::new();
    let mut after = None;
    loop {
        let page = asking.browse(&prefix, after, from.cloned()).await?;
        let last = page.entries.last().map(|entry| entry.name.clone());
        for entry in page.entries {
            // The manager's word is checked like anybody's: a name outside the folder is not ours to write.
            if entry.name.is_below(folder) {
                files.entry(entry.name.clone()).or_default().push(entry);
            }
        }
        if files.len() > limits::ANNOUNCED_NAMES {
            return Err(ResolveError::TooMany { name: folder.to_owned() });
        }
        match last {
            Some(last) if page.more => after = Some(last),
            _ => break,
        }
    }
    if files.is_empty() {
        let wanted = from.map(|from| format!("shared by {from}")).unwrap_or_default();
        return Err(ResolveError::NoSuchVersion { name: folder.to_owned(), wanted, versions: vec![] });
    }
    let mut wanted_files = Vec::with_capacity(files.len());
    for (name, mut entries) in files {
        match entries.len() {
            1 => wanted_files.extend(entries.pop().map(|entry| {
                wanted(name, Content { id: entry.id, size: entry.size }, entry.mtime_s, entry.executable)
            })),
            _ => return Err(several(asking, name).await?),
        }
    }
    Ok(wanted_files)
}

/// What to say of a name in a folder that has several contents.
async fn several(asking: &Asking, name: FileName) -> Result<ResolveError, AskError> {
    let versions = asking.lookup(&name).await?.versions;
    Ok(ResolveError::Ambiguous { name, versions })
}

fn wanted(name: FileName, content: Content, mtime_s: i64, executable: bool) -> WantedFile {
    WantedFile { name, content, mtime_s, executable }
}

#[cfg(test)]
mod tests {
    use brigade_core::id::ContentId;

    use super::{ResolveError, Username, Version, choose, split_version};

    fn version(byte: u8, holders: &[&str]) -> Version {
        let holders = holders.iter().map(|holder| holder.parse().unwrap()).collect();
        Version { id: ContentId([byte; 32]), size: 5, mtime_s: 0, executable: false, holders }
    }

    #[test]
    fn a_version_is_chosen_by_id_or_by_who_shares_it() {
        let versions = || vec![version(0xab, &["fire_user", "water_user"]), version(0xcd, &["earth_user"])];
        let from: Username = "earth_user".parse().unwrap();
        assert!(
            matches!(choose("a", versions(), None, None), Err(ResolveError::Ambiguous { versions, .. }) if versions.len() == 2)
        );
        assert_eq!(choose("a", versions(), None, Some("ABAB")).unwrap().content.id, ContentId([0xab; 32]));
        assert_eq!(choose("a", versions(), Some(&from), None).unwrap().content.id, ContentId([0xcd; 32]));
        let stranger: Username = "air_user".parse().unwrap();
        assert!(matches!(
            choose("a", versions(), Some(&stranger), None),
            Err(ResolveError::NoSuchVersion { .. })
        ));
        assert!(matches!(choose("../a", versions(), None, None), Err(ResolveError::BadName { .. })));
    }

    #[test]
    fn only_hex_digits_after_the_last_at_are_a_version() {
        assert_eq!(split_version("a@b@12ef"), Some(("a@b", "12ef")));
        for name in ["a", "a@12e", "a@12eg", "@12ef", "mail@example"] {
            assert_eq!(split_version(name), None, "{name}");
        }
    }
}
