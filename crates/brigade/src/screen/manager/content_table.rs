//! The table of the contents of a manager: the size and the number of holders of each content, and its name.
//!
//! The name is last, and is shortened in a narrow terminal.

use brigade_core::plural::count;
use ratatui::{
    style::{Modifier, Style},
    text::Line,
};
use unicode_width::UnicodeWidthStr;

use super::model::{ContentOrder, ListedContent};
use crate::text::{
    escape::escape,
    format,
    shortening::{cut, shortened},
};

/// The heading.
pub(super) fn heading(order: ContentOrder, width: usize) -> Line<'static> {
    let holders = match order {
        ContentOrder::ByName => "holders",
        ContentOrder::FewestHolders => "holders ▲",
        ContentOrder::MostHolders => "holders ▼",
    };
    let text = format!("{:>10}  {holders:<12}  name", "size");
    Line::styled(cut(&text, width), Style::new().add_modifier(Modifier::BOLD | Modifier::UNDERLINED))
}

/// A content as a row of this width.
pub(super) fn row(content: &ListedContent, width: usize) -> String {
    let head =
        format!("{:>10}  {:<12}  ", format::bytes(content.size_bytes), count(content.holders, "holder"));
    let name = escape(&content.name);
    if head.width() + 8 > width {
        return shortened(&name, width);
    }
    format!("{head}{}", shortened(&name, width - head.width()))
}
