//! Who asks a statement, for which purpose, and by what this node believes it: all that a statement runs under.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

pub use policy::subject::Subject;

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
    /// When the identity ends: the token's expiry; `None` for a password.
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

    /// The name by which everything is recorded and sealed; two askers of one name from different doors differ in it.
    pub fn label(&self) -> String {
        match &self.came {
            Came::Through(coordinator) => format!("{} via {coordinator}", self.subject.name),
            Came::Directly | Came::AsPeer => self.subject.name.clone(),
        }
    }

    /// Whether this is a coordinator in its own name.
    pub fn is_peer(&self) -> bool {
        self.came == Came::AsPeer
    }
}
