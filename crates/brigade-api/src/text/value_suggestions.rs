//! Suggestions for a host, port, path or name that cannot be used.
//!
//! Nothing is corrected automatically: the user gets a suggestion and decides. Without a good suggestion, there is
//! none.

use std::{
    env,
    net::Ipv6Addr,
    path::{Component, Path},
};

use brigade_core::name::FileName;
use brigade_node::peer::has_wildcard;

use super::hints;

/// A host, and the port if the text has one, for a text that is not a host alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suggestion {
    /// The host.
    pub host: String,
    /// The port, if the text has one.
    pub port: Option<u16>,
}

/// Whether `text` has the form of a host: a name or an address, with brackets or without, and nothing else.
pub fn is_host(text: &str) -> bool {
    let (address, _) = address_and_zone(text);
    if address.parse::<Ipv6Addr>().is_ok() {
        return true;
    }
    let is_wrong = |c: char| c.is_whitespace() || c.is_control() || "/\\:@[]'\"?#".contains(c);
    !text.is_empty() && text.len() <= 255 && !text.contains(is_wrong)
}

/// The address in `text`, with an example of a zone, if it is a link-local address that has no zone.
pub fn address_with_zone(text: &str) -> Option<String> {
    let (address, zone) = address_and_zone(text);
    let is_link_local = address.parse::<Ipv6Addr>().is_ok_and(|address| address.is_unicast_link_local());
    let example = if cfg!(windows) { "4" } else { "eth0" };
    (is_link_local && zone.is_empty()).then(|| format!("{address}%{example}"))
}

/// The parts before and after the first `%` in an address, with brackets or without.
fn address_and_zone(text: &str) -> (&str, &str) {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    bare.split_once('%').unwrap_or((bare, ""))
}

/// The host in `https://user@host:12000/path` and similar texts.
pub fn host(text: &str) -> Option<Suggestion> {
    let text = unquoted(text.trim());
    let text = text.split_once("://").map_or(text, |(_, rest)| rest);
    let text = text.split(['/', '\\', '?', '#']).next().unwrap_or_default();
    let text = text.rsplit_once('@').map_or(text, |(_, rest)| rest);
    if is_host(text) {
        return Some(Suggestion { host: text.to_owned(), port: None });
    }
    let (host, after) = text.rsplit_once(':')?;
    let port = if after.is_empty() { None } else { Some(after.parse().ok()?) };
    is_host(host).then(|| Suggestion { host: host.to_owned(), port })
}

/// The port in `7001/tcp`, `:7001` or `localhost:7001`.
pub fn port(text: &str) -> Option<u16> {
    let text = unquoted(text.trim());
    let text = text.rsplit_once(':').map_or(text, |(_, port)| port);
    let text = text.split('/').find(|part| part.starts_with(|c: char| c.is_ascii_digit()))?;
    text.trim().parse().ok()
}

/// The error for a path with a part that a shell should have expanded.
pub fn path(path: &Path) -> Option<String> {
    let mut parts = path.components();
    let Some(Component::Normal(first)) = parts.next() else { return None };
    let first = first.to_str()?;
    if !["~", "$HOME", "${HOME}", "%USERPROFILE%", "%HOME%"].contains(&first) {
        return None;
    }
    let whole = env::home_dir().filter(|home| home.is_absolute()).map(|home| home.join(parts.as_path()));
    let example = whole.map(|whole| format!(": {}", whole.display())).unwrap_or_default();
    Some(format!("`{first}` is not expanded here; write the whole path{example}"))
}

/// A hint for a text that cannot be the name of a file, or for a name that does not exist.
pub fn name(text: &str) -> Option<String> {
    let bare = unquoted(text.trim());
    let slashed = bare.replace('\\', "/");
    let is_drive =
        slashed.as_bytes().get(1) == Some(&b':') && slashed.as_bytes().get(2).is_none_or(|c| *c == b'/');
    if slashed.starts_with(['/', '~']) && slashed.len() > 1 || is_drive || slashed.starts_with("file:") {
        let advice = "a name is a path in the shared folder of its holder, not a path on this machine";
        return Some(format!("{advice}; {}", hints::LIST_NAMES));
    }
    let parts = slashed.split('/').filter(|part| !["", "."].contains(part));
    let suggestion = parts.collect::<Vec<_>>().join("/");
    let may_be = has_wildcard(&suggestion) || suggestion.parse::<FileName>().is_ok();
    let differs = suggestion != text.trim_end_matches('/');
    (may_be && differs).then(|| {
        format!(
            "did you mean {suggestion:?}? Names have / between folders, and nothing before the first folder"
        )
    })
}

