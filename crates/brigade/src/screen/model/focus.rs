//! Where the typed keys go: the prompt, or one of the panes.
//!
//! Tab goes from the prompt through the panes and back.

/// A part of the screen with a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pane {
    Transfers,
    Files,
    Peers,
    Log,
}

impl Pane {
    /// All panes, in the order of Tab.
    pub(crate) const ALL: [Self; 4] = [Self::Transfers, Self::Files, Self::Peers, Self::Log];

    /// Its title.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Transfers => "Transfers",
            Self::Files => "Files",
            Self::Peers => "Peers",
            Self::Log => "Log",
        }
    }
}

/// The part that receives the typed keys.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Focus {
    /// The line at the bottom.
    #[default]
    Prompt,
    Pane(Pane),
    /// The line above the files that selects them.
    Filter,
}

impl Focus {
    /// The next part, or the previous one.
    pub(crate) fn moved(self, forward: bool) -> Self {
        let at = match self {
            Self::Prompt => None,
            Self::Filter => Pane::ALL.iter().position(|pane| *pane == Pane::Files),
            Self::Pane(pane) => Pane::ALL.iter().position(|one| *one == pane),
        };
        let last = Pane::ALL.len() - 1;
        let next = match (at, forward) {
            (None, true) => Some(0),
            (None, false) => Some(last),
            (Some(at), true) => (at < last).then_some(at + 1),
            (Some(at), false) => at.checked_sub(1),
        };
        next.map_or(Self::Prompt, |at| Self::Pane(Pane::ALL[at]))
    }
}
