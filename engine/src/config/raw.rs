//! What a configuration file says: tables whose keys are taken one by one, each fault noted and reading continued.
//!
//! serde stops at the first fault; an operator wants all of them. So a [`Section`] is asked for its keys, notes what
//! is missing or of the wrong type, and at [`Section::finish`] names every key that nobody asked for.

use std::cell::RefCell;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use datafusion::common::utils::datafusion_strsim::levenshtein;
use toml::{Table, Value};

use super::fault::{ConfigFault, ConfigFaults};

/// A key that is this many keystrokes from a known one was probably meant to be it.
const TYPING_ERRORS_MAX: usize = 3;

/// One file being read, and what was found wrong in it so far.
#[derive(Debug)]
pub(super) struct RawFile {
    path: PathBuf,
    base: PathBuf,
    faults: RefCell<Vec<ConfigFault>>,
}

impl RawFile {
    /// Reads and parses the file. `Err` when there is nothing to look into.
    pub(super) fn read(path: &Path) -> Result<(Self, Table), ConfigFaults> {
        let full = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        let file = Self {
            path: path.to_path_buf(),
            base: full.parent().map(Path::to_path_buf).unwrap_or_default(),
            faults: RefCell::default(),
        };
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => return Err(file.failed(format!("cannot be read: {error}"))),
        };
        match text.parse::<Table>() {
            Ok(table) => Ok((file, table)),
            Err(error) => {
                let (line, column) = position(&text, error.span().map_or(0, |span| span.start));
                Err(file.failed(format!("line {line}, column {column}: {}", error.message().trim())))
            }
        }
    }

    /// The whole file as a section.
    pub(super) fn root(&self, table: Table) -> Section<'_> {
        Section { file: self, path: String::new(), table, asked: Vec::new() }
    }

    /// A path in the file, which is relative to the file.
    pub(super) fn resolve(&self, path: &str) -> PathBuf {
        self.base.join(path)
    }

    /// The directory that relative paths start from.
    pub(super) fn base(&self) -> &Path {
        &self.base
    }

    /// Notes a fault.
    pub(super) fn fault(&self, key: impl Into<String>, message: impl Into<String>) {
        self.faults.borrow_mut().push(ConfigFault {
            file: self.path.display().to_string(),
            key: key.into(),
            message: message.into(),
        });
    }

    /// The checked value if nothing was wrong, otherwise all that was.
    pub(super) fn conclude<T>(self, checked: Option<T>) -> Result<T, ConfigFaults> {
        match checked {
            Some(value) if self.faults.borrow().is_empty() => Ok(value),
            _ => Err(ConfigFaults(self.faults.into_inner())),
        }
    }

    fn failed(self, message: String) -> ConfigFaults {
        self.fault("", message);
        ConfigFaults(self.faults.into_inner())
    }
}

/// A table of the file. Ask for every key it may have, then [`finish`](Section::finish).
#[derive(Debug)]
#[must_use = "an unfinished section does not report its unknown keys"]
pub(super) struct Section<'a> {
    file: &'a RawFile,
    path: String,
    table: Table,
    asked: Vec<&'static str>,
}

