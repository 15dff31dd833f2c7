//! A change of policy in the site's record: durable before the change is in force.

use std::sync::Arc;

use policy::set::PolicySet;

use super::store::Entry;
use super::tables::TableSnapshot;
use super::{Current, Policies};
use crate::audit::entry::{Change as RecordedChange, Entry as Recorded};
use crate::error::{Code, EngineError, Result};

/// Whom a change may give more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// Nobody ([`PolicySet::only_takes_away`]).
    OnlyLess,
    /// Somebody.
    PerhapsMore,
}

impl Policies {
    /// Waits until the change is on the record's disk; from a thread that may wait. `files` is the digest of a directory.
    ///
    /// # Errors
    /// `AUDIT`; what only takes rights away is written to the record as soon as it can be.
    pub(super) fn record(&self, entry: &Entry, files: Option<&str>, reach: Reach) -> Result<()> {
        let Some(audit) = &self.audit else { return Ok(()) };
        let statement = match files {
            None => entry.statement.clone(),
            Some(digest) => format!("{} (BLAKE3 {digest})", entry.statement),
        };
        let change = Recorded::Change(RecordedChange {
            author: entry.author.clone(),
            version: entry.version,
            statement,
            inverse: entry.inverse.clone(),
        });
        let threads = tokio::runtime::Handle::current();
        match reach {
            Reach::PerhapsMore => threads.block_on(audit.append(change)).map(drop),
            Reach::OnlyLess => threads.block_on(audit.append_owed(change)).map(drop).map_err(in_force),
        }
    }

    /// Of files that cannot be recorded or written down, what they take away is gone at once, grants and time, but for what
    /// would give somebody something; what they give is not given. Only in memory: a restart reads the files anew, and
    /// before anybody is let in. Whether they take anything away.
    pub(super) fn take_away(&self, next: &PolicySet, tables: &TableSnapshot) -> bool {
        let before = self.current();
        let gone = before.set.grants.keys().map(String::as_str).filter(|id| !next.grants.contains_key(*id)).collect();
        let mut set = before.set.without(gone, self.now(), tables);
        set.valid_until = set.valid_until.into_iter().chain(next.valid_until).min();
        if set == *before.set {
            return false;
        }
        tracing::warn!(site = self.site, "the files are not in force, but the grants that they take away are gone");
        let unreadable = before.unreadable.clone();
        self.current.send_replace(Arc::new(Current { set: Arc::new(set), unreadable }));
        true
    }
}

fn in_force(unrecorded: EngineError) -> EngineError {
    let sentence = "the change is in force, since it only takes rights away, but this site cannot write its evidence at \
                    present; the record gets it as soon as it can be written";
    EngineError::new(Code::Audit, sentence).caused_by(unrecorded)
}
