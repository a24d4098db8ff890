//! Commands as they are typed at the prompt: what is an option, what a name.
//!
//! There is no shell: a name may hold spaces, and quotation marks around it are taken off, since a pattern is often written
//! so. What the commands do is in [`super::prompt`].

use brigade_core::name::Username;
use brigade_node::peer::FetchRequest;

use crate::exit::{Failure, USAGE};

/// What is said of a second name.
const ONE_NAME: &str =
    "one name at a time is fetched here; a pattern like 'data/*.bin' or {a,b} fits several";

/// What to say where nothing has `name`, which has blanks: several names may have been meant.
pub(super) fn about_blanks(name: &str) -> Option<String> {
    name.contains(' ').then(|| {
        format!(
            "{name:?} was taken for one name with blanks (quotation marks around it mean the same); {ONE_NAME}"
        )
    })
}

/// Refuses what follows a command that takes nothing.
pub(super) fn takes_nothing(command: &str, rest: &str) -> Result<(), Failure> {
    if rest.is_empty() {
        return Ok(());
    }
    let message = format!("`{command}` takes nothing behind it, and {rest:?} is there");
    Err(Failure::new(USAGE, message).hint("`help` lists the commands"))
}

/// `NAME [--from USERNAME] [--replace] [&]`, the options in any order, before or behind; a name may hold spaces, and
/// stand in quotation marks. Whether it goes to the background.
pub(super) fn parse_fetch(line: &str) -> Result<(FetchRequest, bool), Failure> {
    let usage = |what: String| Failure::new(USAGE, what).hint("fetch NAME [--from USERNAME] [--replace] [&]");
    let (mut wish, mut background, mut name) = (FetchRequest::default(), false, String::new());
    let mut is_quoted = false;
    let mut rest = line.trim();
    while !rest.is_empty() {
        let (word, behind) = rest.split_once(' ').unwrap_or((rest, ""));
        match word {
            "--replace" => wish.replace = true,
            "--from" => {
                let (from, behind) = behind.trim_start().split_once(' ').unwrap_or((behind.trim_start(), ""));
                let from = from.parse::<Username>();
                wish.from =
                    Some(from.map_err(|error| usage(format!("--from is followed by a username: {error}")))?);
                rest = behind.trim_start();
                continue;
            }
            "&" if behind.trim().is_empty() => background = true,
            option if option.starts_with("--") && option.len() > 2 => {
                return Err(usage(format!("{option} is no option of fetch here")));
            }
            // As in a shell, since a pattern is often written so.
            quoted if name.is_empty() && quoted.starts_with(['\'', '"']) => {
                let (mark, inside) = rest.split_at(1);
                let Some((inside, behind)) = inside.split_once(mark) else {
                    return Err(usage(format!("the quotation mark {mark} is not closed")));
                };
                inside.clone_into(&mut name);
                is_quoted = true;
                rest = behind.trim_start();
                continue;
            }
            _ if is_quoted => return Err(usage(ONE_NAME.to_owned())),
            part => {
                name += if name.is_empty() { "" } else { " " };
                name += part;
                // The spaces of a name are part of it.
                name += &" ".repeat(behind.len() - behind.trim_start().len());
            }
        }
        rest = behind.trim_start();
    }
    wish.name = name.trim().to_owned();
    if wish.name.is_empty() {
        return Err(usage("fetch what?".to_owned()));
    }
    Ok((wish, background))
}

#[cfg(test)]
mod tests {
    use super::{about_blanks, parse_fetch, takes_nothing};

    #[test]
    fn a_fetch_has_a_name_and_perhaps_options() {
        let parse = |text| {
            let (wish, background) = parse_fetch(text).unwrap();
            (wish.name, wish.from.map(|from| from.to_string()), wish.replace, background)
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
        for text in ["", "&", " &", "--replace", "a --from ../b", "a --from", "a --bogus", "'a b"] {
            assert!(parse_fetch(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_second_name_is_refused_or_asked_about() {
        for text in ["'a' b", "\"a b\" \"c\"", "'a' --replace b &"] {
            let said = parse_fetch(text).unwrap_err().text();
            assert!(said.contains("one name at a time"), "{said}");
        }
        assert_eq!(about_blanks("a"), None);
        let said = about_blanks("a b").unwrap();
        assert!(said.starts_with("\"a b\" was taken for one name with blanks") && said.contains("at a time"));
    }

    #[test]
    fn what_follows_a_command_that_takes_nothing_is_refused() {
        assert!(takes_nothing("peers", "").is_ok());
        let said = takes_nothing("peers", "x y").unwrap_err().text();
        assert!(said.contains("`peers` takes nothing behind it, and \"x y\" is there"), "{said}");
    }
}