impl<'a> Section<'a> {
    /// The file that the section stands in.
    pub(super) fn file(&self) -> &'a RawFile {
        self.file
    }

    /// Notes a fault at a key of this section.
    pub(super) fn fault(&self, key: &str, message: impl Into<String>) {
        self.file.fault(self.key_path(key), message);
    }

    /// Notes a fault of the section as a whole.
    pub(super) fn fault_here(&self, message: impl Into<String>) {
        self.file.fault(self.path.clone(), message);
    }

    /// Whether the key is written, whatever its value.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// A text that must be there.
    pub(super) fn text(&mut self, key: &'static str) -> Option<String> {
        if !self.table.contains_key(key) {
            self.asked.push(key);
            self.fault(key, "is missing");
            return None;
        }
        self.optional_text(key)
    }

    /// A text that may be left out.
    pub(super) fn optional_text(&mut self, key: &'static str) -> Option<String> {
        match self.take(key)? {
            Value::String(text) if text.trim().is_empty() => self.wrong(key, "is empty"),
            Value::String(text) => Some(text),
            other => self.wrong(key, format!("must be a text in quotes, not {}", kind_of(&other))),
        }
    }

    /// A path that must be there, resolved against the file's directory.
    pub(super) fn path(&mut self, key: &'static str) -> Option<PathBuf> {
        self.text(key).map(|path| self.file.resolve(&path))
    }

    /// A path that may be left out, resolved the same.
    pub(super) fn optional_path(&mut self, key: &'static str) -> Option<PathBuf> {
        self.optional_text(key).map(|path| self.file.resolve(&path))
    }

    /// A list of texts; empty when left out. `None` when it is faulty.
    pub(super) fn texts(&mut self, key: &'static str) -> Option<Vec<String>> {
        let values = match self.take(key) {
            None => return Some(Vec::new()),
            Some(Value::Array(values)) => values,
            Some(other) => return self.wrong(key, format!("must be a list of texts, not {}", kind_of(&other))),
        };
        let count = values.len();
        let mut texts = Vec::with_capacity(count);
        for (index, value) in values.into_iter().enumerate() {
            match value {
                Value::String(text) => texts.push(text),
                other => self.fault(&format!("{key}[{index}]"), format!("must be a text, not {}", kind_of(&other))),
            }
        }
        (texts.len() == count).then_some(texts)
    }

    /// `true` or `false`; `false` when left out.
    pub(super) fn flag(&mut self, key: &'static str) -> bool {
        self.optional_flag(key).unwrap_or(false)
    }

    /// `true` or `false`, if it is there.
    pub(super) fn optional_flag(&mut self, key: &'static str) -> Option<bool> {
        match self.take(key)? {
            Value::Boolean(flag) => Some(flag),
            other => self.wrong(key, format!("must be true or false, not {}", kind_of(&other))),
        }
    }

    /// A whole number within a range, if it is there.
    pub(super) fn number<T: TryFrom<u64>>(&mut self, key: &'static str, range: RangeInclusive<u64>) -> Option<T> {
        let number = match self.take(key)? {
            Value::Integer(number) => number,
            other => return self.wrong(key, format!("must be a whole number, not {}", kind_of(&other))),
        };
        let within = u64::try_from(number).ok().filter(|number| range.contains(number));
        match within.and_then(|number| T::try_from(number).ok()) {
            Some(number) => Some(number),
            None => self.wrong(key, format!("{number} is outside {} to {}", range.start(), range.end())),
        }
    }

    /// A table within this one, if it is there.
    pub(super) fn section(&mut self, key: &'static str) -> Option<Section<'a>> {
        match self.take(key)? {
            Value::Table(table) => Some(self.child(key.to_string(), table)),
            other => self.wrong(key, format!("must be a table `[{key}]`, not {}", kind_of(&other))),
        }
    }

    /// A list of tables within this one; empty when left out.
    pub(super) fn sections(&mut self, key: &'static str) -> Vec<Section<'a>> {
        let values = match self.take(key) {
            None => return Vec::new(),
            Some(Value::Array(values)) => values,
            Some(other) => {
                self.fault(key, format!("must be written as `[[{key}]]`, once for each; this is {}", kind_of(&other)));
                return Vec::new();
            }
        };
        let mut sections = Vec::with_capacity(values.len());
        for (index, value) in values.into_iter().enumerate() {
            match value {
                Value::Table(table) => sections.push(self.child(format!("{key}[{index}]"), table)),
                other => self.fault(&format!("{key}[{index}]"), format!("must be a table, not {}", kind_of(&other))),
            }
        }
        sections
    }

    /// All that has not been asked for, for a reader who knows its keys; nothing is left to report afterwards.
    pub(super) fn rest(&mut self) -> Table {
        std::mem::take(&mut self.table)
    }

    /// Names the keys that nobody asked for.
    pub(super) fn finish(self) {
        for key in self.table.keys() {
            self.fault(key, format!("is not a key of this table; {}", self.suggestion(key)));
        }
    }

    /// The key that was probably meant, otherwise all there are.
    fn suggestion(&self, wrong: &str) -> String {
        let nearest = self.asked.iter().map(|key| (levenshtein(wrong, key), key)).min();
        match nearest.filter(|(distance, _)| *distance <= TYPING_ERRORS_MAX) {
            Some((_, key)) => format!("did you mean `{key}`?"),
            None => format!("known keys: {}", self.asked.join(", ")),
        }
    }

    fn take(&mut self, key: &'static str) -> Option<Value> {
        self.asked.push(key);
        self.table.remove(key)
    }

    fn wrong<T>(&self, key: &str, message: impl Into<String>) -> Option<T> {
        self.fault(key, message);
        None
    }

    fn child(&self, key: String, table: Table) -> Section<'a> {
        Section { file: self.file, path: self.key_path(&key), table, asked: Vec::new() }
    }

    fn key_path(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_string() } else { format!("{}.{key}", self.path) }
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a text",
        Value::Integer(_) => "a whole number",
        Value::Float(_) => "a number with a fraction",
        Value::Boolean(_) => "true or false",
        Value::Datetime(_) => "a date or time",
        Value::Array(_) => "a list",
        Value::Table(_) => "a table",
    }
}

/// Line and column, both from one, of a byte of the text.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
    (before.matches('\n').count() + 1, column)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults_of(text: &str, read: impl FnOnce(&mut Section<'_>)) -> Vec<String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.toml");
        std::fs::write(&path, text).unwrap();
        let (file, table) = RawFile::read(&path).unwrap();
        let mut section = file.root(table);
        read(&mut section);
        section.finish();
        let faults = file.conclude::<()>(None).unwrap_err().0;
        faults.into_iter().map(|fault| format!("{}: {}", fault.key, fault.message)).collect()
    }

    #[test]
    fn every_fault_is_noted_with_its_path() {
        let faults = faults_of("a = 1\nc = 5\nnumbr = 1\n[[t]]\nname = ''\n[[t]]\nentirely = 1", |section| {
            section.text("a");
            section.text("b");
            section.number::<u64>("c", 1..=4);
            section.number::<u64>("number", 1..=4);
            for mut inner in section.sections("t") {
                inner.optional_text("name");
                inner.finish();
            }
        });
        assert_eq!(
            faults,
            [
                "a: must be a text in quotes, not a whole number",
                "b: is missing",
                "c: 5 is outside 1 to 4",
                "t[0].name: is empty",
                "t[1].entirely: is not a key of this table; known keys: name",
                "numbr: is not a key of this table; did you mean `number`?",
            ]
        );
    }

    #[test]
    fn a_syntax_error_has_line_and_column() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.toml");
        std::fs::write(&path, "name = 'é'\nlisten == 3\n").unwrap();
        let faults = RawFile::read(&path).unwrap_err();
        assert_eq!(faults.0.len(), 1);
        assert!(faults.0[0].message.starts_with("line 2, column 9"), "{faults}");
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let faults = RawFile::read(Path::new("/nowhere/site.toml")).unwrap_err();
        assert!(faults.to_string().starts_with("/nowhere/site.toml: cannot be read"), "{faults}");
    }
}