/// `text` without a pair of quotation marks around it.
pub fn unquoted(text: &str) -> &str {
    let inside = |mark: char| text.strip_prefix(mark).and_then(|rest| rest.strip_suffix(mark));
    inside('\'').or_else(|| inside('"')).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Suggestion, address_with_zone, host, is_host, name, path, port};

    #[test]
    fn hosts_are_accepted() {
        for text in [
            "localhost",
            "manager.example",
            "192.168.1.7",
            "::1",
            "[::1]",
            "fe80::1%eth0",
            "a_b",
            "日本.example",
        ] {
            assert!(is_host(text), "{text}");
        }
    }

    #[test]
    fn only_a_link_local_address_needs_a_zone() {
        for text in ["fe80::1", "[fe80::1]", "fe80::1%", "febf::1"] {
            assert!(address_with_zone(text).is_some_and(|address| address.contains("::1%")), "{text}");
        }
        for text in ["fe80::1%eth0", "[fe80::1%4]", "fec0::1", "::1", "2001:db8::1", "169.254.0.1", "alpha"] {
            assert_eq!(address_with_zone(text), None, "{text}");
        }
    }

    #[test]
    fn a_host_with_more_around_it_is_found() {
        let check = |text, expected: &str, expected_port| {
            assert!(!is_host(text), "{text}");
            let suggestion = Suggestion { host: expected.to_owned(), port: expected_port };
            assert_eq!(host(text), Some(suggestion), "{text}");
        };
        check("manager.example:12000", "manager.example", Some(12000));
        check("127.0.0.1:12000", "127.0.0.1", Some(12000));
        check("[::1]:12000", "[::1]", Some(12000));
        check("https://manager.example", "manager.example", None);
        check("https://me@manager.example:443/x?y", "manager.example", Some(443));
        check("me@manager.example", "manager.example", None);
        check("'localhost'", "localhost", None);
        check("manager.example:", "manager.example", None);
        check(" localhost ", "localhost", None);
        for text in ["", ":", "a b", "a:b", "host:99999", "://"] {
            assert!(!is_host(text), "{text}");
            assert_eq!(host(text), None, "{text}");
        }
    }

    #[test]
    fn a_port_with_more_around_it_is_found() {
        for (text, expected) in [
            ("7001/tcp", Some(7001)),
            ("tcp/7001", Some(7001)),
            (":7001", Some(7001)),
            ("localhost:7001", Some(7001)),
            ("'7001'", Some(7001)),
            ("-1", None),
            ("99999", None),
            ("x", None),
            ("70o1", None),
        ] {
            assert_eq!(port(text), expected, "{text}");
        }
    }

    #[test]
    fn a_path_that_a_shell_should_have_expanded_is_found() {
        for text in ["~", "~/x", "$HOME/x", "${HOME}"] {
            assert!(
                path(Path::new(text)).is_some_and(|hint| hint.contains("is not expanded here")),
                "{text}"
            );
        }
        for text in ["x", "./~/x", "/~/x", "~backup", "a/~", "$x"] {
            assert_eq!(path(Path::new(text)), None, "{text}");
        }
    }

    #[test]
    fn a_name_in_another_systems_spelling_is_found() {
        let suggestion = |text| name(text).and_then(|hint| hint.split('"').nth(1).map(str::to_owned));
        for (text, expected) in [
            ("sub\\inner.txt", Some("sub/inner.txt")),
            ("sub\\*.txt", Some("sub/*.txt")),
            ("./name", Some("name")),
            (".\\sub\\", Some("sub")),
            ("a//b", Some("a/b")),
            ("'a b'", Some("a b")),
            ("film.mkv", None),
            ("films/", None),
            ("../up", None),
            ("", None),
        ] {
            assert_eq!(suggestion(text).as_deref(), expected, "{text}");
        }
        for text in ["/srv/shared/film.mkv", "C:\\films\\a.mkv", "c:", "~/film.mkv", "\\\\server\\share\\a"] {
            assert!(name(text).is_some_and(|hint| hint.contains("not a path on this machine")), "{text}");
        }
    }
}
