//! Records put together: an intent and what became of it, as one statement.

use std::collections::{BTreeMap, VecDeque};

use chrono::{DateTime, Utc};

use super::entry::{Asker, Completion, Disclosure, Entry, Intent, Refusal};
use super::record::Record;
use crate::error::Result;

/// Who looks at the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Viewer {
    /// An auditor: every statement.
    Auditor,
    /// A subject: their own statements, as [`Asker::is_same_person`] tells them from those of others of that name.
    Subject(Asker),
}

impl Viewer {
    fn sees(&self, asker: &Asker) -> bool {
        match self {
            Self::Auditor => true,
            Self::Subject(own) => own.is_same_person(asker),
        }
    }
}

/// One statement at this site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The number of its first record.
    pub seq: u64,
    /// When it was let in or refused.
    pub started: DateTime<Utc>,
    /// What was recorded then.
    pub act: Act,
    /// What became of it.
    pub ending: Ending,
}

/// Let in or not.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the records")]
pub enum Act {
    Intent(Intent),
    Refusal(Refusal),
}

/// What became of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// No record says that it ended.
    Running,
    /// The site began again before it ended.
    Interrupted,
    /// It was not let in.
    Refused,
    /// It ended then.
    Ended(DateTime<Utc>, Completion),
}

impl Statement {
    /// The query's identity and the part of it.
    pub fn fragment(&self) -> (&str, u64) {
        match &self.act {
            Act::Intent(intent) => (&intent.query, intent.fragment),
            Act::Refusal(refusal) => (&refusal.query, refusal.fragment),
        }
    }

    /// Who asked.
    pub fn asker(&self) -> &Asker {
        match &self.act {
            Act::Intent(intent) => &intent.asker,
            Act::Refusal(refusal) => &refusal.asker,
        }
    }

    /// The statement without its literals.
    pub fn text(&self) -> &str {
        match &self.act {
            Act::Intent(intent) => &intent.statement,
            Act::Refusal(refusal) => &refusal.statement,
        }
    }

    /// What was let in; none of a refusal.
    pub fn intent(&self) -> Option<&Intent> {
        match &self.act {
            Act::Intent(intent) => Some(intent),
            Act::Refusal(_) => None,
        }
    }

    /// What left, and where to.
    pub fn disclosures(&self) -> &[Disclosure] {
        self.intent().map(|intent| intent.disclosures.as_slice()).unwrap_or_default()
    }

    /// When it ended and with what, if a record says so.
    pub fn completion(&self) -> Option<(DateTime<Utc>, &Completion)> {
        match &self.ending {
            Ending::Ended(at, completion) => Some((*at, completion)),
            Ending::Running | Ending::Interrupted | Ending::Refused => None,
        }
    }

    /// How it ended, in words.
    pub fn outcome(&self) -> String {
        match (&self.ending, &self.act) {
            (Ending::Ended(_, completion), _) => completion.outcome.to_string(),
            (_, Act::Refusal(refusal)) => format!("refused: {}", refusal.code),
            (Ending::Interrupted, _) => "interrupted".to_string(),
            (Ending::Running | Ending::Refused, _) => "running".to_string(),
        }
    }
}

/// The statements of a log in the order of their ends; the memory it takes is that of the statements that run at once.
#[derive(Debug)]
pub struct Statements<R> {
    records: R,
    viewer: Viewer,
    open: BTreeMap<u64, (DateTime<Utc>, Intent)>,
    ready: VecDeque<Statement>,
}

impl<R: Iterator<Item = Result<Record>>> Statements<R> {
    /// Those that the viewer may see.
    pub fn new(records: R, viewer: Viewer) -> Self {
        Self { records, viewer, open: BTreeMap::new(), ready: VecDeque::new() }
    }

    fn take(&mut self, record: Record) {
        let (seq, time) = (record.seq, record.time());
        match record.entry {
            Entry::Intent(intent) if self.viewer.sees(&intent.asker) => {
                self.open.insert(seq, (time, intent));
            }
            Entry::Refusal(refusal) if self.viewer.sees(&refusal.asker) => {
                let (act, ending) = (Act::Refusal(refusal), Ending::Refused);
                self.ready.push_back(Statement { seq, started: time, act, ending });
            }
            Entry::Completion(completion) => {
                if let Some((started, intent)) = self.open.remove(&completion.intent_seq) {
                    let (seq, ending) = (completion.intent_seq, Ending::Ended(time, completion));
                    self.ready.push_back(Statement { seq, started, act: Act::Intent(intent), ending });
                }
            }
            Entry::Start(_) => self.close(&Ending::Interrupted),
            Entry::Intent(_) | Entry::Refusal(_) | Entry::Change(_) | Entry::Closing(_) => {}
        }
    }

    /// All that is still open ends so.
    fn close(&mut self, ending: &Ending) {
        let open = std::mem::take(&mut self.open).into_iter();
        self.ready.extend(open.map(|(seq, (started, intent))| Statement {
            seq,
            started,
            act: Act::Intent(intent),
            ending: ending.clone(),
        }));
    }
}

impl<R: Iterator<Item = Result<Record>>> Iterator for Statements<R> {
    type Item = Result<Statement>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.ready.is_empty() {
            match self.records.next() {
                Some(Ok(record)) => self.take(record),
                Some(Err(error)) => return Some(Err(error)),
                None => {
                    self.close(&Ending::Running);
                    return self.ready.pop_front().map(Ok);
                }
            }
        }
        self.ready.pop_front().map(Ok)
    }
}
