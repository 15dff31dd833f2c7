//! How a version comes to be in force: written down, recorded, in force. Each is recorded once, as what became of it.
//!
//! ```text
//! gives somebody more   written down → recorded → in force          a site that ended in between asks the record at its
//! only takes away       written down → in force → recorded          next start: there it stands, or it does not
//! ```

use std::sync::Arc;

use policy::set::PolicySet;

use super::store::{Entry, Kept, Store, StoreError, Unrecorded};
use super::tables::TableSnapshot;
use super::{Current, Policies};
use crate::audit::AuditLog;
use crate::audit::entry::{Change, Completion, Entry as Recorded, Outcome};
use crate::error::{Code, EngineError, Result};
use crate::session::queries::QueryId;

/// Whom a change may give more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// Nobody ([`PolicySet::only_takes_away`]).
    OnlyLess,
    /// Somebody.
    PerhapsMore,
}

/// The next version.
#[derive(Debug)]
pub(super) struct Next {
    pub(super) entry: Entry,
    pub(super) kept: Kept,
    /// The query that it came by.
    pub(super) query: QueryId,
}

impl Policies {
    /// Writes the next version down and has it recorded, and only then lets it be in force; or before, where it gives nobody
    /// anything. The caller holds the turn, on a thread that may wait.
    ///
    /// # Errors
    /// Why it is not in force; and, in the answer, why it is in force and not recorded yet.
    pub(super) fn put_in_force(&self, next: Next, reach: Reach) -> Result<Result<()>> {
        let Next { entry, kept, query } = next;
        let store = self.store()?;
        let change = recorded(&entry, kept.files.as_deref(), query.as_str());
        let unrecorded = self.audit.as_ref().map(|audit| Unrecorded {
            query: query.to_string(),
            after: audit.head().seq,
            in_force: reach == Reach::OnlyLess,
        });
        store.write_version(&entry, &kept, unrecorded.as_ref()).map_err(unwritten)?;
        let in_force = Arc::new(Current { set: Arc::new(kept.set), unreadable: None });
        let recorded = match (&self.audit, reach) {
            (None, _) => {
                self.current.send_replace(in_force);
                Ok(())
            }
            (Some(audit), Reach::PerhapsMore) => {
                if let Err(error) = record(audit, change) {
                    self.note(store.take_back());
                    return Err(error);
                }
                self.current.send_replace(in_force);
                Ok(())
            }
            (Some(audit), Reach::OnlyLess) => {
                // Queued before it ends anything, so that the record has it before the ends.
                let recorded = audit.append_owed(Recorded::Change(change));
                self.current.send_replace(in_force);
                wait(recorded).map(drop).map_err(self::in_force)
            }
        };
        if recorded.is_ok() && self.audit.is_some() {
            self.note(store.has_recorded(entry.version));
        }
        tracing::info!(site = self.site, version = entry.version, author = entry.author, "policy has changed");
        Ok(recorded)
    }

    /// What could not be noted in the state is found in the record at the next start.
    fn note(&self, noted: std::result::Result<(), StoreError>) {
        if let Err(error) = noted {
            tracing::error!(site = self.site, "the site cannot write its state: {error}");
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

/// Settles what a site that ended in the middle of a change has left: what the record has is in force, and what is in force
/// the record gets. On a thread that may wait.
pub(super) fn settle(store: &Store, audit: &Arc<AuditLog>) -> std::result::Result<(), StoreError> {
    let unknown = |error: EngineError| StoreError::Content(error.chain());
    for (entry, files, unrecorded) in store.unrecorded()?.into_iter().rev() {
        let Unrecorded { query, after, in_force } = unrecorded;
        if audit.has_change(&query, after).map_err(unknown)? {
            store.has_recorded(entry.version)?;
        } else if !in_force {
            store.take_back()?;
        } else {
            match wait(audit.append_owed(Recorded::Change(recorded(&entry, files.as_deref(), &query)))) {
                Ok(_) => store.has_recorded(entry.version)?,
                Err(error) => tracing::error!("a change is in force and not recorded yet: {}", error.chain()),
            }
        }
    }
    Ok(())
}

/// A change as the record has it; of a directory with its digest.
fn recorded(entry: &Entry, files: Option<&str>, query: &str) -> Change {
    let statement = match files {
        None => entry.statement.clone(),
        Some(digest) => format!("{} (BLAKE3 {digest})", entry.statement),
    };
    let (author, version, inverse) = (entry.author.clone(), entry.version, entry.inverse.clone());
    Change { query: query.to_string(), author, version, statement, inverse }
}

/// Waits until the change is on the record's disk. Where that is not known in time it is not in force, and the record says so
/// if it comes to have it.
fn record(audit: &AuditLog, change: Change) -> Result<()> {
    let query = change.query.clone();
    let (ending, lasting) = audit.begin_change(change)?;
    wait(lasting).map(drop).inspect_err(|_| {
        let outcome = Outcome::failed(Code::Audit);
        let nothing = Completion { intent_seq: 0, query, fragment: 0, rows: 0, bytes: 0, outcome, elapsed_ms: 0 };
        ending.append(None, nothing);
    })
}

fn wait<T>(until: impl Future<Output = T>) -> T {
    tokio::runtime::Handle::current().block_on(until)
}

fn unwritten(error: StoreError) -> EngineError {
    EngineError::new(Code::Policy, "the change could not be written to the disk and is not in force; the log says more")
        .caused_by(error)
}

fn in_force(unrecorded: EngineError) -> EngineError {
    let sentence = "the change is in force, since it only takes rights away, but this site cannot write its evidence at \
                    present; the record gets it as soon as it can be written";
    EngineError::new(Code::Audit, sentence).caused_by(unrecorded)
}
