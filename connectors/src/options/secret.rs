//! Secrets of a source: they stand in a file or in the environment, never in the configuration itself.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use super::OptionReader;

/// A secret; it is never printed.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("…")
    }
}

/// Where a secret stands, so that it can be read again when it has been changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SecretPlace {
    /// In a file, without the line's end.
    File(PathBuf),
    /// In a variable of the environment.
    Variable(String),
}

impl SecretPlace {
    /// The secret as it is now.
    ///
    /// # Errors
    /// Why it cannot be read, in words for the option that names the place.
    pub(crate) fn read(&self) -> Result<Secret, String> {
        match self {
            Self::File(path) => match fs::read_to_string(path) {
                Ok(text) => Ok(Secret(text.trim_end_matches(['\r', '\n']).to_owned())),
                Err(error) => Err(format!("cannot be read: {}", error.kind())),
            },
            Self::Variable(name) => match variable_of(name) {
                Some(value) => Ok(Secret(value)),
                None => Err(format!("the environment has no variable `{name}`")),
            },
        }
    }
}

/// The place of a secret that one of two options names, the first a file and the second a variable; what is wrong with them
/// is a fault.
pub(crate) fn read_secret(
    reader: &mut OptionReader<'_>,
    [file_key, variable_key]: [&'static str; 2],
    base: &Path,
) -> Option<(SecretPlace, Secret)> {
    let (file, variable) = (reader.text(file_key), reader.text(variable_key));
    let (key, place) = match (file, variable) {
        (Some(_), Some(_)) => {
            reader.fault(variable_key, format!("contradicts `{file_key}`: write one of them"));
            return None;
        }
        (Some(file), None) => (file_key, SecretPlace::File(base.join(file))),
        (None, Some(name)) => (variable_key, SecretPlace::Variable(name.to_owned())),
        (None, None) => return None,
    };
    match place.read() {
        Ok(secret) => Some((place, secret)),
        Err(fault) => {
            let told = file.map_or(fault.clone(), |file| format!("`{file}` {fault}"));
            reader.fault(key, told);
            None
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the configuration names the variable that holds its secret")]
fn variable_of(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
