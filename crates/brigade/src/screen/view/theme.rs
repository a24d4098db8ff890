//! The styles of the screen: with colours, or without them (`NO_COLOR`), where bold, dim, underlined and reversed text
//! tells the same.
//!
//! No meaning is in a colour alone: states are words too.

use ratatui::style::{Color, Modifier, Style};

/// The styles.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Theme {
    pub(crate) has_colours: bool,
}

impl Theme {
    fn coloured(self, colour: Color) -> Style {
        if self.has_colours { Style::new().fg(colour) } else { Style::new() }
    }

    /// The title of a pane.
    pub(crate) fn title(self, is_focused: bool) -> Style {
        let style = Style::new().add_modifier(Modifier::BOLD);
        if is_focused {
            return self.coloured(Color::Cyan).patch(style).add_modifier(Modifier::REVERSED);
        }
        style.add_modifier(Modifier::UNDERLINED)
    }

    /// The selected row of a pane.
    pub(crate) fn selected(self, is_focused: bool) -> Style {
        if is_focused {
            Style::new().add_modifier(Modifier::REVERSED)
        } else {
            Style::new().add_modifier(Modifier::BOLD)
        }
    }

    /// Text of less importance.
    pub(crate) fn dim(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    /// A bar, a map, a rate.
    pub(crate) fn progress(self) -> Style {
        self.coloured(Color::Green)
    }

    /// A folder.
    pub(crate) fn folder(self) -> Style {
        self.coloured(Color::Blue).add_modifier(Modifier::BOLD)
    }

    /// A problem.
    pub(crate) fn problem(self) -> Style {
        self.coloured(Color::Yellow).add_modifier(Modifier::BOLD)
    }
}
