//! What became of a statement or a change, whose place in the log is kept from its first record on.

use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::WeakUnboundedSender;

use super::entry::{Closing, Completion, Entry};
use super::job::{Job, Number, Standing};

/// What is to be said of one statement's end, or of a change that failed. It does not keep the log open: of statements that
/// outlive it the next start tells that they were interrupted.
#[derive(Debug)]
pub struct Ending {
    jobs: WeakUnboundedSender<Job>,
    place: OwnedSemaphorePermit,
    first: Number,
}

impl Ending {
    pub(super) fn new(jobs: WeakUnboundedSender<Job>, place: OwnedSemaphorePermit, first: Number) -> Self {
        Self { jobs, place, first }
    }

    /// Records the end: after the first record, whose number the writer fills in, and only if that is written. A disk that
    /// fails now gets it with whatever is written next.
    pub fn append(self, closing: Option<Closing>, completion: Completion) {
        let Some(jobs) = self.jobs.upgrade() else { return };
        let entries = closing.map(Entry::Closing).into_iter().chain([Entry::Completion(completion)]).collect();
        let job = Job { entries, standing: Standing::Ending(self.first), reply: None, place: self.place };
        if jobs.send(job).is_err() {
            tracing::error!("the log has ended before a statement; the next start will tell that it was interrupted");
        }
    }
}
