//! Choosing one of several contents of a name: the list, and the answers; and the note about files that `--from` leaves
//! out.
//!
//! The prompt and `brigade fetch` ask the question; scripts get the list as an error (`failure`).

use std::time::Duration;

use brigade_core::{id::Content, name::Username, plural::count};
use brigade_node::peer::{AmbiguousName, FetchRequest, PeerHandle, ResolveError, Resolved};

use crate::{
    failure::{Failure, NOT_FOUND},
    terminal::{
        input::{Input, LineReader, is_about_line},
        signals::{Signal, Signals},
    },
    text::{escape::escape, format},
};

/// The result of resolving a request, after a person chose.
pub(crate) enum Chosen {
    /// The files to fetch.
    Files(Resolved),
    /// The person chose no content.
    Nothing,
}

/// The answer of a person to the questions about some names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// A content of each name is chosen.
    Chosen,
    /// The person chose no content.
    Nothing,
    /// The input ended at a question, or could not be read.
    Unanswered,
    /// The person wants to end the program.
    Interrupted,
    /// There is no terminal, or no question may be asked.
    NobodyToAsk,
}

impl Answer {
    /// The signal that the answer means, if it means one: the terminal may be closed.
    pub(super) async fn signal(self, signals: &mut Signals) -> Option<Signal> {
        match self {
            Self::Interrupted => Some(Signal::Interrupt),
            Self::Unanswered => signals.at_end_of_terminal().await,
            _ => None,
        }
    }
}

/// The error if no content of `name` was chosen.
pub(super) fn nothing_chosen(name: &str) -> Failure {
    Failure::new(NOT_FOUND, format!("no content of {name:?} was chosen"))
}

/// Asks a person at the terminal which content of a name is meant.
pub(super) struct ContentQuestions {
    /// Whether a question may be asked.
    asks: bool,
    lines: Option<LineReader>,
}

impl ContentQuestions {
    pub(super) const fn new(asks: bool) -> Self {
        Self { asks, lines: None }
    }

    /// Asks for a content of each of `choices`, and adds the answers to `request`.
    pub(super) async fn ask(
        &mut self,
        choices: &[AmbiguousName],
        request: &mut FetchRequest,
    ) -> Result<Answer, Failure> {
        if self.lines.is_none() && self.asks {
            let opened =
                LineReader::open(None).map_err(|error| Failure::other("opening the terminal", &error));
            self.lines = Some(opened?);
        }
        let Some(lines) = self.lines.as_mut().filter(|lines| lines.is_terminal()) else {
            return Ok(Answer::NobodyToAsk);
        };
        for choice in choices {
            lines.printer().print(&menu(choice));
            let is_chosen = loop {
                match lines.ask(&question(choice)).await {
                    Ok(Input::Line(answer)) => {
                        if let Some(is_chosen) = take_answer(request, choice, &answer) {
                            break is_chosen;
                        }
                        lines.printer().print(&invalid_answer(choice, &answer));
                    }
                    Err(error) if is_about_line(&error) => {
                        lines.printer().print(&Failure::of_input(&error).text());
                    }
                    Ok(Input::Interrupted) => return Ok(Answer::Interrupted),
                    Ok(Input::End) | Err(_) => return Ok(Answer::Unanswered),
                }
            };
            if !is_chosen {
                return Ok(Answer::Nothing);
            }
        }
        Ok(Answer::Chosen)
    }
}

/// Resolves `request`. If `signals` are given, Ctrl-C stops the wait: the error is then `None`.
pub(crate) async fn resolve_request(
    peer: &PeerHandle,
    request: &FetchRequest,
    waits: &mut (dyn FnMut(Duration) + Send),
    signals: Option<&Signals>,
) -> Result<Resolved, Option<ResolveError>> {
    let resolved = peer.resolve(request, waits);
    let Some(signals) = signals else { return resolved.await.map_err(Some) };
    match signals.until_interrupted(resolved).await {
        Some(resolved) => resolved.map_err(Some),
        None => Err(None),
    }
}

/// The note about files of a folder or a pattern that are not fetched, because `from` does not share them.
pub(crate) fn left_out_note(name: &str, left_out: u64, from: Option<&Username>) -> Option<String> {
    let from = from.filter(|_| left_out > 0)?;
    let left_out = count(left_out, "file");
    Some(format!("{} is fetched without {left_out} that {from} does not share", escape(name)))
}

/// The question below the list of `choice`.
pub(crate) fn question(choice: &AmbiguousName) -> String {
    format!("Which one? [1-{}, Enter for none] ", choice.versions.len())
}

/// The contents of a name, numbered.
pub(crate) fn menu(choice: &AmbiguousName) -> String {
    let lines = choice
        .versions
        .iter()
        .enumerate()
        .map(|(at, one)| format!("\n  {}  {}", at + 1, format::version(one)));
    let name = escape(&choice.name).into_owned();
    format!("{name} has {}:{}", count(choice.versions.len(), "content"), lines.collect::<String>())
}

/// The message for an answer that is not a number of the list.
pub(crate) fn invalid_answer(choice: &AmbiguousName, answer: &str) -> String {
    format!("{} is not one of 1 to {}", escape(answer.trim()), choice.versions.len())
}

/// Adds the answer to [`question`] to `request`. Returns `None` if the answer is not a number of the list, and false if
/// no content is chosen.
pub(crate) fn take_answer(request: &mut FetchRequest, choice: &AmbiguousName, answer: &str) -> Option<bool> {
    let answer = answer.trim();
    if answer.is_empty() {
        return Some(false);
    }
    let one = match answer.parse::<usize>() {
        Ok(number) => choice.versions.get(number.checked_sub(1)?)?,
        Err(_) => return None,
    };
    request.chosen.insert(choice.name.clone(), Content { id: one.id, size: one.size });
    Some(true)
}

#[cfg(test)]
mod tests {
    use brigade_core::{id::ContentId, wire::manager::Version};

    use super::{AmbiguousName, FetchRequest, menu, take_answer};

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
        let mut request = FetchRequest::default();
        for answer in ["0", "3", "-1", "one", "1 2", "99999999999999999999"] {
            assert_eq!(take_answer(&mut request, &choice(), answer), None, "{answer}");
        }
        assert_eq!(take_answer(&mut request, &choice(), " "), Some(false));
        assert!(request.chosen.is_empty());
        assert_eq!(take_answer(&mut request, &choice(), " 2 "), Some(true));
        assert_eq!(request.chosen["film.mkv"].id, ContentId([0xcd; 32]));
    }
}
