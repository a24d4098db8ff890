//! Choosing among several contents of a name: the list that is shown, and the answers that are understood.
//!
//! Who asks, and how it is heard, is the business of the prompt and of `brigade fetch`; scripts are asked nothing and get
//! the list as an error (`exit.rs`).

use std::time::Duration;

use brigade_core::{id::Content, plural::count, time::UnixTime, wire::manager::Version};
use brigade_node::peer::{AmbiguousName, FetchRequest, Peer, ResolveError, Resolved};

use crate::terminal::{escape::escape, format, signals::Signals};

/// What a wish came to where a person could be asked.
pub(crate) enum Chosen {
    /// These files.
    Files(Resolved),
    /// The person wants none of them.
    Nothing,
    /// The person wants to end it all.
    Interrupted,
}

/// What `wish` means. Where `signals` are given, Ctrl-C gives the wait for it up: an error without a cause.
pub(crate) async fn meaning(
    peer: &Peer,
    wish: &FetchRequest,
    waits: &mut (dyn FnMut(Duration) + Send),
    signals: Option<&Signals>,
) -> Result<Resolved, Option<ResolveError>> {
    let resolved = peer.resolve(wish, waits);
    let Some(signals) = signals else { return resolved.await.map_err(Some) };
    let interrupts = signals.take_interrupts();
    tokio::select! {
        resolved = resolved => resolved.map_err(Some),
        () = interrupts.interrupt() => Err(None),
    }
}

/// The question under the list of `choice`.
pub(crate) fn question(choice: &AmbiguousName) -> String {
    format!("Which one? [1-{}, nothing for none] ", choice.versions.len())
}

/// The contents of a name, numbered.
pub(crate) fn menu(choice: &AmbiguousName) -> String {
    let lines =
        choice.versions.iter().enumerate().map(|(at, one)| format!("\n  {}  {}", at + 1, version(one)));
    let name = escape(&choice.name).into_owned();
    format!("{name} has {}:{}", count(choice.versions.len(), "content"), lines.collect::<String>())
}

/// What is said of an answer that makes no sense.
pub(crate) fn no_answer(choice: &AmbiguousName, answer: &str) -> String {
    format!("{} is not one of 1 to {}", escape(answer.trim()), choice.versions.len())
}

/// Notes the answer to [`question`] in `wish`: `None` where it makes no sense, false for none of them.
pub(crate) fn take_answer(wish: &mut FetchRequest, choice: &AmbiguousName, answer: &str) -> Option<bool> {
    let answer = answer.trim();
    if answer.is_empty() {
        return Some(false);
    }
    let one = match answer.parse::<usize>() {
        Ok(number) => choice.versions.get(number.checked_sub(1)?)?,
        Err(_) => return None,
    };
    wish.chosen.insert(choice.name.clone(), Content { id: one.id, size: one.size });
    Some(true)
}

/// One content of a name: id, size, first announcement and holders.
pub(crate) fn version(version: &Version) -> String {
    let holders: Vec<&str> = version.holders.iter().map(|holder| holder.as_str()).collect();
    format!(
        "{}  {:>10}  first announced {}  {}",
        version.id.short(),
        format::bytes(version.size),
        format::time(UnixTime(version.first_s)),
        escape(&holders.join(", "))
    )
}

#[cfg(test)]
mod tests {
    use brigade_core::id::ContentId;

    use super::{AmbiguousName, FetchRequest, Version, menu, take_answer};

    fn choice() -> AmbiguousName {
        let version = |byte: u8, holders: &[&str]| Version {
            id: ContentId([byte; 32]),
            size: u64::from(byte) * 1_000_000,
            mtime_s: 0,
            executable: false,
            holders: holders.iter().map(|holder| holder.parse().unwrap()).collect(),
            first_s: 1_795_346_298,
        };
        let versions = vec![version(0xab, &["fire_user", "water_user"]), version(0xcd, &["earth_user"])];
        AmbiguousName::new("film.mkv".parse().unwrap(), versions)
    }

    #[test]
    fn a_menu_has_id_size_age_and_holders() {
        insta::assert_snapshot!(menu(&choice()), @r"
        film.mkv has 2 contents:
          1  ababababab    171.0 MB  first announced 2026-11-22T11:18:18Z  fire_user, water_user
          2  cdcdcdcdcd    205.0 MB  first announced 2026-11-22T11:18:18Z  earth_user
        ");
    }

    #[test]
    fn only_a_number_of_the_menu_chooses() {
        let mut wish = FetchRequest::default();
        for nonsense in ["0", "3", "-1", "one", "1 2", "99999999999999999999"] {
            assert_eq!(take_answer(&mut wish, &choice(), nonsense), None, "{nonsense}");
        }
        assert_eq!(take_answer(&mut wish, &choice(), " "), Some(false));
        assert!(wish.chosen.is_empty());
        assert_eq!(take_answer(&mut wish, &choice(), " 2 "), Some(true));
        assert_eq!(wish.chosen["film.mkv"].id, ContentId([0xcd; 32]));
    }
}
