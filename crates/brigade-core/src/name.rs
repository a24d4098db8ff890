//! Names of files and users. One rule holds on every system, so that each peer can write every name that another peer
//! shares.
//!
//! A name that breaks the rule is refused and reported, never rewritten: a rewritten name would be another file's.
//! The rule is written for people in `docs/protocol.md`; it is applied when a file is announced, when the manager
//! lists it and again when it is fetched.

use std::{borrow::Borrow, fmt, ops::Deref, str::FromStr, sync::Arc};

use unicode_normalization::{UnicodeNormalization, is_nfc};
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

use crate::limits;

/// The name of a shared file: its path below the folder, components separated by `/`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileName(Arc<str>);

/// The name of a user, bound to a key or not: a single component of a [`FileName`], since a folder is named after it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Username(Arc<str>);

/// The rule that a name breaks.
#[derive(Debug, Clone, Copy, thiserror::Error, PartialEq, Eq)]
pub enum NameError {
    /// There is nothing.
    #[error("it is empty")]
    Empty,
    /// There is nothing before or behind a slash.
    #[error("it begins or ends with a slash, or has two slashes in a row")]
    EmptyPart,
    /// Longer than a name, one of its components, or a username may be.
    #[error("it is too long")]
    TooLong,
    /// More components than a name may have.
    #[error("it lies more than {} folders deep", limits::NAME_COMPONENTS - 1)]
    TooDeep,
    /// `.` or `..`.
    #[error("it has a part `.` or `..`")]
    Dots,
    /// A component begins or ends with a space, or ends with a dot.
    #[error("a part of it begins or ends with a space, or ends with a dot")]
    Edges,
    /// One of `\ : * ? " < > |`, or `/` in a username.
    #[error("it has the character `{0}`, which some systems do not allow")]
    Character(char),
    /// A control or format character (bidirectional marks are such), or a separator of lines or paragraphs, shown here
    /// by its number.
    #[error("it has the invisible character U+{:04X}", u32::from(*.0))]
    Invisible(char),
    /// Not in Unicode normalisation form C.
    #[error("its accents are not in Unicode normalisation form C (NFC)")]
    NotNormal,
    /// CON, NUL, COM1 and the like, with any extension.
    #[error("a part of it is a device's name on Windows")]
    Device,
    /// `.brigade`, in any case, or a short name such as `BRIGAD~1`.
    #[error("a part of it is reserved (`.brigade`, or an ending like `~1`)")]
    Reserved,
    /// A username that begins with a dot or a dash.
    #[error("it begins with `{0}`")]
    Begins(char),
}

/// A text that is not a valid name of a file or user. The text comes from another machine or a person.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
#[error("{name:?} breaks the rule for names: {error}")]
pub struct InvalidName {
    /// The text; what is too long for a name is cut.
    pub name: String,
    /// What is wrong with it.
    pub error: NameError,
}

impl InvalidName {
    /// Bytes that are kept of an invalid name: enough to recognise it, and few enough to fit into a message to a person
    /// with every byte escaped.
    const KEPT_BYTES: usize = 60;

    /// `text` breaks the rule so.
    pub fn new(text: &str, error: NameError) -> Self {
        Self { name: text[..text.floor_char_boundary(Self::KEPT_BYTES)].to_owned(), error }
    }
}

impl FileName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The components in order.
    pub fn components(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }

    /// The name in a form that is equal for two names that a file system may treat as the same: without upper case.
    pub fn folded(&self) -> String {
        if self.0.is_ascii() {
            return self.0.to_ascii_lowercase(); // the same, without a look at each character's properties
        }
        self.0.chars().flat_map(char::to_lowercase).nfc().collect()
    }

    /// Whether a component begins with a dot: such files are not shared unless asked for.
    pub fn is_hidden(&self) -> bool {
        self.components().any(|component| component.starts_with('.'))
    }

    /// Whether the name lies below the folder `folder` (which has no slash at its end).
    pub fn is_below(&self, folder: &str) -> bool {
        self.0.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
    }
}

impl Username {
    /// The character that every unbound name has and no name that is bound now has.
    pub const UNBOUND_MARK: char = '@';

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a session may use the name without binding it.
    pub fn may_be_unbound(&self) -> bool {
        self.contains(Self::UNBOUND_MARK) && self.len() <= limits::UNBOUND_NAME_BYTES
    }

    /// The name for the `number`th session that asked for it: itself for the first one, else with the number behind it.
    pub fn numbered(&self, number: usize) -> Result<Self, NameError> {
        if number <= 1 { Ok(self.clone()) } else { format!("{self} {number}").parse() }
    }

