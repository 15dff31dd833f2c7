//! What crossed the border to and from one site for one statement of a query, from its sending to its end.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use super::record::QueryRecord;
use crate::catalog::site_table::SiteId;
use crate::error::Code;
use crate::session::trace::TraceContext;

/// Where a query or a remote scan stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// Not ended.
    Running,
    /// Ended with its whole answer.
    Finished,
    /// Ended by an error of this code.
    Failed(Code),
    /// Ended because nobody wanted the rest.
    Cancelled,
}

impl Progress {
    pub(super) fn ended_by(code: Code) -> Self {
        match code {
            Code::Cancelled => Progress::Cancelled,
            code => Progress::Failed(code),
        }
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Progress::Running => f.write_str("running"),
            Progress::Finished => f.write_str("finished"),
            Progress::Failed(code) => write!(f, "failed: {code}"),
            Progress::Cancelled => f.write_str("cancelled"),
        }
    }
}

/// What crossed the border to and from one site for one statement of a query.
#[derive(Debug)]
pub struct LedgerEntry {
    /// The site.
    pub site: SiteId,
    /// The statement's number within the query, from 1 in the order in which they were sent.
    pub number: usize,
    /// The statement as sent.
    pub statement: Arc<str>,
    /// The key sets that went with it, by number and size; `None` without any.
    pub key_sets: Option<String>,
    /// Its span in the query's trace, as the site is told it.
    pub trace: Option<TraceContext>,
    /// gRPC message bytes to the site, the statement included.
    pub bytes_sent: Arc<AtomicU64>,
    /// gRPC message bytes from the site.
    pub bytes_received: Arc<AtomicU64>,
    rows: AtomicU64,
    course: Course,
    first_row: OnceLock<Duration>,
}

/// From a beginning to an end, which comes once.
#[derive(Debug)]
pub(super) struct Course {
    pub(super) started: Instant,
    ended: OnceLock<(Progress, Duration)>,
}

impl Course {
    pub(super) fn begin() -> Self {
        Self { started: Instant::now(), ended: OnceLock::new() }
    }

    /// The first end counts.
    pub(super) fn end(&self, progress: Progress) {
        let _ = self.ended.set((progress, self.started.elapsed()));
    }

    pub(super) fn progress(&self) -> Progress {
        self.ended.get().map_or(Progress::Running, |(progress, _)| progress.clone())
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.ended.get().map_or_else(|| self.started.elapsed(), |(_, elapsed)| *elapsed)
    }
}

impl LedgerEntry {
    pub(super) fn open(
        number: usize,
        site: SiteId,
        statement: Arc<str>,
        key_sets: Option<String>,
        trace: Option<TraceContext>,
    ) -> Self {
        Self {
            site,
            number,
            statement,
            key_sets,
            trace,
            bytes_sent: Arc::default(),
            bytes_received: Arc::default(),
            rows: AtomicU64::new(0),
            course: Course::begin(),
            first_row: OnceLock::new(),
        }
    }

    /// Adds rows that arrived.
    pub fn add_rows(&self, rows: usize) {
        if rows > 0 {
            self.first_row.get_or_init(|| self.course.started.elapsed());
        }
        self.rows.fetch_add(rows as u64, Ordering::Relaxed);
    }

    /// The entry's last word; later ones are ignored.
    pub fn end(&self, progress: Progress) {
        self.course.end(progress);
    }

    /// Rows received.
    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    /// Where it stands.
    pub fn progress(&self) -> Progress {
        self.course.progress()
    }

    /// Time since the statement was sent, until its end.
    pub fn elapsed(&self) -> Duration {
        self.course.elapsed()
    }

    /// Time from the beginning of the query until the statement was sent.
    pub fn sent_after(&self, query: &QueryRecord) -> Duration {
        self.course.started.saturating_duration_since(query.began())
    }

    /// Time from sending until the first row.
    pub fn first_row(&self) -> Option<Duration> {
        self.first_row.get().copied()
    }
}
