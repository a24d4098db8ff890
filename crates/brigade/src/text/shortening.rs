//! Texts that are made shorter, by their width on a terminal: wide characters count as two columns.
//!
//! A text loses its middle or its end; an ellipsis takes the place of what is omitted.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// `text` in at most this width: a longer text loses its middle.
pub(crate) fn shortened(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let kept = columns.saturating_sub(1);
    let tail = kept / 2;
    let head = beginning(text, kept - tail);
    let mut taken = 0;
    let fits = |character: &char| {
        taken += character.width().unwrap_or(0);
        taken <= tail
    };
    let end: Vec<char> = text.chars().rev().take_while(fits).collect();
    // A combining mark has no letter before it here.
    let end = end.into_iter().rev().skip_while(|character| character.width() == Some(0));
    format!("{head}…{}", end.collect::<String>())
}

/// `text` in at most this width: a longer text loses its end.
pub(crate) fn cut(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        text.to_owned()
    } else {
        format!("{}…", beginning(text, columns.saturating_sub(1)))
    }
}

/// The longest beginning of `text` that fits into the width.
fn beginning(text: &str, columns: usize) -> &str {
    let mut taken = 0;
    let is_beyond = |(_, character): &(usize, char)| {
        taken += character.width().unwrap_or(0);
        taken > columns
    };
    text.char_indices().find(is_beyond).map_or(text, |(end, _)| &text[..end])
}

#[cfg(test)]
mod tests {
    use super::{cut, shortened};

    #[test]
    fn wide_characters_count_as_two_columns() {
        assert_eq!(shortened("日本語の名前.txt", 16), "日本語の名前.txt");
        assert_eq!(shortened("日本語の名前.txt", 15), "日本語…前.txt");
        assert_eq!(shortened("abc", 2), "a…");
        assert_eq!(shortened("abc", 1), "…");
        assert_eq!(cut("日本語", 4), "日…");
    }
}
