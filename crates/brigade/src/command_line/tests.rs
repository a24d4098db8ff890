//! Tests of how a command line is read, and of the texts for mistakes in it.
//!
//! Whole commands are tested in `tests/`.

use std::ffi::OsString;

use clap::CommandFactory;

use super::{Brigade, Location, ParsedLine};

fn parse_line(line: &[OsString]) -> ParsedLine {
    ParsedLine::of(&Brigade::command(), line)
}

/// Checks the mistakes of a line whose arguments have no spaces: the number of the argument (0 for a missing one), and
/// a part of the text.
#[track_caller]
fn check(line: &str, expected: &[(usize, &str)]) {
    let words: Vec<OsString> = line.split(' ').map(Into::into).collect();
    let parsed = parse_line(&words);
    let found: Vec<(usize, String)> = parsed
        .mistakes
        .iter()
        .map(|mistake| match mistake.location {
            Location::Argument(number) => (number, mistake.what.clone()),
            _ => (0, mistake.what.clone()),
        })
        .collect();
    let same = |((number, what), (at, part)): (&(usize, String), &(usize, &str))| {
        number == at && what.contains(part)
    };
    assert!(found.len() == expected.len() && found.iter().zip(expected).all(same), "{line}: {found:?}");
}

#[test]
fn right_lines_have_no_mistakes() {
    for line in [
        "brigade peer",
        "brigade peer --max 3 --upload-limit=off --headless --username a",
        "brigade fetch a b/ c@abcd d*: --into /tmp -- -e",
        "brigade files --manager_port 1",
    ] {
        check(line, &[]);
        assert!(parse_line(&line.split(' ').map(Into::into).collect::<Vec<_>>()).matches.is_some(), "{line}");
    }
}

#[test]
fn wrong_values_are_all_found() {
    check(
        "brigade peer --max 0 --upload-limit 10XB --frobnicate",
        &[
            (3, "expected a number from 1 to 100000"),
            (5, "expected a rate like 10MB"),
            (6, "unexpected argument '--frobnicate'"),
        ],
    );
    check(
        "brigade peer --max=0 --port -1 --manager_port=x --username a/b",
        &[(2, "'0' for '--max <COUNT>'"), (4, "'-1'"), (5, "'x' for '--manager-port"), (7, "'a/b'")],
    );
    check("brigade completions bush", &[(2, "possible values: 'bash'")]);
    check("brigade limit sideways 3MB", &[(2, "possible values: 'up', 'down'")]);
    check("brigade limit sideways fast", &[(2, "'sideways' for '[DIRECTION]'"), (3, "'fast' for '[RATE]'")]);
    check("brigade prioritize 3 urgent", &[(3, "possible values: 'high', 'normal', 'low'")]);
    check("brigade prioritize 3", &[(2, "'3' for '<PRIORITY>'"), (0, "<FETCH>... is missing")]);
    check("brigade pause", &[(0, "<FETCH>... is missing")]);
    check("brigade fetch a --timeout 5 --wait=soon", &[(4, "the unit is missing: 5s"), (5, "like 30s")]);
    check("brigade peer --headless=yes --max 0", &[(2, "takes no value 'yes'"), (4, "'0'")]);
}

#[test]
fn an_option_without_its_value_is_one_mistake() {
    check("brigade peer --max", &[(2, "'--max <COUNT>' needs a value")]);
    check("brigade peer --max --headless --username a --port 5", &[(2, "'--max <COUNT>' needs a value")]);
    check("brigade peer --upload-limit --max 0", &[(2, "'--upload-limit <RATE>' needs a value"), (4, "'0'")]);
}

#[test]
fn a_negative_value_has_its_own_message() {
    let limit =
        "invalid value '-1MB' for '--upload-limit <RATE>': it cannot be negative; expected a rate like 10MB";
    check("brigade peer --upload-limit -1MB --max 0", &[(3, limit), (5, "'0'")]);
    check("brigade peer --upload-limit=-1MB", &[(2, limit)]);
    check(
        "brigade fetch a --keep-parts -1d",
        &[(4, "'-1d' for '--keep-parts <TIME>': it cannot be negative")],
    );
    check("brigade peer --port -7x", &[(3, "'-7x' for '--port <PORT>': expected a number from 0 to 65535")]);
    check("brigade peer --upload-limit -x", &[(3, "'--upload-limit <RATE>' needs a value")]);
}

