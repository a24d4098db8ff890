//! Text that came from another machine, made harmless before a terminal shows it.
//!
//! What moves the cursor, changes colours, turns the direction of writing or cannot be seen is written as
//! `\u{…}`; a backslash is doubled, so that nothing can be mistaken for such an escape.

use std::borrow::Cow;

/// `text` with everything invisible written out.
pub(crate) fn escape(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_harmless) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_harmless(character) {
            escaped.push(character);
        } else {
            escaped.extend(character.escape_debug());
        }
    }
    Cow::Owned(escaped)
}

fn is_harmless(character: char) -> bool {
    match character {
        '\\' => false,
        '"' | '\'' | ' '..='~' => true,
        // The standard library knows what is printable, but tells only by escaping the rest. It also escapes a
        // mark that stands first, for want of a letter to stand on: hence the letter.
        _ => {
            let mut buffer = [b'x', 0, 0, 0, 0];
            character.encode_utf8(&mut buffer[1..]);
            let text = std::str::from_utf8(&buffer[..=character.len_utf8()]).unwrap_or_default();
            text.escape_debug().eq(['x', character])
        }
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::escape;

    #[test]
    fn ordinary_text_stays_as_it_is() {
        for text in ["", "a b", "it's \"quoted\"", "Zoë – 日本語 🔥", "नमस्ते", "e\u{301}"]
        {
            assert!(matches!(escape(text), Cow::Borrowed(same) if same == text), "{text}");
        }
    }

    #[test]
    fn what_a_terminal_would_obey_is_written_out() {
        assert_eq!(escape("\u{1b}[2Jgone"), "\\u{1b}[2Jgone");
        assert_eq!(escape("a\nb\tc\r"), "a\\nb\\tc\\r");
        assert_eq!(escape("evil\u{202e}gpj.exe"), "evil\\u{202e}gpj.exe");
        assert_eq!(escape("zero\u{200b}width\u{9b}31m"), "zero\\u{200b}width\\u{9b}31m");
        assert_eq!(escape("\\u{1b}"), "\\\\u{1b}");
    }
}