    /// A name that is not bound, for people: `anna@lab`. What the rule does not allow in it becomes `-`; what is too
    /// long is cut.
    pub fn of_user_at_host(user: &str, host: &str) -> Option<Self> {
        let half = (limits::UNBOUND_NAME_BYTES - 1) / 2;
        let (user, host) = (sanitized(user, half), sanitized(host, half));
        format!("{user}{}{host}", Self::UNBOUND_MARK).parse().ok()
    }
}

/// One part of an unbound username, with at most `bytes` bytes and without invalid characters; `unknown` if nothing is
/// left.
fn sanitized(text: &str, bytes: usize) -> String {
    let allowed = |character: char| {
        let is_allowed = check_character(character).is_ok() && !matches!(character, '/' | '~');
        if is_allowed && character != Username::UNBOUND_MARK { character } else { '-' }
    };
    let text: String = text.nfc().take(bytes).map(allowed).collect();
    let text = text[..text.floor_char_boundary(bytes)].trim_matches([' ', '.', '-']);
    // As a device's name on Windows it would stand before a dot only.
    if text.is_empty() { "unknown".to_owned() } else { text.replace('.', "-") }
}

impl FromStr for FileName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.len() > limits::NAME_BYTES {
            return Err(NameError::TooLong);
        }
        if text.split('/').count() > limits::NAME_COMPONENTS {
            return Err(NameError::TooDeep);
        }
        text.split('/').try_for_each(check_component)?;
        if is_nfc(text) { Ok(Self(text.into())) } else { Err(NameError::NotNormal) }
    }
}

impl FromStr for Username {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.len() > limits::USERNAME_BYTES {
            return Err(NameError::TooLong);
        }
        if text.contains('/') {
            return Err(NameError::Character('/'));
        }
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        check_component(text)?;
        match text.chars().next() {
            Some(first @ ('.' | '-')) => Err(NameError::Begins(first)),
            _ if !is_nfc(text) => Err(NameError::NotNormal),
            _ => Ok(Self(text.into())),
        }
    }
}

fn check_component(component: &str) -> Result<(), NameError> {
    if component.is_empty() {
        return Err(NameError::EmptyPart);
    }
    if component.len() > limits::COMPONENT_BYTES {
        return Err(NameError::TooLong);
    }
    if component == "." || component == ".." {
        return Err(NameError::Dots);
    }
    if component.starts_with(' ') || component.ends_with([' ', '.']) {
        return Err(NameError::Edges);
    }
    component.chars().try_for_each(check_character)?;
    if is_device(component) {
        return Err(NameError::Device);
    }
    if component.eq_ignore_ascii_case(".brigade") || is_short_name(component) {
        return Err(NameError::Reserved);
    }
    Ok(())
}

fn check_character(character: char) -> Result<(), NameError> {
    if matches!(character, '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|') {
        return Err(NameError::Character(character));
    }
    if character.is_ascii_graphic() || character == ' ' {
        return Ok(()); // nearly every character there is: no need to look further
    }
    // Bidirectional marks are of category Format. Private-use characters stay allowed: they show as a box.
    match character.general_category() {
        GeneralCategory::Control
        | GeneralCategory::Format
        | GeneralCategory::LineSeparator
        | GeneralCategory::ParagraphSeparator => Err(NameError::Invisible(character)),
        _ => Ok(()),
    }
}

/// Device names of Windows, which it finds in any folder and with any extension
/// ("Naming Files, Paths, and Namespaces", Microsoft). Superscript digits count as digits there.
fn is_device(component: &str) -> bool {
    let stem = component.split('.').next().unwrap_or_default().trim_end_matches(' ').to_ascii_uppercase();
    if matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$") {
        return true;
    }
    let number = stem.strip_prefix("COM").or_else(|| stem.strip_prefix("LPT"));
    number.is_some_and(|n| {
        let mut digits = n.chars();
        matches!((digits.next(), digits.next()), (Some('0'..='9' | '¹' | '²' | '³'), None))
    })
}

/// Names like `BRIGAD~1`, the second name that Windows gives a file: it could reach what `.brigade` protects.
fn is_short_name(component: &str) -> bool {
    let stem = component.split('.').next().unwrap_or_default();
    let stem = if stem.is_empty() { component } else { stem };
    [stem, component].iter().any(|part| {
        part.rsplit_once('~').is_some_and(|(before, after)| {
            !before.is_empty() && !after.is_empty() && after.bytes().all(|byte| byte.is_ascii_digit())
        })
    })
}

