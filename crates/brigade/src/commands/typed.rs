//! Commands as they are typed at the prompt: what is an option, what a name.
//!
//! There is no shell: a name may hold spaces, and quotation marks around it are taken off, since a pattern is often written
//! so. What the commands do is in [`super::prompt`].

use brigade_core::name::Username;
use brigade_node::peer::Wish;

use crate::exit::{Failure, USAGE};

/// `NAME [--from USERNAME] [--replace] [&]`, the options in any order, before or behind; a name may hold spaces, and
/// stand in quotation marks. Whether it goes to the background.
pub(super) fn parse_fetch(line: &str) -> Result<(Wish, bool), Failure> {
    let usage = |what: String| Failure::new(USAGE, what).hint("fetch NAME [--from USERNAME] [--replace] [&]");
    let (mut wish, mut background, mut name) = (Wish::default(), false, String::new());
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
                rest = behind.trim_start();
                continue;
            }
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
    use super::parse_fetch;

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
}
