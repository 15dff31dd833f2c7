//! The end of a statement, whose place in the log is kept from the moment of its intent.

use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::WeakUnboundedSender;

use super::entry::{Closing, Completion, Entry};
use super::job::{Job, Number, Standing};

/// What is to be said of one statement's end. It does not keep the log open: of statements that outlive it the next
/// start tells that they were interrupted.
#[derive(Debug)]
pub struct Ending {
    jobs: WeakUnboundedSender<Job>,
    place: OwnedSemaphorePermit,
    intent: Number,
}

impl Ending {
    pub(super) fn new(jobs: WeakUnboundedSender<Job>, place: OwnedSemaphorePermit, intent: Number) -> Self {
        Self { jobs, place, intent }
    }

    /// Records the end: after the intent, whose number the writer fills in, and only if the intent is written. A disk
    /// that fails now gets it with whatever is written next.
    pub fn append(self, closing: Option<Closing>, completion: Completion) {
        let Some(jobs) = self.jobs.upgrade() else { return };
        let entries = closing.map(Entry::Closing).into_iter().chain([Entry::Completion(completion)]).collect();
        let job = Job { entries, standing: Standing::Ending(self.intent), reply: None, place: self.place };
        if jobs.send(job).is_err() {
            tracing::error!("the log has ended before a statement; the next start will tell that it was interrupted");
        }
    }
}
