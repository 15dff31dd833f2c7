//! The users file: who may ask, in TOML, changed by `chancery user` in whole steps.
//!
//! ```toml
//! [[user]]
//! name = "analyst"
//! password_hash = "$argon2id$v=19$…"
//! roles = ["reader"]       # optional
//! disabled = true          # optional
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::files;
use super::password::StoredPassword;
use super::subject::{Subject, SubjectKind};
use crate::error::{Code, EngineError, Result};

const HEADING: &str =
    "# Users of a Chancery node. Changed by `chancery user add|passwd`; a running node reads it again.\n\n";
const NAME_BYTES_MAX: usize = 255;

/// One user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The name; any text without a colon.
    pub name: String,
    /// The hash of the password.
    pub password: StoredPassword,
    /// The roles that policies speak of.
    pub roles: BTreeSet<String>,
    /// Whether the user is refused for the time being.
    pub disabled: bool,
}

impl User {
    /// The user as the one who asks.
    pub fn subject(&self) -> Subject {
        Subject { name: self.name.clone(), roles: self.roles.clone(), kind: SubjectKind::User }
    }
}

/// All users of a file, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UsersFile {
    users: BTreeMap<String, User>,
}

/// The file as it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    user: Vec<WrittenUser>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenUser {
    name: String,
    password_hash: String,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    roles: BTreeSet<String>,
    #[serde(default, skip_serializing_if = "is_false")]
    disabled: bool,
}

impl UsersFile {
    /// Reads and checks the file.
    ///
    /// # Errors
    /// `CONFIG`, with the file and the user at fault.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            let hint = match error.kind() {
                ErrorKind::NotFound => format!("; make it with `chancery user add --file {} NAME`", path.display()),
                _ => String::new(),
            };
            config(path, format!("cannot be read: {error}{hint}"))
        })?;
        // Only the message: the parser's own display repeats the line, and lines hold hashes.
        let written: Written = toml::from_str(&text).map_err(|error| config(path, error.message().trim()))?;
        let mut file = Self::default();
        for (index, user) in written.user.into_iter().enumerate() {
            let user = check_user(user).map_err(|message| config(path, format!("`user[{index}]`: {message}")))?;
            if let Some(twice) = file.users.insert(user.name.clone(), user) {
                return Err(config(path, format!("two users are named `{}`", twice.name)));
            }
        }
        Ok(file)
    }

    /// The user of that name.
    pub fn find(&self, name: &str) -> Option<&User> {
        self.users.get(name)
    }

    /// All users, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &User> {
        self.users.values()
    }

    fn write(&self, path: &Path) -> Result<()> {
        let user = self.users.values().map(write_user).collect();
        let text = toml::to_string(&Written { user }).map_err(EngineError::internal)?;
        files::replace(path, format!("{HEADING}{text}").as_bytes())
            .map_err(|error| config(path, format!("cannot be written: {error}")))
    }
}

/// Adds a user; makes the file when there is none.
///
/// # Errors
/// `CONFIG` when the user exists, the name cannot be one, or the file cannot be read or written.
pub fn add(path: &Path, name: &str, password: &str, roles: BTreeSet<String>) -> Result<()> {
    check_name(name).map_err(|message| EngineError::new(Code::Config, message))?;
    change(path, |file| {
        if file.users.contains_key(name) {
            let sentence = format!("there is a user `{name}` already; `chancery user passwd` changes the password");
            return Err(config(path, sentence));
        }
        let user = User { name: name.to_string(), password: StoredPassword::hash(password)?, roles, disabled: false };
        file.users.insert(name.to_string(), user);
        Ok(())
    })
}

/// Gives a user a new password.
///
/// # Errors
/// `CONFIG` when there is no such user, or the file cannot be read or written.
pub fn set_password(path: &Path, name: &str, password: &str) -> Result<()> {
    change(path, |file| {
        let user = file.users.get_mut(name).ok_or_else(|| config(path, format!("there is no user `{name}`")))?;
        user.password = StoredPassword::hash(password)?;
        Ok(())
    })
}

