//! Parses the arguments of the commands that are typed at the prompt: the name and the options of `fetch`. Most others
//! have no arguments, and refuse them.
//!
//! There is no shell: a name may have spaces, and quotation marks around it are removed, since patterns are often typed
//! with them. Those around a username are removed, too. The prompt recognizes and runs the commands, and
//! the file `limit` parses the arguments of that command.

use brigade_core::name::Username;
use brigade_node::peer::FetchRequest;

use crate::failure::{Failure, USAGE};

/// The error for a second name.
const ONE_NAME: &str =
    "only one name at a time can be fetched here; a pattern like 'data/*.bin' or {a,b} matches several";

/// The hint if `name`, which has spaces, does not exist: the user may have meant several names.
pub(super) fn hint_about_spaces(name: &str) -> Option<String> {
    name.contains(' ').then(|| {
        format!("{name:?} was read as one name with spaces (with or without quotation marks); {ONE_NAME}")
    })
}

/// Refuses arguments of a command that has none.
pub(super) fn check_no_arguments(command: &str, rest: &str) -> Result<(), Failure> {
    if rest.is_empty() {
        return Ok(());
    }
    let message = format!("`{command}` has no arguments, but got {rest:?}");
    Err(Failure::new(USAGE, message).hint("`help` lists the commands"))
}

/// Parses `NAME [--from USERNAME] [--replace] [&]`. The options may be in any order, before or after the name. The name
/// may have spaces, and stand in quotation marks; a username with spaces must stand in them. Returns the request, and
/// whether it runs in the background.
pub(super) fn parse_fetch(line: &str) -> Result<(FetchRequest, bool), Failure> {
    let usage = |what: String| Failure::new(USAGE, what).hint("fetch NAME [--from USERNAME] [--replace] [&]");
    let unclosed = |mark: &str| usage(format!("the quotation mark {mark} is not closed"));
    let (mut request, mut background, mut name) = (FetchRequest::default(), false, String::new());
    let mut is_quoted = false;
    let mut rest = line.trim();
    while !rest.is_empty() {
        let (word, behind) = rest.split_once(' ').unwrap_or((rest, ""));
        match word {
            "--replace" => request.replace = true,
            "--from" => {
                let (from, behind) = first_argument(behind.trim_start()).map_err(unclosed)?;
                let from = from.parse::<Username>();
                request.from =
                    Some(from.map_err(|error| usage(format!("--from needs a username: {error}")))?);
                rest = behind.trim_start();
                continue;
            }
            "&" if behind.trim().is_empty() => background = true,
            option if option.starts_with("--") && option.len() > 2 => {
                return Err(usage(format!("{option} is not an option of `fetch` at the prompt")));
            }
            // As in a shell, since patterns are often typed with them.
            quoted if name.is_empty() && quoted.starts_with(['\'', '"']) => {
                let (inside, behind) = first_argument(rest).map_err(unclosed)?;
                inside.clone_into(&mut name);
                is_quoted = true;
                rest = behind.trim_start();
                continue;
            }
            _ if is_quoted => return Err(usage(ONE_NAME.to_owned())),
            part => {
                name += if name.is_empty() { "" } else { " " };
                name += part;
                // Spaces in a name are part of it.
                name += &" ".repeat(behind.len() - behind.trim_start().len());
            }
        }
        rest = behind.trim_start();
    }
    request.name = name.trim().to_owned();
    if request.name.is_empty() {
        return Err(usage("the name is missing".to_owned()));
    }
    Ok((request, background))
}

/// The words of `text`, separated by spaces; a word may be in quotation marks. Returns the complete words, and where the
/// last one begins, which is being typed.
pub(super) fn split_words(text: &str) -> (Vec<String>, usize) {
    let (mut words, mut start) = (vec![], 0);
    loop {
        let rest = &text[start..];
        start += rest.len() - rest.trim_start().len();
        let rest = &text[start..];
        let behind = match rest.chars().next().filter(|mark| ['\'', '"'].contains(mark)) {
            Some(mark) => rest[1..].find(mark).map(|end| (rest[1..=end].to_owned(), end + 2)),
            None => rest.find(' ').map(|end| (rest[..end].to_owned(), end)),
        };
        match behind {
            // A word that ends with the text is still being typed.
            Some((word, end)) if end < rest.len() => {
                words.push(word);
                start += end;
            }
            _ => return (words, start),
        }
    }
}

