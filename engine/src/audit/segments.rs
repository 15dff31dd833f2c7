//! The directory of a log: its segments by number, and how one is walked line by line.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use super::record::{self, Head};
use super::verify::Fault;

/// One file of the log, named by the number of its first record.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    pub(super) first: u64,
    pub(super) path: PathBuf,
}

impl Segment {
    pub(super) fn new(directory: &Path, first: u64) -> Self {
        Self { first, path: directory.join(name(first)) }
    }

    pub(super) fn lines(&self) -> io::Result<Lines> {
        Ok(Lines { reader: BufReader::new(File::open(&self.path)?) })
    }

    /// A fault of the record that should stand here; `line` counts from 1.
    pub(super) fn fault(&self, seq: u64, line: u64, what: impl Into<String>) -> Fault {
        Fault { seq, file: self.path.clone(), line, what: what.into() }
    }
}

fn name(first: u64) -> String {
    format!("{first:09}.jsonl")
}

/// The segments in the order of their numbers; files with other names are not the log's. No directory, no segment.
pub(super) fn list(directory: &Path) -> io::Result<Vec<Segment>> {
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut segments = Vec::new();
    for entry in entries {
        let file = entry?.file_name();
        let first = file.to_str().and_then(|file| file.strip_suffix(".jsonl")).and_then(|first| first.parse().ok());
        segments.extend(first.filter(|first| *file == *name(*first)).map(|first| Segment::new(directory, first)));
    }
    segments.sort_by_key(|segment| segment.first);
    Ok(segments)
}

/// One line of a segment.
#[derive(Debug)]
pub(super) enum Line {
    /// A line with its line end, which is left off here.
    Whole(Vec<u8>),
    /// What stands after the last whole line: the beginning of a record that was never finished. Its length.
    Torn(u64),
}

/// The lines of a segment, one at a time.
#[derive(Debug)]
pub(super) struct Lines {
    reader: BufReader<File>,
}

impl Iterator for Lines {
    type Item = io::Result<Line>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut line = Vec::new();
        match self.reader.read_until(b'\n', &mut line) {
            Err(error) => Some(Err(error)),
            Ok(0) => None,
            Ok(length) => Some(self.judge(line, length as u64)),
        }
    }
}

impl Lines {
    /// Text of JSON has no NUL byte; in the last line it is a block that never reached the disk.
    fn judge(&mut self, mut line: Vec<u8>, length: u64) -> io::Result<Line> {
        let ended = line.pop_if(|byte| *byte == b'\n').is_some();
        let torn = !ended || (line.contains(&0) && self.reader.fill_buf()?.is_empty());
        Ok(if torn { Line::Torn(length) } else { Line::Whole(line) })
    }
}

/// How far the whole records of a segment reach.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) whole_bytes: u64,
    pub(super) torn_bytes: u64,
}

/// Walks a segment record by record, each of which must follow the one before; `seen` sees every head.
pub(super) fn walk(
    segment: &Segment,
    head: &mut Head,
    mut seen: impl FnMut(&Head) -> Result<(), String>,
) -> Result<Extent, Fault> {
    let mut extent = Extent::default();
    let cannot = |error: io::Error| format!("cannot be read: {error}");
    let lines = segment.lines().map_err(|error| segment.fault(head.seq + 1, 1, cannot(error)))?;
    for (number, line) in (1..).zip(lines) {
        match line.map_err(|error| segment.fault(head.seq + 1, number, cannot(error)))? {
            Line::Torn(length) => extent.torn_bytes = length,
            Line::Whole(line) => {
                let next = record::follow(&line, head);
                *head = next.map_err(|what| segment.fault(head.seq + 1, number, what))?;
                seen(head).map_err(|what| segment.fault(head.seq, number, what))?;
                extent.whole_bytes += line.len() as u64 + 1;
            }
        }
    }
    Ok(extent)
}
