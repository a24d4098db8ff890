//! `brigade pause`, `resume`, `cancel` and `prioritize`: changes of the fetches of a running peer.
//!
//! Fetches are named by their numbers or their names. If one of them does not exist, nothing is changed, and the error
//! names those that do.

use std::process::ExitCode;

use brigade_api::{
    client::{ClientError, PeerClient},
    values::{Fetch, FetchUpdate, Priority},
};
use brigade_core::plural::count;

use super::{json, peer, print_result};
use crate::{
    command_line::args::running::{ChosenFetches, PriorityChoice, RunningPeer},
    commands::json_events::with_failure,
    failure::{Failure, NOT_FOUND, REFUSED},
    text::escape::escape,
};

/// A change of a fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FetchChange {
    Pause,
    Resume,
    Cancel,
    Prioritize(PriorityChoice),
}

/// The most fetches that an error lists.
const LISTED: usize = 20;

impl FetchChange {
    /// The result for people: `paused`.
    const fn done(self) -> &'static str {
        match self {
            Self::Pause => "paused",
            Self::Resume => "resumed",
            Self::Cancel => "cancelled",
            Self::Prioritize(PriorityChoice::High) => "high priority",
            Self::Prioritize(PriorityChoice::Normal) => "normal priority",
            Self::Prioritize(PriorityChoice::Low) => "low priority",
        }
    }

    fn update(self) -> FetchUpdate {
        match self {
            Self::Pause => FetchUpdate { paused: Some(true), ..FetchUpdate::default() },
            Self::Resume => FetchUpdate { paused: Some(false), ..FetchUpdate::default() },
            Self::Cancel => FetchUpdate::default(),
            Self::Prioritize(priority) => {
                FetchUpdate { priority: Some(priority.into()), ..FetchUpdate::default() }
            }
        }
    }
}

impl From<PriorityChoice> for brigade_node::peer::Priority {
    fn from(chosen: PriorityChoice) -> Self {
        match chosen {
            PriorityChoice::High => Self::High,
            PriorityChoice::Normal => Self::Normal,
            PriorityChoice::Low => Self::Low,
        }
    }
}

impl From<PriorityChoice> for Priority {
    fn from(chosen: PriorityChoice) -> Self {
        match chosen {
            PriorityChoice::High => Self::High,
            PriorityChoice::Normal => Self::Normal,
            PriorityChoice::Low => Self::Low,
        }
    }
}

/// Runs the command.
pub(crate) async fn run(
    change: FetchChange,
    chosen: &ChosenFetches,
    of: &RunningPeer,
) -> Result<ExitCode, Failure> {
    with_failure(change_all(change, chosen, of).await, of.output.json)
}

async fn change_all(
    change: FetchChange,
    chosen: &ChosenFetches,
    of: &RunningPeer,
) -> Result<ExitCode, Failure> {
    let client = peer(of)?;
    let changed = apply(&client, change, &chosen.fetches, chosen.all).await?;
    for fetch in &changed {
        let mut object = json(fetch);
        object["transfer"] = "fetch".into();
        object["change"] = change.done().into();
        print_result(of.output, &line(change, fetch), &object);
    }
    if changed.is_empty() && !of.output.json {
        print_result(of.output, "no fetch runs", &());
    }
    Ok(ExitCode::SUCCESS)
}

/// Changes the chosen fetches of a peer. Returns them; of all fetches, those that end meanwhile are left out.
pub(crate) async fn apply(
    client: &PeerClient,
    change: FetchChange,
    texts: &[String],
    all: bool,
) -> Result<Vec<Fetch>, Failure> {
    let running: Vec<Fetch> =
        client.fetches().await?.into_iter().filter(|fetch| !fetch.state.is_over()).collect();
    let chosen: Vec<Fetch> =
        if all { running } else { chosen(&running, texts)?.into_iter().cloned().collect() };
    change_each(client, change, &chosen, all).await
}

/// Changes the fetches, all of them even if one has ended meanwhile.
async fn change_each(
    client: &PeerClient,
    change: FetchChange,
    chosen: &[Fetch],
    all: bool,
) -> Result<Vec<Fetch>, Failure> {
    let (mut changed, mut ended) = (vec![], vec![]);
    for fetch in chosen {
        let result = match change {
            FetchChange::Cancel => client.cancel_fetch(fetch.id).await,
            _ => client.update_fetch(fetch.id, change.update()).await,
        };
        match result {
            Ok(fetch) => changed.push(fetch),
            Err(ClientError::Problem(problem)) if has_ended(problem.code()) => ended.push(fetch),
            Err(error) => return Err(error.into()),
        }
    }
    if all || ended.is_empty() { Ok(changed) } else { Err(ended_fetches(change, &changed, &ended)) }
}

/// Whether a refusal with this code means that the fetch has ended; it may have left the list, too.
const fn has_ended(code: u8) -> bool {
    matches!(code, REFUSED | NOT_FOUND)
}