/// The words of the arguments of a command.
pub(super) fn words(rest: &str) -> Result<Vec<String>, Failure> {
    let (mut words, start) = split_words(rest);
    let last = &rest[start..];
    if let Some(mark) = last.chars().next().filter(|mark| ['\'', '"'].contains(mark)) {
        let inside = last[1..].strip_suffix(mark);
        let unclosed = || {
            Failure::new(USAGE, format!("the quotation mark {mark} is not closed"))
                .hint("a name with spaces stands in quotation marks: 'my film.mkv'")
        };
        words.push(inside.ok_or_else(unclosed)?.to_owned());
    } else if !last.is_empty() {
        words.push(last.to_owned());
    }
    Ok(words)
}

/// The text in quotation marks at the beginning of `text`, or else its first word, and the rest. The error is a quotation
/// mark that is not closed.
fn first_argument(text: &str) -> Result<(&str, &str), &str> {
    if text.starts_with(['\'', '"']) {
        let (mark, inside) = text.split_at(1);
        return inside.split_once(mark).ok_or(mark);
    }
    Ok(text.split_once(' ').unwrap_or((text, "")))
}

#[cfg(test)]
mod tests {
    use super::{check_no_arguments, hint_about_spaces, parse_fetch, words};

    #[test]
    fn a_fetch_has_a_name_and_options() {
        let parse = |text| {
            let (request, background) = parse_fetch(text).unwrap();
            (request.name, request.from.map(|from| from.to_string()), request.replace, background)
        };
        assert_eq!(parse("a b.iso"), ("a b.iso".into(), None, false, false));
        assert_eq!(
            parse("a.iso --from fire_user &"),
            ("a.iso".into(), Some("fire_user".into()), false, true)
        );
        assert_eq!(parse("a --replace --from b"), ("a".into(), Some("b".into()), true, false));
        assert_eq!(parse("a --from b --replace &"), ("a".into(), Some("b".into()), true, true));
        assert_eq!(parse("R&D.txt"), ("R&D.txt".into(), None, false, false));
        assert_eq!(parse("'data/**/*.bin' &"), ("data/**/*.bin".into(), None, false, true));
        assert_eq!(parse("it's"), ("it's".into(), None, false, false));
        assert_eq!(parse("--replace --from b  a"), ("a".into(), Some("b".into()), true, false));
        assert_eq!(parse("'x --from y' --replace"), ("x --from y".into(), None, true, false));
        assert_eq!(parse("two  spaces &"), ("two  spaces".into(), None, false, true));
        assert_eq!(parse("a --from \"root@vm 2\" &"), ("a".into(), Some("root@vm 2".into()), false, true));
        assert_eq!(
            parse("--from  'two words' 'a b'"),
            ("a b".into(), Some("two words".into()), false, false)
        );
        assert_eq!(parse("a --from 'b' --replace"), ("a".into(), Some("b".into()), true, false));
        for text in
            ["", "&", " &", "--replace", "a --from ../b", "a --from", "a --bogus", "'a b", "a --from 'b"]
        {
            assert!(parse_fetch(text).is_err(), "{text}");
        }
    }

    #[test]
    fn words_may_be_in_quotation_marks() {
        let words = |text: &str| words(text).map_err(|failure| failure.text());
        assert_eq!(words("3 'my film' \"it's\"  --all").unwrap(), ["3", "my film", "it's", "--all"]);
        assert_eq!(words("it's").unwrap(), ["it's"]);
        assert_eq!(words("''").unwrap(), [""]);
        assert!(words("").unwrap().is_empty());
        for text in ["'a", "a \"b", "'"] {
            assert!(words(text).unwrap_err().contains("is not closed"), "{text}");
        }
    }

    #[test]
    fn a_second_name_is_refused_or_gets_a_hint() {
        for text in ["'a' b", "\"a b\" \"c\"", "'a' --replace b &"] {
            let text = parse_fetch(text).unwrap_err().text();
            assert!(text.contains("one name at a time"), "{text}");
        }
        assert_eq!(hint_about_spaces("a"), None);
        let text = hint_about_spaces("a b").unwrap();
        assert!(text.starts_with("\"a b\" was read as one name with spaces") && text.contains("at a time"));
    }

    #[test]
    fn arguments_of_a_command_without_arguments_are_refused() {
        assert!(check_no_arguments("peers", "").is_ok());
        let text = check_no_arguments("peers", "x y").unwrap_err().text();
        assert!(text.contains("`peers` has no arguments, but got \"x y\""), "{text}");
    }
}