#[test]
fn port_0_is_no_port_of_a_manager() {
    for line in ["files", "peers", "peer", "fetch a"] {
        let line = format!("brigade {line} --manager-port=0");
        let at = line.split(' ').count() - 1;
        check(&line, &[(at, "'0' for '--manager-port <PORT>': expected a number from 1 to 65535")]);
    }
    check("brigade peer --port 0", &[]);
    check("brigade manager --port 0", &[]);
}

#[test]
fn possible_values_of_unknown_options_are_no_mistakes() {
    check("brigade peer --frobnicate 3 --max 0", &[(2, "--frobnicate"), (5, "'0'")]);
    check("brigade fetch --frobnicate film.mkv", &[(2, "--frobnicate")]);
    check("brigade peer --frobnicate=3 4", &[(2, "--frobnicate"), (3, "'4'")]);
    check("brigade peer -x -y", &[(2, "'-x'"), (3, "'-y'")]);
    check("brigade --frobnicate", &[(1, "--frobnicate")]);
}

#[test]
fn suggestions_are_made_and_parsing_continues() {
    check(
        "brigade fecth --max 0 a:b",
        &[(1, "a similar subcommand exists: 'fetch'"), (3, "'0'"), (4, "'a:b' cannot be the name of a file")],
    );
    check(
        "brigade peer --upload-limt 10XB --maxx=0",
        &[(2, "a similar argument exists: '--upload-limit'"), (3, "'10XB'"), (4, "'--max'"), (4, "'0'")],
    );
    check("brigade peer --max 3 --maxx 4", &[(4, "a similar argument exists: '--max'")]);
    // The value that a guess lacks was never typed.
    check("brigade fetch --frob x", &[(2, "unexpected argument '--frob'")]);
    check("brigade fetch x --frob", &[(3, "unexpected argument '--frob'")]);
    check("brigade peer --user", &[(2, "a similar argument exists: '--username'")]);
    check("brigade xyzzy --max 0", &[(1, "unrecognized subcommand 'xyzzy'")]);
}

#[test]
fn missing_extra_and_repeated_arguments_are_found() {
    check("brigade fetch --max 0", &[(3, "'0'"), (0, "<NAME>... is missing")]);
    check("brigade files a b c --max 1", &[(3, "'b'"), (4, "'c'"), (5, "--max")]);
    check(
        "brigade peer extra --max 1 --port 0 --max 2",
        &[(2, "'extra'"), (7, "'--max <COUNT>' is given more")],
    );
    check("brigade peer --headless --headless", &[(3, "more than once")]);
}

#[test]
fn all_impossible_names_are_found() {
    check("brigade fetch a ../b c:d e/ f//g", &[(3, "'../b'"), (4, "'c:d'"), (6, "'f//g'")]);
    check("brigade fetch a:", &[(2, "'a:' cannot be the name of a file")]);
    let same = ["brigade", "fetch", "a:", "b", "a:"].map(OsString::from);
    assert_eq!(parse_line(&same).mistakes.iter().filter(|mistake| mistake.is_name).count(), 2);
}

#[test]
fn an_option_that_is_given_twice_hides_no_mistake_in_its_value() {
    let (twice, port) = ("'--port <PORT>' is given more than once", "expected a number from 0 to 65535");
    check("brigade peer --port 1 --port x --max 0", &[(4, twice), (5, port), (7, "'0'")]);
    check("brigade peer --port=1 --port=x", &[(3, twice), (3, port)]);
    check("brigade peer --port 1 --port 2", &[(4, twice)]);
    check("brigade files --json --json", &[(3, "'--json' is given more than once")]);
}

