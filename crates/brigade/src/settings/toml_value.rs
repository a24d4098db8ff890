//! Values in the settings file.
//!
//! A value of another type is refused here; [`super::setting`] checks the value itself. `file` and `schedule` read the
//! tables of the file.

use std::path::Path;

use toml::de::DeValue;

use super::setting::SettingKind;
use crate::text::value_suggestions;

/// The value in the form in which a user types it. The error names what is expected.
pub(super) fn value_of(kind: SettingKind, value: &DeValue<'_>) -> Result<String, String> {
    let text = match (kind, value) {
        (SettingKind::Port | SettingKind::ManagerPort | SettingKind::Count, DeValue::Integer(number)) => {
            let plain = i64::from_str_radix(number.as_str(), number.radix());
            plain.map_or_else(|_| number.to_string(), |number| number.to_string())
        }
        (SettingKind::Switch, DeValue::Boolean(switch)) => switch.to_string(),
        (SettingKind::Port | SettingKind::ManagerPort | SettingKind::Count | SettingKind::Switch, _) => {
            return Err(another_type(kind, value));
        }
        (_, DeValue::String(text)) => text.to_string(),
        _ => return Err(another_type(kind, value)),
    };
    if matches!(kind, SettingKind::Folder | SettingKind::File) && !Path::new(&text).is_absolute() {
        let expected =
            value_suggestions::path(Path::new(&text)).unwrap_or_else(|| kind.expected().to_owned());
        return Err(format!("invalid value '{text}': {expected}"));
    }
    kind.check(&text).map_err(|expected| format!("invalid value '{text}': {expected}"))?;
    Ok(text)
}

fn another_type(kind: SettingKind, value: &DeValue<'_>) -> String {
    format!("this has the type {}; {}", value.type_str(), kind.expected())
}
