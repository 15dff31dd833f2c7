//! The users file: who may ask, in TOML, changed by `chancery user` in whole steps.
//!
//! ```toml
//! [[user]]
//! name = "analyst"
//! password_hash = "$argon2id$v=19$…"
//! certificate = "ana.health.example"  # beside the password or in its place: a DNS name of the user's certificate
//! organisation = "health"           # optional, as all that follows
//! roles = ["reader"]
//! purposes = ["care", "research"]   # the purposes that the user may choose from
//! default_purpose = "care"          # of whoever chooses none
//! disabled = true
//! [user.attributes]                 # values that row filters compare with
//! regions = ["north", "south"]
//! level = 3
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;

use rustls::pki_types::DnsName;
use serde::{Deserialize, Serialize};

use policy::subject::Attribute;

use super::asker::Believed;
use super::certificate::SHARED_NAME;
use super::facts::{Facts, read_attributes};
use super::password::StoredPassword;
use super::{files, name};
use crate::error::{Code, EngineError, Result};

const HEADING: &str =
    "# Users of a Chancery node. Changed by `chancery user add|set|passwd|remove`; a running node reads it again.\n\n";

/// One user.
#[derive(Debug, Clone, PartialEq)]
pub struct User {
    /// The name; any text without a colon.
    pub name: String,
    /// The hash of the password; without one the user has a certificate.
    pub password: Option<StoredPassword>,
    /// The name that the user's certificate carries, in lower case.
    pub certificate: Option<String>,
    /// What policies may know of the user.
    pub facts: Facts,
    /// Whether the user is refused for the time being.
    pub disabled: bool,
}

impl User {
    /// The user as the one who asks.
    pub fn believed(&self) -> Believed {
        let default_purpose = self.facts.default_purpose.clone();
        Believed { default_purpose, ..Believed::user(self.facts.clone().into_subject(self.name.clone())) }
    }

    /// Checks all but the name.
    fn check(&self) -> Result<(), String> {
        if let Some(certificate) = &self.certificate {
            check_certificate(certificate).map_err(|message| format!("`certificate` of `{}` {message}", self.name))?;
        }
        if self.password.is_none() && self.certificate.is_none() {
            return Err(format!(
                "`{}` has neither a `password_hash` nor a `certificate`, and could not sign in",
                self.name
            ));
        }
        self.facts.check().map_err(|message| format!("`{}`: {message}", self.name))
    }
}

/// All users of a file, by name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct UsersFile {
    users: BTreeMap<String, User>,
    /// Whose certificate carries which name.
    certificates: BTreeMap<String, String>,
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    password_hash: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    certificate: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    organisation: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    roles: BTreeSet<String>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    purposes: BTreeSet<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    default_purpose: Option<String>,
    #[serde(default, skip_serializing_if = "is_false")]
    disabled: bool,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "read_attributes")]
    attributes: BTreeMap<String, Attribute>,
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
        file.index(path)?;
        Ok(file)
    }

    /// Notes whose certificates carry which names: each name is one user's.
    fn index(&mut self, path: &Path) -> Result<()> {
        self.certificates.clear();
        for user in self.users.values() {
            let Some(certificate) = &user.certificate else { continue };
            if let Some(other) = self.certificates.insert(certificate.clone(), user.name.clone()) {
                let sentence = format!("`{other}` and `{}` have the same `certificate`, `{certificate}`", user.name);
                return Err(config(path, sentence));
            }
        }
        Ok(())
    }

    /// The user of that name.
    pub fn find(&self, name: &str) -> Option<&User> {
        self.users.get(name)
    }

    /// The one user whose certificate carries one of these names, which are in lower case; nobody where it is several
    /// users'.
    pub fn find_by_certificate(&self, names: &[String]) -> Option<&User> {
        let mut users: BTreeSet<_> = names.iter().filter_map(|name| self.certificates.get(name)).collect();
        let only = users.pop_first()?;
        if users.is_empty() { self.users.get(only) } else { None }
    }

    /// The names of certificates, each with its user's name.
    pub fn certificates(&self) -> impl Iterator<Item = (&str, &str)> {
        self.certificates.iter().map(|(certificate, user)| (certificate.as_str(), user.as_str()))
    }

    /// All users, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &User> {
        self.users.values()
    }

    fn find_mut(&mut self, path: &Path, name: &str) -> Result<&mut User> {
        self.users.get_mut(name).ok_or_else(|| config(path, format!("there is no user `{name}`")))
    }

    fn write(&self, path: &Path) -> Result<()> {
        let user = self.users.values().map(write_user).collect();
        let text = toml::to_string(&Written { user }).map_err(EngineError::internal)?;
        files::replace(path, format!("{HEADING}{text}").as_bytes())
            .map_err(|error| config(path, format!("cannot be written: {error}")))
    }
}

