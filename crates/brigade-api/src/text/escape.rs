//! Escapes text from other machines before it is printed on a terminal.
//!
//! Characters that move the cursor, change colours, change the direction of writing or are invisible are written as
//! `\u{…}`; a backslash is doubled, so that no text looks like such an escape.

use std::borrow::Cow;

/// `text` with such characters escaped.
pub fn escape(text: &str) -> Cow<'_, str> {
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
        // The standard library knows which characters are printable, but shows it only by escaping the others. It also
        // escapes a combining mark at the beginning of a text; therefore the letter before it.
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
    fn control_sequences_are_escaped() {
        assert_eq!(escape("\u{1b}[2Jgone"), "\\u{1b}[2Jgone");
        assert_eq!(escape("a\nb\tc\r"), "a\\nb\\tc\\r");
        assert_eq!(escape("evil\u{202e}gpj.exe"), "evil\\u{202e}gpj.exe");
        assert_eq!(escape("zero\u{200b}width\u{9b}31m"), "zero\\u{200b}width\\u{9b}31m");
        assert_eq!(escape("\\u{1b}"), "\\\\u{1b}");
    }
}