/// Reads, changes and writes the file while no other `chancery user` does. The lock is on the directory, because the
/// file itself is replaced.
fn change(path: &Path, edit: impl FnOnce(&mut UsersFile) -> Result<()>) -> Result<()> {
    let cannot = |error: std::io::Error| config(path, format!("cannot be changed: {error}"));
    let directory = File::open(files::directory_of(path)).map_err(cannot)?;
    directory.lock().map_err(cannot)?;
    let mut file = if path.exists() { UsersFile::read(path)? } else { UsersFile::default() };
    edit(&mut file)?;
    file.write(path)
}

fn check_user(user: WrittenUser) -> Result<User, String> {
    check_name(&user.name)?;
    let password = StoredPassword::parse(&user.password_hash)
        .map_err(|message| format!("`password_hash` of `{}` {message}", user.name))?;
    Ok(User { name: user.name, password, roles: user.roles, disabled: user.disabled })
}

/// Basic cannot carry a name with a colon, and no line of a log should be made by a name.
fn check_name(name: &str) -> Result<(), String> {
    let fits = !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.trim() == name;
    if fits && !name.contains(':') && !name.chars().any(char::is_control) {
        return Ok(());
    }
    Err(format!(
        "a user's name has 1 to {NAME_BYTES_MAX} bytes, no colon, no control character, and no space at its ends"
    ))
}

fn write_user(user: &User) -> WrittenUser {
    WrittenUser {
        name: user.name.clone(),
        password_hash: user.password.to_text(),
        roles: user.roles.clone(),
        disabled: user.disabled,
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

fn config(path: &Path, message: impl AsRef<str>) -> EngineError {
    EngineError::new(Code::Config, format!("{}: {}", path.display(), message.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_added_and_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("users.toml");
        add(&path, "ana", "one", BTreeSet::from(["reader".to_string()])).unwrap();
        add(&path, "李雷", "two", BTreeSet::new()).unwrap();
        set_password(&path, "ana", "three").unwrap();
        let file = UsersFile::read(&path).unwrap();
        let ana = file.find("ana").unwrap();
        assert!(ana.password.matches("three") && !ana.password.matches("one"));
        assert_eq!(ana.subject().roles, BTreeSet::from(["reader".to_string()]));
        assert!(file.find("李雷").unwrap().password.matches("two"));
    }

    #[test]
    #[cfg(unix)]
    fn the_file_is_its_owners() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("users.toml");
        add(&path, "ana", "one", BTreeSet::new()).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_refused_change_leaves_the_file_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("users.toml");
        add(&path, "ana", "one", BTreeSet::new()).unwrap();
        let before = std::fs::read(&path).unwrap();
        add(&path, "ana", "two", BTreeSet::new()).unwrap_err();
        add(&path, "a:b", "two", BTreeSet::new()).unwrap_err();
        add(&path, "bob", "", BTreeSet::new()).unwrap_err();
        set_password(&path, "bob", "two").unwrap_err();
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }

    #[test]
    fn what_is_wrong_is_named_and_no_hash_is_shown() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("users.toml");
        let cases = [
            ("[[user]]\nname = 'ana'\npassword_hash = 'sEcReT'", "`user[0]`: `password_hash` of `ana`"),
            ("[[user]]\nname = 'ana'\npassword_hash = 'sEcReT'\nsudo = 1", "unknown field `sudo`"),
            ("[[user]]\nname = 'ana'", "missing field `password_hash`"),
            ("[[user]]\nname = ''\npassword_hash = 'sEcReT'", "a user's name has"),
        ];
        for (text, expected) in cases {
            std::fs::write(&path, text).unwrap();
            let told = UsersFile::read(&path).unwrap_err().to_string();
            assert!(told.contains(expected) && told.contains("users.toml"), "{told}");
            assert!(!told.contains("sEcReT"), "{told}");
        }
    }

    #[test]
    fn concurrent_changes_are_all_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("users.toml");
        std::thread::scope(|scope| {
            for number in 0..4 {
                let path = &path;
                scope.spawn(move || add(path, &format!("user{number}"), "x", BTreeSet::new()).unwrap());
            }
        });
        assert_eq!(UsersFile::read(&path).unwrap().iter().count(), 4);
    }
}