/// The error for named fetches that ended before they were changed.
fn ended_fetches(change: FetchChange, changed: &[Fetch], ended: &[&Fetch]) -> Failure {
    let listed = |fetch: &&Fetch| format!("\n  {}  {}", fetch.id, fetch.name);
    let list: String = ended.iter().map(listed).collect();
    let message = format!("{} ended before the change:{list}", count(ended.len(), "fetch"));
    let others = match changed.len() {
        0 => "nothing was changed".to_owned(),
        many => format!("{}: {}", change.done(), count(many, "other fetch")),
    };
    Failure::new(REFUSED, message).hint(format!("{others}; `transfers --all` lists those that have ended"))
}

/// The result for one fetch, for people.
pub(crate) fn line(change: FetchChange, fetch: &Fetch) -> String {
    format!("{}: {}  {}", change.done(), fetch.id, escape(&fetch.name))
}

/// The fetches that `texts` name, each once.
fn chosen<'a>(running: &'a [Fetch], texts: &[String]) -> Result<Vec<&'a Fetch>, Failure> {
    let mut chosen: Vec<&Fetch> = vec![];
    let mut unknown = vec![];
    for text in texts {
        let number = text.parse::<u64>().ok();
        let by_number = running.iter().filter(|fetch| Some(fetch.id) == number).collect::<Vec<_>>();
        let by_name = || running.iter().filter(|fetch| fetch.name == *text).collect::<Vec<_>>();
        let found = if by_number.is_empty() { by_name() } else { by_number };
        if found.is_empty() {
            unknown.push(text.as_str());
        }
        chosen.extend(
            found
                .into_iter()
                .filter(|one| !chosen.iter().any(|other| other.id == one.id))
                .collect::<Vec<_>>(),
        );
    }
    if unknown.is_empty() { Ok(chosen) } else { Err(unknown_fetches(running, &unknown)) }
}

fn unknown_fetches(running: &[Fetch], unknown: &[&str]) -> Failure {
    let quoted: Vec<String> = unknown.iter().map(|text| format!("{text:?}")).collect();
    let message = match unknown {
        [_] => format!("no running fetch has the number or the name {}", quoted[0]),
        _ => format!("no running fetches have the numbers or the names {}", quoted.join(", ")),
    };
    let listed = running.iter().take(LISTED).map(|fetch| format!("{}  {}", fetch.id, fetch.name));
    let listed: Vec<String> = listed.collect();
    let rest = running.len().saturating_sub(LISTED);
    let hint = match (running.len(), similar(running, unknown[0])) {
        (0, _) => "no fetch runs; `transfers --all` lists those that have ended".to_owned(),
        (_, Some(name)) => format!("did you mean {name:?}?"),
        (_, None) => "these run; nothing was changed".to_owned(),
    };
    let more = (rest > 0).then(|| format!("and {}", count(rest, "more fetch")));
    let shown = if listed.is_empty() { String::new() } else { format!(":\n  {}", listed.join("\n  ")) };
    let more = more.map(|more| format!("\n  {more}")).unwrap_or_default();
    let message = if shown.is_empty() { message } else { format!("{message}; these run{shown}{more}") };
    Failure::new(NOT_FOUND, message).hint(hint)
}

/// The name of a running fetch that is similar to `text`.
fn similar<'a>(running: &'a [Fetch], text: &str) -> Option<&'a str> {
    let names = running.iter().map(|fetch| (strsim::jaro_winkler(&fetch.name, text), fetch.name.as_str()));
    let best = names.filter(|(similarity, _)| *similarity > 0.8).max_by(|a, b| a.0.total_cmp(&b.0));
    best.map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use brigade_node::peer::Progress;

    use super::{Fetch, chosen};

    fn running() -> Vec<Fetch> {
        ["film.mkv", "7", "data/**"]
            .iter()
            .zip(3..)
            .map(|(name, id)| Fetch::new(id, 0, &Progress::new(*name)))
            .collect()
    }

    fn ids(texts: &[&str]) -> Result<Vec<u64>, String> {
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        let running = running();
        let found = chosen(&running, &texts).map_err(|failure| failure.text())?;
        Ok(found.iter().map(|fetch| fetch.id).collect())
    }

    #[test]
    fn a_fetch_is_named_by_its_number_or_its_name() {
        assert_eq!(ids(&["3"]), Ok(vec![3]));
        assert_eq!(ids(&["data/**", "film.mkv", "3"]), Ok(vec![5, 3]));
        assert_eq!(ids(&["7"]), Ok(vec![4]), "a name that looks like a number");
    }

    #[test]
    fn an_unknown_fetch_is_an_error_that_names_the_known_ones() {
        let text = ids(&["3", "9"]).unwrap_err();
        assert!(text.contains("\"9\"") && text.contains("\n  3  film.mkv\n  4  7\n  5  data/**"), "{text}");
        assert!(ids(&["flim.mkv"]).unwrap_err().contains("did you mean \"film.mkv\"?"));
    }
}