/// Adds a user with a password; makes the file when there is none.
///
/// # Errors
/// `CONFIG` when the user exists, the name or the facts cannot be a user's, or the file cannot be read or written.
pub fn add(path: &Path, name: &str, password: &str, facts: impl Into<Facts>) -> Result<()> {
    let password = Some(StoredPassword::hash(password)?);
    let user = User { name: name.to_string(), password, certificate: None, facts: facts.into(), disabled: false };
    add_user(path, user)
}

/// Adds a user; makes the file when there is none.
///
/// # Errors
/// `CONFIG` when the user exists or cannot be one, or the file cannot be read or written.
pub fn add_user(path: &Path, mut user: User) -> Result<()> {
    user.certificate = user.certificate.map(|name| name.to_ascii_lowercase());
    let checked = name::check_local(&user.name).and_then(|()| user.check());
    checked.map_err(|message| EngineError::new(Code::Config, message))?;
    change(path, |file| {
        if file.users.contains_key(&user.name) {
            let sentence =
                format!("there is a user `{}` already; `chancery user passwd` changes the password", user.name);
            return Err(config(path, sentence));
        }
        file.users.insert(user.name.clone(), user);
        Ok(())
    })
}

/// Gives a user a new password.
///
/// # Errors
/// `CONFIG` when there is no such user, or the file cannot be read or written.
pub fn set_password(path: &Path, name: &str, password: &str) -> Result<()> {
    let password = Some(StoredPassword::hash(password)?);
    set(path, name, |user| user.password = password)
}

/// Changes what is known of a user; sessions see it at once.
///
/// # Errors
/// `CONFIG` when there is no such user, the facts are over a limit, or the file cannot be read or written.
pub fn set_facts(path: &Path, name: &str, edit: impl FnOnce(&mut Facts)) -> Result<()> {
    set(path, name, |user| edit(&mut user.facts))
}

/// Changes a user in all but the name; sessions see it at once.
///
/// # Errors
/// `CONFIG` when there is no such user, this cannot be one, or the file cannot be read or written.
pub fn set(path: &Path, name: &str, edit: impl FnOnce(&mut User)) -> Result<()> {
    change(path, |file| {
        let user = file.find_mut(path, name)?;
        edit(user);
        user.certificate = user.certificate.take().map(|name| name.to_ascii_lowercase());
        user.check().map_err(|message| config(path, message))
    })
}