#[cfg(unix)]
#[test]
fn invalid_utf8_is_found() {
    use std::os::unix::ffi::OsStringExt;
    let wrong = OsString::from_vec(vec![0xff]);
    let line = |wrong: &OsString| {
        let words = ["brigade", "peer", "--host", "", "--max", "0"].map(OsString::from);
        let mut words = Vec::from(words);
        words[3] = wrong.clone();
        words
    };
    let parsed = parse_line(&line(&wrong));
    let locations: Vec<_> = parsed.mistakes.iter().map(|mistake| mistake.location.clone()).collect();
    assert_eq!(locations, [Location::Argument(3), Location::Argument(5)], "{:?}", parsed.mistakes);
    // Nothing else is wrong with such an argument, and it is not missing.
    for (line, arguments) in [
        (&[&b"brigade"[..], b"fetch", b"a\xff", b"--max", b"0"][..], &[2, 4][..]),
        (&[b"brigade", b"fetch", b"a\xff:", b"b\xff"], &[2, 3]),
        (&[b"brigade", b"files", b"\xff"], &[2]),
        (&[b"brigade", b"completions", b"\xff"], &[2]),
        (&[b"brigade", b"peer", b"--max=\xff", b"--port", b"x"], &[2, 4]),
    ] {
        let line: Vec<OsString> = line.iter().map(|word| OsString::from_vec(word.to_vec())).collect();
        let found = parse_line(&line).mistakes;
        let expected: Vec<_> = arguments.iter().map(|number| Location::Argument(*number)).collect();
        let locations: Vec<_> = found.iter().map(|mistake| mistake.location.clone()).collect();
        assert_eq!(locations, expected, "{line:?}: {found:?}");
    }
    // A path may be any bytes.
    let folder = ["brigade".into(), "peer".into(), "--folder".into(), wrong];
    assert!(parse_line(&folder).mistakes.is_empty());
}

#[test]
fn help_and_the_version_are_shown() {
    for line in
        ["brigade", "brigade --help", "brigade --version", "brigade peer --help --max 0", "brigade help peer"]
    {
        let parsed = parse_line(&line.split(' ').map(Into::into).collect::<Vec<_>>());
        assert!(parsed.shown.is_some() && parsed.mistakes.is_empty(), "{line}");
    }
    check("brigade peer --max 0 --help", &[(3, "'0'")]);
}

/// No options exclude each other yet; if some do, both are named.
#[test]
fn options_that_exclude_each_other_are_found() {
    let option = |name: &'static str| clap::Arg::new(name).long(name).value_name("X");
    let grammar = clap::Command::new("brigade").arg(option("a").conflicts_with("b")).arg(option("b"));
    let line = ["brigade", "--c", "--a", "1", "--b", "2"].map(OsString::from);
    let parsed = ParsedLine::of(&grammar, &line);
    let found: Vec<_> = parsed.mistakes.iter().map(|one| (one.location.clone(), one.what.as_str())).collect();
    let [unknown, conflict] = &found[..] else { panic!("{found:?}") };
    assert_eq!(unknown.0, Location::Argument(1));
    let (location, what) = conflict;
    assert!(matches!(location, Location::Argument(2 | 4)), "{location:?}");
    assert!(what.contains("cannot be used with") && what.contains("'--a <X>'") && what.contains("'--b <X>'"));
}

/// For any line: if clap accepts it, it has no mistakes; if clap refuses it, it has some, each with a location in the
/// line.
#[test]
fn mistakes_are_found_exactly_in_the_lines_that_clap_refuses() {
    const WORDS: [&str; 24] = [
        "peer",
        "fetch",
        "files",
        "manager",
        "help",
        "--max",
        "--max=3",
        "--max=x",
        "--port",
        "0",
        "-1",
        "x/..",
        "--headless",
        "--headles",
        "--upload-limit",
        "10MB",
        "off",
        "--",
        "-h",
        "--json",
        "film.mkv",
        "",
        "=",
        "-x=1",
    ];
    let mut random = 1_u64;
    for _ in 0..400 {
        let mut next = |below: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from((random >> 33) % below).unwrap()
        };
        let mut line = vec![OsString::from("brigade"), WORDS[next(4)].into()];
        line.extend((0..next(7)).map(|_| OsString::from(WORDS[next(24)])));
        let taken = Brigade::command().try_get_matches_from(&line);
        let parsed = parse_line(&line);
        match taken {
            Ok(_) => assert!(parsed.mistakes.is_empty() && parsed.matches.is_some(), "{line:?}"),
            Err(error) if !error.use_stderr() => assert!(parsed.shown.is_some(), "{line:?}"),
            Err(_) => assert!(parsed.shown.is_some() == parsed.mistakes.is_empty(), "{line:?}"),
        }
        for mistake in &parsed.mistakes {
            let is_there = match mistake.location {
                Location::Argument(number) => (1..line.len()).contains(&number),
                _ => mistake.what.contains("is missing"),
            };
            assert!(is_there, "{line:?}: {mistake:?}");
        }
    }
}

#[test]
fn many_names_with_many_mistakes_take_no_time() {
    let mut words = vec!["brigade".into(), "fetch".into()];
    words.extend((0..5000).map(|number| OsString::from(if number % 20 == 0 { "a:" } else { "a" })));
    assert_eq!(parse_line(&words).mistakes.len(), super::ROUNDS);
}
