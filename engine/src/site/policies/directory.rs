//! Policy from files: a directory that has come to rest becomes the next version, whole or not at all.
//!
//! As long as it is wrong, missing or being written, the last good version serves, no longer than its own VALID UNTIL;
//! also after a restart, since it was written down.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use policy::set::{Baselines, GrantRecord, Made, PolicySet};
use policy::statement::Grant;

use super::files::{Glance, PolicyFile, as_files, digest, glance, line, read};
use super::record::{Next, Reach};
use super::store::{Entry, Kept};
use super::tables::TableSnapshot;
use super::{Policies, blocking};
use crate::error::Result;
use crate::session::queries::QueryId;

/// Who is named as the author of what files say: their authors are known where they are kept.
const AUTHOR: &str = "(files)";
/// How long a directory must be still to be at rest, when a site starts.
const REST: Duration = Duration::from_millis(200);
/// A directory that moves longer than this does not hold a site's start up.
const LOOKS_AT_START: usize = 10;
/// A refused directory is tried again after this many looks, since tables may have come meanwhile.
const LOOKS_UNTIL_RETRY: u32 = 20;

/// What is known of the directory from having looked at it.
#[derive(Debug)]
pub(super) struct Watch {
    directory: PathBuf,
    /// What the last look saw.
    seen: Option<Result<Glance, String>>,
    /// What was last taken or refused.
    dealt_with: Option<Result<Glance, String>>,
    /// What was wrong with it.
    refusal: Option<String>,
    /// How many looks ago that was.
    looks: u32,
}

/// What came of reading a directory.
enum Outcome {
    /// It is in force, or was already.
    Taken,
    /// It changed while it was read.
    Moving,
    /// It is wrong: all that is.
    Refused(String),
}

impl Watch {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self { directory, seen: None, dealt_with: None, refusal: None, looks: 0 }
    }

    /// What is wrong with the directory.
    #[cfg(test)]
    pub(super) fn refusal(&self) -> Option<&str> {
        self.refusal.as_deref()
    }

    /// Whether what was seen is at rest and asks for something to be done.
    fn is_due(&mut self, seen: &Result<Glance, String>) -> bool {
        let rests = self.seen.as_ref() == Some(seen);
        self.seen = Some(seen.clone());
        self.looks = self.looks.saturating_add(1);
        let retry = self.refusal.is_some() && self.looks >= LOOKS_UNTIL_RETRY;
        rests && (self.dealt_with.as_ref() != Some(seen) || retry)
    }

    /// Remembers what came of it, and tells the log, once for each refusal.
    fn deal_with(&mut self, seen: Result<Glance, String>, outcome: Outcome, policies: &Policies) {
        let refusal = match outcome {
            Outcome::Moving => return,
            Outcome::Taken => None,
            Outcome::Refused(faults) => Some(faults),
        };
        self.looks = 0;
        if let Some(faults) = refusal.as_ref().filter(|faults| self.refusal.as_ref() != Some(*faults)) {
            let current = policies.current();
            tracing::warn!(
                site = policies.site,
                directory = %self.directory.display(),
                "the directory of policies is refused as a whole; version {} serves on, no longer than its own VALID \
                 UNTIL:\n{faults}",
                current.set.version
            );
        }
        self.refusal = refusal;
        self.dealt_with = Some(seen);
    }
}

impl Policies {
    /// Takes the directory as it is at start, when it is at rest and right.
    pub(super) async fn load_at_start(self: &Arc<Self>, watch: &mut Watch) -> Result<()> {
        for _ in 0..LOOKS_AT_START {
            self.look(watch).await?;
            if watch.dealt_with.is_some() {
                break;
            }
            tokio::time::sleep(REST).await;
        }
        Ok(())
    }

    /// Looks at the directory, and takes it when it is new, at rest and right.
    pub(super) async fn look(self: &Arc<Self>, watch: &mut Watch) -> Result<()> {
        let directory = watch.directory.clone();
        let seen = blocking(move || glance(&directory)).await?;
        if !watch.is_due(&seen) {
            return Ok(());
        }
        let outcome = match seen.clone() {
            Err(fault) => Outcome::Refused(fault),
            Ok(seen) => {
                let tables = self.tables.snapshot().await;
                let (policies, directory) = (Arc::clone(self), watch.directory.clone());
                blocking(move || policies.take(&directory, &seen, &tables)).await?
            }
        };
        watch.deal_with(seen, outcome, self);
        Ok(())
    }

    fn take(&self, directory: &Path, seen: &Glance, tables: &TableSnapshot) -> Outcome {
        let files = read(directory);
        if glance(directory).as_ref() != Ok(seen) {
            return Outcome::Moving;
        }
        let taken = files.map_err(|faults| faults.join("\n")).and_then(|files| self.take_files(&files, tables));
        taken.map_or_else(Outcome::Refused, |()| Outcome::Taken)
    }

    /// Puts the files in force, if they are right and not in force already.
    fn take_files(&self, files: &[PolicyFile], tables: &TableSnapshot) -> Result<(), String> {
        let mut turn = self.turn.lock();
        let digest = digest(files);
        if turn.as_ref() == Some(&digest) {
            return Ok(());
        }
        let made = Made { author: AUTHOR.to_string(), at: self.now() };
        let set = self.read_files(files, &made, tables)?;
        let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
        let entry = Entry {
            version: set.version,
            at: made.at,
            author: made.author,
            statement: names.join(", "),
            inverse: String::new(),
        };
        let kept = Kept { set: set.clone(), files: Some(digest.clone()) };
        let next = Next { entry, kept, query: QueryId::random() };
        let in_force = self.put_in_force(next, Reach::PerhapsMore).flatten();
        if let Err(error) = in_force {
            if self.take_away(&set, tables) {
                // The files of before are not in force any more: put back, they are a new version.
                *turn = None;
            }
            return Err(error.chain());
        }
        *turn = Some(digest);
        Ok(())
    }

    /// The next version, as the files have it; a grant that was there before covers the columns that it covered then, and
    /// a policy looks for the types that it found then.
    fn read_files(&self, files: &[PolicyFile], made: &Made, tables: &TableSnapshot) -> Result<PolicySet, String> {
        let before = self.current();
        let known = Baselines::of(&before.set);
        let read = PolicySet::from_files(&as_files(files), &self.site, (made, tables), &known);
        let mut set = read.map_err(|faults| faults.iter().map(line).collect::<Vec<_>>().join("\n"))?;
        set.version = before.set.version.saturating_add(1);
        set.last_grant = before.set.last_grant;
        keep_times(&before.set, &mut set);
        Ok(set)
    }
}

/// A grant that says what it said before was made when it was first read: a change of other lines does not make it anew.
fn keep_times(before: &PolicySet, next: &mut PolicySet) {
    for (id, record) in &mut next.grants {
        let same = |known: &&GrantRecord| {
            let terms = |grant: &Grant| (grant.right.clone(), grant.purpose.clone(), grant.mode);
            known.author == AUTHOR && terms(&known.grant) == terms(&record.grant)
        };
        if let Some(known) = before.grants.get(id).filter(same) {
            record.at = known.at;
        }
    }
}