/// Removes a user; open sessions end.
///
/// # Errors
/// `CONFIG` when there is no such user, or the file cannot be read or written.
pub fn remove(path: &Path, name: &str) -> Result<()> {
    change(path, |file| {
        file.find_mut(path, name)?;
        file.users.remove(name);
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
    file.index(path)?;
    file.write(path)
}

fn check_user(user: WrittenUser) -> Result<User, String> {
    let password = user.password_hash.as_deref().map(StoredPassword::parse).transpose();
    let password = password.map_err(|message| format!("`password_hash` of `{}` {message}", user.name));
    name::check_local(&user.name)?;
    let facts = Facts {
        organisation: user.organisation,
        roles: user.roles,
        purposes: user.purposes,
        default_purpose: user.default_purpose,
        attributes: user.attributes,
    };
    let certificate = user.certificate.map(|name| name.to_ascii_lowercase());
    let user = User { name: user.name, password: password?, certificate, facts, disabled: user.disabled };
    user.check()?;
    Ok(user)
}

/// A name as [`super::certificate::peer_names`] reads it in a certificate: one that could be no other's.
fn check_certificate(name: &str) -> Result<(), String> {
    if name == SHARED_NAME {
        return Err("is the name of every machine; write one that only this user's certificate carries".to_string());
    }
    if DnsName::try_from(name).is_err() || name.ends_with('.') {
        return Err("is no DNS name of a certificate: ASCII letters, digits, `-`, `_` and `.`".to_string());
    }
    Ok(())
}

fn write_user(user: &User) -> WrittenUser {
    let facts = user.facts.clone();
    WrittenUser {
        name: user.name.clone(),
        password_hash: user.password.as_ref().map(StoredPassword::to_text),
        certificate: user.certificate.clone(),
        organisation: facts.organisation,
        roles: facts.roles,
        purposes: facts.purposes,
        default_purpose: facts.default_purpose,
        disabled: user.disabled,
        attributes: facts.attributes,
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
        let matches = |user: &User, password: &str| user.password.as_ref().unwrap().matches(password);
        assert!(matches(ana, "three") && !matches(ana, "one"));
        assert_eq!(ana.believed().subject.roles, BTreeSet::from(["reader".to_string()]));
        assert!(matches(file.find("李雷").unwrap(), "two"));
        remove(&path, "ana").unwrap();
        remove(&path, "ana").unwrap_err();
        assert!(UsersFile::read(&path).unwrap().find("ana").is_none());
    }

    #[test]
    fn facts_are_written_and_read_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("users.toml");
        let json = serde_json::json!({
            "organisation": "health", "roles": ["analyst"], "purposes": ["care", "research"], "default_purpose": "care",
            "attributes": {"regions": ["north", "south"], "level": 3, "on": true, "none": []},
        });
        let facts: Facts = serde_json::from_value(json).unwrap();
        add(&path, "ana", "one", facts.clone()).unwrap();
        add(&path, "bob", "two", BTreeSet::new()).unwrap();
        let file = UsersFile::read(&path).unwrap();
        assert_eq!(file.find("ana").unwrap().facts, facts);
        let believed = file.find("ana").unwrap().believed();
        assert_eq!(believed.default_purpose.as_deref(), Some("care"));
        assert_eq!((believed.subject.attributes, believed.subject.purposes), (facts.attributes, facts.purposes));
        set_facts(&path, "ana", |facts| facts.default_purpose = None).unwrap();
        assert_eq!(UsersFile::read(&path).unwrap().find("ana").unwrap().facts.default_purpose, None);
        set_facts(&path, "ana", |facts| facts.default_purpose = Some("audit".to_string())).unwrap_err();
        assert_eq!(UsersFile::read(&path).unwrap().find("ana").unwrap().facts.default_purpose, None);
    }

    #[test]
    fn a_user_has_a_password_a_certificate_or_both() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("users.toml");
        let certified = |name: &str, certificate: &str| User {
            name: name.to_string(),
            password: None,
            certificate: Some(certificate.to_string()),
            facts: Facts::default(),
            disabled: false,
        };
        add_user(&path, certified("ana", "Ana.Health.Example")).unwrap();
        add(&path, "bob", "two", BTreeSet::new()).unwrap();
        let found = |names: &[&str]| {
            let names: Vec<_> = names.iter().map(|name| (*name).to_string()).collect();
            UsersFile::read(&path).unwrap().find_by_certificate(&names).map(|user| user.name.clone())
        };
        assert_eq!(found(&["elsewhere", "ana.health.example"]).as_deref(), Some("ana"));
        assert_eq!((found(&["ana"]), found(&["bob"]), found(&[])), (None, None, None));
        add_user(&path, certified("eve", "ana.health.example")).unwrap_err();
        set(&path, "bob", |user| user.certificate = Some("ana.health.example".to_string())).unwrap_err();
        set(&path, "bob", |user| user.certificate = Some("bob.health.example".to_string())).unwrap();
        assert_eq!(found(&["bob.health.example"]).as_deref(), Some("bob"));
        assert_eq!(found(&["ana.health.example", "bob.health.example"]), None, "of two users it is nobody's");
        set(&path, "bob", |user| user.password = None).unwrap();
        set(&path, "bob", |user| user.certificate = None).unwrap_err();
        set_password(&path, "bob", "three").unwrap();
        set(&path, "bob", |user| user.certificate = None).unwrap();
        assert_eq!(found(&["bob.health.example"]), None);
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
        add(&path, "a via b", "two", BTreeSet::new()).unwrap_err();
        add(&path, "bob", "two", BTreeSet::from([String::new()])).unwrap_err();
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
            ("[[user]]\nname = 'ana'", "`user[0]`: `ana` has neither a `password_hash` nor a `certificate`"),
            ("[[user]]\nname = 'ana'\ncertificate = 'a b'", "`user[0]`: `certificate` of `ana` is no DNS name"),
            ("[[user]]\nname = 'ana'\ncertificate = '*.health.example'", "is no DNS name"),
            ("[[user]]\nname = 'ana'\ncertificate = 'LocalHost'", "is the name of every machine"),
            (
                "[[user]]\nname = 'ana'\ncertificate = 'a.example'\n[[user]]\nname = 'bob'\ncertificate = 'A.example'",
                "`ana` and `bob` have the same `certificate`, `a.example`",
            ),
            ("[[user]]\nname = ''\npassword_hash = 'sEcReT'", "a user's name has"),
            ("[[user]]\nname = 'ana'\npassword_hash = 'sEcReT'\nattributes.level = 1.5", "did not match"),
        ];
        for (text, expected) in cases {
            std::fs::write(&path, text).unwrap();
            let told = UsersFile::read(&path).unwrap_err().to_string();
            assert!(told.contains(expected) && told.contains("users.toml"), "{told}");
            assert!(!told.contains("sEcReT"), "{told}");
        }
        let hash = StoredPassword::hash("x").unwrap().to_text();
        let text =
            format!("[[user]]\nname = 'ana'\npassword_hash = '{hash}'\nattributes.note = '{}'", "x".repeat(1_025));
        std::fs::write(&path, text).unwrap();
        let told = UsersFile::read(&path).unwrap_err().to_string();
        assert!(told.contains("`user[0]`: `ana`: the attribute `note` has a text of more than 1024 bytes"), "{told}");
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
