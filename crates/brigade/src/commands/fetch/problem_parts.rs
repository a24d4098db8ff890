//! The parts of the error with which a running peer refuses an order of fetches: missing names, and names with several
//! contents.
//!
//! `brigade fetch` and the screen of another peer read them.

use brigade_api::{
    problem::{AmbiguousChoice, Problem},
    values::ChosenContent,
};
use brigade_node::peer::{AmbiguousName, FetchRequest};

/// Whether nobody shares the name: it may be shared later. Other errors of a name do not pass.
pub(crate) fn is_missing(problem: &Problem) -> bool {
    problem.details().is_some_and(|details| details.missing)
}

/// Whether the name has several contents.
pub(crate) fn has_choices(problem: &Problem) -> bool {
    !choices(problem).is_empty()
}

/// The names with several contents.
pub(crate) fn choices(problem: &Problem) -> Vec<AmbiguousName> {
    let own = problem.details().into_iter().flat_map(|details| &details.choices);
    let of_names = problem.details().into_iter().flat_map(|details| &details.names);
    let of_names = of_names.filter_map(|one| one.problem.details()).flat_map(|details| &details.choices);
    own.chain(of_names).filter_map(AmbiguousChoice::to_node).collect()
}

/// The chosen contents, for the order.
pub(crate) fn chosen(request: &FetchRequest) -> Vec<ChosenContent> {
    let one = request.chosen.iter().map(|(name, content)| ChosenContent {
        name: name.to_string(),
        id: content.id.to_string(),
        size: content.size,
    });
    one.collect()
}
