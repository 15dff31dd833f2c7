//! Reading a log without believing it: the first record that is not as it was written, or the chain's head.
//!
//! The chain shows every change to what stands before a head that somebody keeps elsewhere. Without such a head it cannot
//! show that records are missing at the end, nor that everything from some record on was written anew.

use std::fmt;
use std::path::{Path, PathBuf};

use super::record::Head;
use super::segments::{self, Segment};

/// A log in which every record follows the one before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// How many records there are.
    pub records: u64,
    /// The last one.
    pub head: Head,
    /// Bytes after the last whole record: one that is being written, or that a crash left unfinished.
    pub torn_bytes: u64,
}

/// The first record that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The number of the record that should stand there.
    pub seq: u64,
    /// The file in which it should stand.
    pub file: PathBuf,
    /// The line, from 1; 0 when the file as a whole is meant.
    pub line: u64,
    /// What is wrong, as the rest of a sentence that begins with the record.
    pub what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "record {} {} ({}", self.seq, self.what, self.file.display())?;
        if self.line > 0 { write!(f, ", line {})", self.line) } else { f.write_str(")") }
    }
}

/// Reads a whole log, also one that is being written. With `expected`, the log must hold that very record: a tail that
/// was cut off is found by nothing else.
///
/// # Errors
/// The first record that is not as it was written.
pub fn verify(directory: &Path, expected: Option<&Head>) -> Result<Verified, Fault> {
    let segments = segments::list(directory).map_err(|error| Fault {
        seq: 1,
        file: directory.to_path_buf(),
        line: 0,
        what: format!("cannot be read: {error}"),
    })?;
    let mut head = Head::none();
    let mut torn_bytes = 0;
    for (index, segment) in segments.iter().enumerate() {
        check_place(segment, &head)?;
        torn_bytes = segments::walk(segment, &mut head, |head| compare(head, expected))?.torn_bytes;
        if torn_bytes > 0 && index + 1 < segments.len() {
            return Err(segment.fault(head.seq + 1, 0, "is cut short, and another segment follows"));
        }
    }
    match expected {
        Some(expected) if expected.seq > head.seq => {
            let file = segments.last().map_or(directory, |segment| &segment.path);
            Err(cut(&head, expected, file))
        }
        _ => Ok(Verified { records: head.seq, head, torn_bytes }),
    }
}

/// Whether the segment begins where the one before it ended.
pub(super) fn check_place(segment: &Segment, head: &Head) -> Result<(), Fault> {
    let expected = head.seq + 1;
    match segment.first {
        first if first == expected => Ok(()),
        first if first > expected => Err(segment.fault(expected, 0, "is missing; this is the segment that follows")),
        _ => Err(segment.fault(expected, 0, "is not there; a segment of earlier records stands in its place")),
    }
}

fn compare(head: &Head, expected: Option<&Head>) -> Result<(), String> {
    match expected {
        Some(expected) if expected.seq == head.seq && expected.hash != head.hash => {
            Err("is not the record whose head was kept: it, or one before it, was written anew".to_string())
        }
        _ => Ok(()),
    }
}

fn cut(head: &Head, expected: &Head, file: &Path) -> Fault {
    let missing = expected.seq - head.seq;
    let what =
        format!("is cut off: the head that was kept is record {}, so {missing} are missing at the end", expected.seq);
    Fault { seq: head.seq + 1, file: file.to_path_buf(), line: 0, what }
}
