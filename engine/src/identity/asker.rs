//! Who asks a statement, for which purpose, and by what this node believes it: all that a statement runs under.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

pub use policy::subject::Subject;

use super::name::VIA;
use crate::error::{Code, EngineError, Result};
use crate::sabotage::{Control, thrown};

/// A user whom this node believes, before a purpose is chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct Believed {
    /// The subject as policy sees it.
    pub subject: Subject,
    /// The purpose of whoever chooses none; one that the subject holds.
    pub default_purpose: Option<String>,
    /// Who vouches for the subject.
    pub issuer: Issuer,
    /// When the identity ends: with its token or certificate; `None` for a password.
    pub ends: Option<SystemTime>,
}

/// Who asks, once believed.
#[derive(Debug, Clone, PartialEq)]
pub struct Asker {
    /// The subject as policy sees it.
    pub subject: Subject,
    /// The purpose that the statement is asked for.
    pub purpose: Option<String>,
    /// How the asker came here.
    pub came: Came,
    /// Who vouches for the subject.
    pub issuer: Issuer,
    /// When the identity ends, and with it every session and stream: the expiry of a token or a certificate; `None` for
    /// a password.
    pub ends: Option<SystemTime>,
}

/// How an asker came to this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Came {
    /// To this node's own door.
    Directly,
    /// By a delegation through the coordinator of this name.
    Through(String),
    /// The asker is a coordinator in its own name: it may read the directory and nothing else.
    AsPeer,
}

/// Who vouches for a subject.
#[derive(Clone, PartialEq, Eq)]
pub enum Issuer {
    /// This node's users file; through a coordinator: the coordinator's.
    UsersFile,
    /// An issuer of tokens, with the token, which is passed on to sites as it is.
    Token {
        /// The issuer's name, as in the token.
        name: String,
        /// The token, verbatim.
        token: Arc<str>,
    },
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Issuer::UsersFile => f.write_str("UsersFile"),
            Issuer::Token { name, .. } => write!(f, "Token({name})"),
        }
    }
}

impl Believed {
    /// A user of a users file with nothing but a name and roles.
    pub fn user(subject: Subject) -> Self {
        Self { subject, default_purpose: None, issuer: Issuer::UsersFile, ends: None }
    }

    /// The user asking for the purpose that is wanted, or else for the default one.
    ///
    /// # Errors
    /// `PURPOSE` for one that the subject does not hold.
    pub fn asking(self, wanted: Option<String>, came: Came) -> Result<Asker> {
        let purpose = match wanted {
            Some(purpose) => Some(held(&self.subject, purpose)?),
            None => self.default_purpose,
        };
        Ok(Asker { subject: self.subject, purpose, came, issuer: self.issuer, ends: self.ends })
    }
}

/// The purpose, if the subject holds it, letter by letter.
fn held(subject: &Subject, purpose: String) -> Result<String> {
    const SHOWN_MAX: usize = 20;
    if subject.purposes.contains(&purpose) || thrown(Control::Purpose) {
        return Ok(purpose);
    }
    let shown: Vec<_> = subject.purposes.iter().take(SHOWN_MAX).map(|held| format!("`{held}`")).collect();
    let held = match (shown.len(), subject.purposes.len().saturating_sub(SHOWN_MAX)) {
        (0, _) => "you hold none".to_string(),
        (_, 0) => format!("you hold: {}", shown.join(", ")),
        (_, more) => format!("you hold: {} and {more} more", shown.join(", ")),
    };
    let wanted: String = purpose.chars().filter(|one| !one.is_control()).take(100).collect();
    Err(EngineError::new(Code::Purpose, format!("you do not hold the purpose `{wanted}`; {held}")))
}

impl Asker {
    /// A user of this node's users file, at its door, with no purpose chosen yet.
    pub fn user(subject: Subject) -> Self {
        Self { subject, purpose: None, came: Came::Directly, issuer: Issuer::UsersFile, ends: None }
    }