macro_rules! text_name {
    ($type:ident) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Deref for $type {
            type Target = str;

            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl<C> minicbor::Encode<C> for $type {
            fn encode<W: minicbor::encode::Write>(
                &self,
                e: &mut minicbor::Encoder<W>,
                _: &mut C,
            ) -> Result<(), minicbor::encode::Error<W::Error>> {
                e.str(&self.0)?.ok()
            }
        }

        impl<'b, C> minicbor::Decode<'b, C> for $type {
            fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
                let text = d.str()?;
                text.parse().map_err(|error| minicbor::decode::Error::custom(InvalidName::new(text, error)))
            }
        }
    };
}

text_name!(FileName);
text_name!(Username);

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert, proptest};

    use super::{FileName, NameError, Username};

    #[track_caller]
    fn check(name: &str, expected: Result<(), NameError>) {
        assert_eq!(name.parse::<FileName>().map(|_| ()), expected, "{name:?}");
    }

    #[test]
    fn ordinary_names_pass() {
        for name in [
            "a",
            "a/b/c.txt",
            "Ünïcödé – 日本語.tar.gz",
            ".hidden",
            "a b",
            "a~b",
            "~",
            "x~1y",
            "com10",
            "COM",
        ] {
            check(name, Ok(()));
        }
    }

    #[test]
    fn names_that_leave_the_folder_or_hide_are_refused() {
        check("", Err(NameError::Empty));
        check("/etc/passwd", Err(NameError::EmptyPart));
        check("a//b", Err(NameError::EmptyPart));
        check("a/", Err(NameError::EmptyPart));
        check("..", Err(NameError::Dots));
        check("a/../b", Err(NameError::Dots));
        check("a/.", Err(NameError::Dots));
        check("a\\b", Err(NameError::Character('\\')));
        check("C:", Err(NameError::Character(':')));
        check("a\0", Err(NameError::Invisible('\0')));
        check("a\u{1b}[2J", Err(NameError::Invisible('\u{1b}')));
        check("evil\u{202e}gpj.exe", Err(NameError::Invisible('\u{202e}')));
        check("a\u{2028}b", Err(NameError::Invisible('\u{2028}')));
        check(".Brigade/key", Err(NameError::Reserved));
        check("x/.brigade", Err(NameError::Reserved));
        check("BRIGAD~1", Err(NameError::Reserved));
        check("brigad~1.txt", Err(NameError::Reserved));
        check("nul", Err(NameError::Device));
        check("a/Com1.tar.gz", Err(NameError::Device));
        check("lpt².x", Err(NameError::Device));
        check(" a", Err(NameError::Edges));
        check("a /b", Err(NameError::Edges));
        check("a.", Err(NameError::Edges));
        check("e\u{301}", Err(NameError::NotNormal));
    }

    #[test]
    fn lengths_are_bounded() {
        check(&"a".repeat(255), Ok(()));
        check(&"a".repeat(256), Err(NameError::TooLong));
        check(&["a"; 32].join("/"), Ok(()));
        check(&["a"; 33].join("/"), Err(NameError::TooDeep));
        check(&vec!["é".repeat(100); 6].join("/"), Err(NameError::TooLong));
    }

    #[test]
    fn a_username_is_one_component() {
        for name in ["fire_user", "Zoë", "a.b", "user 1"] {
            assert!(name.parse::<Username>().is_ok(), "{name}");
        }
        for name in ["", "a/b", ".a", "-a", "con", "..", "a\n", &"x".repeat(65)] {
            assert!(name.parse::<Username>().is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_name_says_whose_it_is() {
        let check = |user: &str, host: &str, expected: &str| {
            let name = Username::of_user_at_host(user, host).unwrap();
            assert!(name.may_be_unbound());
            assert_eq!(name.as_str(), expected);
        };
        check("anna", "lab", "anna@lab");
        check("ANNA LENA", "con", "ANNA LENA@con");
        check("CORP\\anna", "lab.example.org", "CORP-anna@lab-example-org");
        check("anna@corp", "", "anna-corp@unknown");
        check("-.anna.", "x~1", "anna@x-1");
        check("a\u{301}/..", "\u{1b}[2J", "á@[2J");
        check(&"x".repeat(500), &"é".repeat(500), &format!("{}@{}", "x".repeat(29), "é".repeat(14)));
    }

    proptest! {
        #[test]
        fn everybody_gets_a_name(user in "\\PC{0,40}|[.@~/ a]{0,9}", host in "\\PC{0,40}|[.@~/ 1]{0,9}") {
            prop_assert!(Username::of_user_at_host(&user, &host).is_some_and(|name| name.may_be_unbound()));
        }

        #[test]
        fn no_text_panics_and_what_passes_stays_inside(text in "\\PC{0,40}|[./~a-c\\\\]{0,12}") {
            if let Ok(name) = text.parse::<FileName>() {
                prop_assert!(name.components().all(|part| !part.is_empty() && part != "." && part != ".."));
                prop_assert!(!text.starts_with('/'));
            }
        }
    }
}
