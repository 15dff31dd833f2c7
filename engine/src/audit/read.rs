//! Reading a log that is believed: the records that are on the disk, one at a time.

use std::io;
use std::path::Path;

use chrono::{DateTime, Utc};

use super::entry::Entry;
use super::record::{Head, Record};
use super::recover::{cannot, refuse};
use super::segments::{self, Line, Lines, Segment};
use crate::error::{Code, EngineError, Result};

/// The records from the first to the head that was durable when the reading began.
#[derive(Debug)]
pub struct Records {
    segments: std::vec::IntoIter<Segment>,
    current: Option<(Segment, Lines)>,
    /// The record that comes next.
    next: u64,
    until: u64,
}

impl Records {
    pub(super) fn open(directory: &Path, head: Head) -> Result<Self> {
        let segments = segments::list(directory).map_err(|error| cannot(directory, error))?;
        let next = segments.first().map_or(1, |segment| segment.first);
        Ok(Self { segments: segments.into_iter(), current: None, next, until: head.seq })
    }

    /// Those of one segment, the last of them known.
    fn of(segment: &Segment, until: u64) -> Self {
        Self { segments: vec![segment.clone()].into_iter(), current: None, next: segment.first, until }
    }

    /// The next line, in this segment or the one that follows.
    fn line(&mut self) -> Result<Option<(Segment, Vec<u8>)>> {
        loop {
            if let Some((segment, lines)) = &mut self.current {
                match lines.next().transpose().map_err(|error| cannot(&segment.path, error))? {
                    Some(Line::Whole(line)) => return Ok(Some((segment.clone(), line))),
                    Some(Line::Torn(_)) | None => self.current = None,
                }
            }
            let Some(segment) = self.segments.next() else { return Ok(None) };
            let lines = segment.lines().map_err(|error: io::Error| cannot(&segment.path, error))?;
            self.current = Some((segment, lines));
        }
    }

    fn read(&mut self) -> Result<Option<Record>> {
        if self.next > self.until {
            return Ok(None);
        }
        let Some((segment, line)) = self.line()? else { return Err(self.missing()) };
        let wrong = |what: &str| refuse(segment.fault(self.next, 0, what));
        let record: Record = serde_json::from_slice(&line).map_err(|_| wrong("cannot be read as a record"))?;
        if record.seq != self.next {
            return Err(wrong("is not there; another record stands in its place"));
        }
        self.next += 1;
        Ok(Some(record))
    }

    /// What was on the disk is there no more.
    fn missing(&self) -> EngineError {
        let sentence = format!("the audit log ends before record {}, though {} were written", self.next, self.until);
        EngineError::new(Code::Audit, sentence)
    }
}

impl Iterator for Records {
    type Item = Result<Record>;

    /// The first error is the last item.
    fn next(&mut self) -> Option<Self::Item> {
        let record = self.read();
        if record.is_err() {
            self.until = 0;
        }
        record.transpose()
    }
}

/// The statements since then, segment by segment from the last; times never go back in a log.
pub(super) fn recent_fragments(directory: &Path, head: &Head, since: DateTime<Utc>) -> Result<Vec<(String, u64)>> {
    let segments = segments::list(directory).map_err(|error| cannot(directory, error))?;
    let (mut fragments, mut until) = (Vec::new(), head.seq);
    for segment in segments.iter().rev() {
        let mut reaches_back = false;
        for record in Records::of(segment, until) {
            let record = record?;
            reaches_back |= record.time() < since;
            if record.time() >= since {
                fragments.extend(fragment_of(record.entry));
            }
        }
        if reaches_back {
            break;
        }
        until = segment.first.saturating_sub(1);
    }
    Ok(fragments)
}

/// Whether a change is among the records after that number, and none after it says that it failed.
pub(super) fn has_change(directory: &Path, head: &Head, query: &str, after: u64) -> Result<bool> {
    let mut segments = segments::list(directory).map_err(|error| cannot(directory, error))?;
    let last_before = segments.iter().rposition(|segment| segment.first <= after + 1).unwrap_or_default();
    segments.drain(..last_before);
    let next = segments.first().map_or(1, |segment| segment.first);
    let mut found = None;
    for record in (Records { segments: segments.into_iter(), current: None, next, until: head.seq }) {
        let record = record?;
        match record.entry {
            _ if record.seq <= after => {}
            Entry::Change(change) if change.query == query => found = Some(record.seq),
            Entry::Completion(completion) if found == Some(completion.intent_seq) => found = None,
            _ => {}
        }
    }
    Ok(found.is_some())
}

fn fragment_of(entry: Entry) -> Option<(String, u64)> {
    match entry {
        Entry::Intent(intent) => Some((intent.query, intent.fragment)),
        // Whoever nobody is believed for says any number, and must not use up another's.
        Entry::Refusal(refusal) if refusal.asker.subject.is_some() => Some((refusal.query, refusal.fragment)),
        Entry::Refusal(_) | Entry::Completion(_) | Entry::Change(_) | Entry::Start(_) | Entry::Closing(_) => None,
    }
}
