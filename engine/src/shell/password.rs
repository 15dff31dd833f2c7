//! Finds the password before the connection is opened: a file, the environment, or the user at the terminal.

use std::io::{self, IsTerminal};
use std::path::Path;

use super::error::ShellError;
use super::options::SqlArgs;
use super::profile::Profile;
use crate::config::environment;

/// The password of the user, from the first of `--password-file`, `CHANCERY_PASSWORD`, the profile and a prompt that there is.
pub(super) fn find(args: &SqlArgs, profile: &Profile, user: &str) -> Result<String, ShellError> {
    if let Some(path) = &args.password_file {
        return from_file(path);
    }
    if let Some(password) = environment::variable(environment::PASSWORD) {
        return Ok(password);
    }
    if let Some(password) = profile.password()? {
        return Ok(password);
    }
    if io::stdin().is_terminal() {
        return rpassword::prompt_password(format!("Password of {user}: "))
            .map_err(|error| ShellError::Prompt(error.to_string()));
    }
    Err(ShellError::Usage(format!(
        "no password: set {} or give --password-file (there is no terminal to ask at)",
        environment::PASSWORD
    )))
}

fn from_file(path: &Path) -> Result<String, ShellError> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| ShellError::Usage(format!("cannot read the password file {}: {error}", path.display())))?;
    match text.lines().next() {
        Some(password) if !password.is_empty() => Ok(password.to_owned()),
        _ => Err(ShellError::Usage(format!("the password file {} has no password on its first line", path.display()))),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn the_first_line_of_a_file_is_the_password() {
        for (content, expect) in [
            ("secret", Some("secret")),
            ("with space \r\nnext\n", Some("with space ")),
            ("密码\n", Some("密码")),
            ("\nsecond", None),
            ("", None),
        ] {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(content.as_bytes()).unwrap();
            assert_eq!(from_file(file.path()).ok().as_deref(), expect, "{content:?}");
        }
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = from_file(Path::new("/nowhere/password")).unwrap_err();
        assert!(error.to_string().contains("/nowhere/password"), "{error}");
    }
}