    /// A coordinator in its own name.
    pub fn peer(name: &str) -> Self {
        let subject = Subject { name: name.to_string(), ..Subject::default() };
        Self { came: Came::AsPeer, ..Self::user(subject) }
    }

    /// The subject as policy knows it: `USER ana` is a user of this node or of a coordinator, and of an issuer of tokens
    /// `USER "ana@issuer"`, so that no issuer can name another's.
    pub fn known(&self) -> Cow<'_, Subject> {
        match &self.issuer {
            Issuer::UsersFile => Cow::Borrowed(&self.subject),
            Issuer::Token { .. } => Cow::Owned(Subject { name: self.name_by_issuer(), ..self.subject.clone() }),
        }
    }

    /// The name by which everything is recorded and sealed. Two askers who are not the same have different ones: an
    /// issuer's name has a colon and neither `@` nor a space, and a local user's name no colon and no ` via `.
    pub fn label(&self) -> String {
        let name = self.name_by_issuer();
        match &self.came {
            Came::Through(coordinator) => format!("{name}{VIA}{coordinator}"),
            Came::Directly | Came::AsPeer => name,
        }
    }

    /// The name, and whose word it is by where that is an issuer of tokens.
    pub fn name_by_issuer(&self) -> String {
        match &self.issuer {
            Issuer::UsersFile => self.subject.name.clone(),
            Issuer::Token { name, .. } => format!("{}@{name}", self.subject.name),
        }
    }

    /// The purpose, if the asker holds it.
    ///
    /// # Errors
    /// `PURPOSE`.
    pub fn held(&self, purpose: String) -> Result<String> {
        held(&self.subject, purpose)
    }

    /// Whether this is a coordinator in its own name.
    pub fn is_peer(&self) -> bool {
        self.came == Came::AsPeer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(purposes: &[&str]) -> Believed {
        let purposes = purposes.iter().map(ToString::to_string).collect();
        let subject = Subject { name: "ana".to_string(), purposes, ..Subject::default() };
        Believed { default_purpose: None, ..Believed::user(subject) }
    }

    #[test]
    fn a_purpose_is_held_letter_by_letter() {
        let asking = |wanted: &str| holder(&["care", "research"]).asking(Some(wanted.to_string()), Came::Directly);
        assert_eq!(asking("care").unwrap().purpose.as_deref(), Some("care"));
        for wanted in ["Care", "care ", "", "audit"] {
            let told = asking(wanted).unwrap_err();
            assert_eq!(told.code(), Code::Purpose);
            assert!(told.sentence().ends_with("you hold: `care`, `research`"), "{told}");
        }
        let none = holder(&[]).asking(Some("x".to_string()), Came::Directly).unwrap_err();
        assert!(none.sentence().ends_with("you hold none"), "{none}");
    }

    #[test]
    fn the_default_stands_in_and_nothing_else_does() {
        let plain = holder(&["care"]);
        assert_eq!(plain.clone().asking(None, Came::Directly).unwrap().purpose, None, "a single purpose is no choice");
        let with_default = Believed { default_purpose: Some("care".to_string()), ..plain };
        assert_eq!(with_default.asking(None, Came::Directly).unwrap().purpose.as_deref(), Some("care"));
    }

    #[test]
    fn labels_of_different_askers_differ() {
        let local = Asker::user(Subject { name: "ana".to_string(), ..Subject::default() });
        let issuer = Issuer::Token { name: "https://login.example".to_string(), token: Arc::from("secret") };
        let token = Asker { issuer, ..local.clone() };
        let through = |asker: &Asker| Asker { came: Came::Through("hub".to_string()), ..asker.clone() };
        let labels = [&local, &token, &through(&local), &through(&token)].map(Asker::label);
        assert_eq!(labels, ["ana", "ana@https://login.example", "ana via hub", "ana@https://login.example via hub"]);
        let known = [&local, &token, &through(&local), &through(&token)].map(|asker| asker.known().name.clone());
        assert_eq!(known, ["ana", "ana@https://login.example", "ana", "ana@https://login.example"]);
        assert!(!format!("{token:?}").contains("secret"));
    }
}
