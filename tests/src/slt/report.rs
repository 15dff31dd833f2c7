//! The share of the records that pass, by file, and why the others do not.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

use super::judged::Fault;
use super::stage::Asked;

/// What has come of all files.
#[derive(Debug, Default)]
pub struct Report {
    files: BTreeMap<String, File>,
}

/// What has come of one.
#[derive(Debug, Default)]
struct File {
    passed: usize,
    /// Lines by the word for what is wrong, in the order of the file.
    failed: BTreeMap<String, Vec<String>>,
    left_out: BTreeMap<String, usize>,
}

impl Report {
    /// What was not asked of a file.
    pub fn leave_out(&mut self, file: &str, reasons: BTreeMap<String, usize>) {
        self.files.entry(file.to_string()).or_default().left_out = reasons;
    }

    /// One record more.
    pub fn add(&mut self, asked: &Asked, verdict: &Result<(), Fault>) {
        let file = self.files.entry(asked.record.file.clone()).or_default();
        match verdict {
            Ok(()) => file.passed += 1,
            Err(fault) => file.failed.entry(fault.word().to_string()).or_default().push(asked.record.at.clone()),
        }
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut left_out: BTreeMap<&str, usize> = BTreeMap::new();
        let (mut passed, mut asked) = (0, 0);
        for (name, file) in &self.files {
            let share = format!("{} of {}", file.passed, file.asked());
            writeln!(f, "{share:>11}  {name}")?;
            for (word, lines) in &file.failed {
                writeln!(f, "               {word}: {}", lines.join(" "))?;
            }
            for (reason, count) in &file.left_out {
                *left_out.entry(reason).or_default() += count;
            }
            passed += file.passed;
            asked += file.asked();
        }
        writeln!(f, "\n{passed} of {asked} records pass, {:.2} %", 100.0 * passed as f64 / asked as f64)?;
        writeln!(f, "\nnot asked, for what they are or need:")?;
        left_out.iter().try_for_each(|(reason, count)| writeln!(f, "{count:>7}  {reason}"))
    }
}

impl File {
    fn asked(&self) -> usize {
        self.passed + self.failed.values().map(Vec::len).sum::<usize>()
    }
}
