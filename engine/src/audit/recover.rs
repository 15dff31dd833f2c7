//! Opening a log: finds its end in the last segment, cuts off what a crash left unfinished, refuses everything else.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

use chrono::{DateTime, Utc};

use super::record::{self, Head, Record};
use super::segments::{self, Line, Segment};
use super::verify::{Fault, check_place};
use super::writer::Position;
use crate::error::{Code, EngineError, Result};

/// Where the log goes on, in which segment, and how many bytes were cut off.
#[derive(Debug)]
pub(super) struct Recovered {
    pub(super) position: Position,
    pub(super) last: Option<Segment>,
    pub(super) repaired: u64,
}

/// Finds the log's end. Only the last segment is read whole; `verify` reads them all.
///
/// # Errors
/// `AUDIT` with the first record of the last segment that is not as it was written, or when the disk refuses.
pub(super) fn recover(directory: &Path) -> Result<Recovered> {
    let mut segments = segments::list(directory).map_err(|error| cannot(directory, error))?;
    let Some(last) = segments.pop() else {
        let position = Position { head: Head::none(), time: DateTime::UNIX_EPOCH, length: None };
        return Ok(Recovered { position, last: None, repaired: 0 });
    };
    let before = segments.last().map(end_of).transpose().map_err(refuse)?.flatten();
    let (mut head, mut time) = before.unwrap_or((Head::none(), DateTime::UNIX_EPOCH));
    check_place(&last, &head).map_err(refuse)?;
    let extent = segments::walk(&last, &mut head, |_| Ok(())).map_err(refuse)?;
    if extent.torn_bytes > 0 {
        cut(&last.path, extent.whole_bytes).map_err(|error| cannot(&last.path, error))?;
    }
    if let Some((_, own)) = end_of(&last).map_err(refuse)? {
        time = own;
    }
    let position = Position { head, time, length: Some(extent.whole_bytes) };
    Ok(Recovered { position, last: Some(last), repaired: extent.torn_bytes })
}

/// The last whole record of a segment and its time; none in an empty one.
pub(super) fn end_of(segment: &Segment) -> Result<Option<(Head, DateTime<Utc>)>, Fault> {
    let mut end = None;
    for (number, line) in (1..).zip(segment.lines().map_err(|error| unreadable(segment, error))?) {
        match line.map_err(|error| unreadable(segment, error))? {
            Line::Whole(line) => end = Some((number, line)),
            Line::Torn(_) => break,
        }
    }
    let Some((number, line)) = end else { return Ok(None) };
    let wrong = |what: String| segment.fault(segment.first + number - 1, number, what);
    let (head, _) = record::read_head(&line).map_err(wrong)?;
    let record: Record = serde_json::from_slice(&line).map_err(|_| wrong("cannot be read as a record".to_string()))?;
    Ok(Some((head, record.time())))
}

fn unreadable(segment: &Segment, error: io::Error) -> Fault {
    segment.fault(segment.first, 0, format!("cannot be read: {error}"))
}

fn cut(path: &Path, length: u64) -> io::Result<()> {
    let file: File = OpenOptions::new().write(true).open(path)?;
    file.set_len(length)?;
    file.sync_all()
}

/// A log that is not as it was written is not continued.
pub(super) fn refuse(fault: Fault) -> EngineError {
    let sentence = format!("the audit log is damaged: {fault}; restore it, or keep it elsewhere and begin a new one");
    EngineError::new(Code::Audit, sentence)
}

/// The disk refuses.
pub(super) fn cannot(path: &Path, error: io::Error) -> EngineError {
    EngineError::new(Code::Audit, format!("{} cannot be read or written: {error}", path.display())).caused_by(error)
}
