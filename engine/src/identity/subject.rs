//! Who asks, once believed.

use std::collections::BTreeSet;
use std::fmt;

/// How a subject was believed, and so what it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SubjectKind {
    /// A person or a program with an entry in the users file.
    User,
    /// A coordinator that this node lists among its peers.
    Peer,
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Subject {
    /// The user's name, or the name in the peer's certificate.
    pub name: String,
    /// The roles of the user; empty for a peer.
    pub roles: BTreeSet<String>,
    /// How it was believed.
    pub kind: SubjectKind,
}

impl Subject {
    /// A coordinator.
    pub fn peer(name: impl Into<String>) -> Self {
        Self { name: name.into(), roles: BTreeSet::new(), kind: SubjectKind::Peer }
    }

    /// Whether this is a coordinator.
    pub fn is_peer(&self) -> bool {
        self.kind == SubjectKind::Peer
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            SubjectKind::User => write!(f, "user `{}`", self.name),
            SubjectKind::Peer => write!(f, "coordinator `{}`", self.name),
        }
    }
}
