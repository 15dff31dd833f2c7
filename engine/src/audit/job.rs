//! What waits for the writer: entries, how they stand to a disk that fails, and who waits for them.

use std::sync::{Arc, OnceLock};

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::entry::Entry;
use super::record::Head;

/// Where an entry's number stands once the entry is on the disk; whatever follows it finds it there.
pub(super) type Number = Arc<OnceLock<u64>>;

/// Entries that are written together.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) entries: Vec<Entry>,
    pub(super) standing: Standing,
    pub(super) reply: Option<oneshot::Sender<Result<Head, String>>>,
    /// Its place among those that may wait; free again when it is written or given up.
    pub(super) place: OwnedSemaphorePermit,
}

/// How a job stands to others, and to a disk that fails.
#[derive(Debug)]
pub(super) enum Standing {
    /// Written now or not at all.
    Alone,
    /// The same, and its number is told: of an intent or a change.
    Followed(Number),
    /// Follows the entry of that number, and is nothing without it. Owed.
    Ending(Number),
    /// When the disk fails, it is written with whatever is written next.
    Owed,
}

impl Job {
    /// Whether it can be written: what follows another entry has to wait for that.
    pub(super) fn is_ready(&self) -> bool {
        !matches!(&self.standing, Standing::Ending(number) if number.get().is_none())
    }

    /// Whether it is kept when it cannot be written.
    pub(super) fn is_owed(&self) -> bool {
        matches!(self.standing, Standing::Ending(_) | Standing::Owed)
    }

    /// The entries as they are written: a completion names what it completes, whose number nobody knew before.
    pub(super) fn numbered(&self) -> Vec<Entry> {
        let mut entries = self.entries.clone();
        if let Standing::Ending(number) = &self.standing {
            for entry in &mut entries {
                if let Entry::Completion(completion) = entry {
                    completion.intent_seq = number.get().copied().unwrap_or_default();
                }
            }
        }
        entries
    }

    /// It is on the disk; `head` is its last record.
    pub(super) fn written(self, head: &Head) {
        if let Standing::Followed(number) = &self.standing {
            // It is written once.
            let _ = number.set(head.seq);
        }
        self.end(Ok(head.clone()));
    }

    /// It is not on the disk; what is owed is given back.
    pub(super) fn failed(mut self, why: &str) -> Option<Self> {
        if self.is_owed() {
            answer(self.reply.take(), Err(why.to_string()));
            return Some(self);
        }
        self.end(Err(why.to_string()));
        None
    }

    /// Its place is free before anybody knows that it has ended.
    fn end(self, how: Result<Head, String>) {
        drop(self.place);
        answer(self.reply, how);
    }
}

/// Who no longer waits needs no answer: the record stands all the same.
fn answer(reply: Option<oneshot::Sender<Result<Head, String>>>, answer: Result<Head, String>) {
    if let Some(reply) = reply {
        let _ = reply.send(answer);
    }
}
