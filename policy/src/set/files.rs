//! Files of statements → a set, or every fault in them: refused as a whole if any part is wrong. Neither the order of the
//! files nor that of the statements matters.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use super::apply::Applying;
use super::check::tag_of;
use super::{Catalog, Made, PolicyRecord, PolicySet};
use crate::statement::{Change, Grant, Located, Statement, each};

/// A file of statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct File<'a> {
    /// Its name, as faults tell it.
    pub name: &'a str,
    /// What stands in it.
    pub text: &'a str,
}

/// What is wrong in files, and where.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileFault {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: u64,
    /// A sentence for the author.
    pub message: String,
}

/// What was there when grants and policies were first read, by their text: it is not read anew while they say the same, so
/// that a column added since is hidden, and a column of another type denies, whatever else is written into the files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Baselines {
    grants: BTreeMap<String, BTreeMap<String, BTreeSet<String>>>,
    policies: BTreeMap<String, BTreeMap<String, BTreeMap<String, String>>>,
}

impl Baselines {
    /// Those of what is in force, for the next reading. What is gone is forgotten: written again, it is new.
    pub fn of(set: &PolicySet) -> Self {
        Self {
            grants: set.grants.values().map(|record| (record.grant.to_string(), record.columns.clone())).collect(),
            policies: set.policies.values().map(|record| (record.policy.to_string(), record.uses.clone())).collect(),
        }
    }

    fn keep(&self, set: &mut PolicySet) {
        for record in set.grants.values_mut() {
            if let Some(columns) = self.grants.get(&record.grant.to_string()) {
                record.columns.clone_from(columns);
            }
        }
        for record in set.policies.values_mut() {
            let then = self.policies.get(&record.policy.to_string());
            then.into_iter().flatten().for_each(|(table, types)| keep_types(record, table, types));
        }
    }
}

/// The types that a policy found first. A column that it takes by a tag is its own only while it is tagged.
fn keep_types(record: &mut PolicyRecord, table: &str, then: &BTreeMap<String, String>) {
    let by_tag = tag_of(&record.policy).is_some();
    let used = record.uses.entry(table.to_owned()).or_default();
    for (column, kind) in then {
        if !by_tag || used.contains_key(column) {
            used.insert(column.clone(), kind.clone());
        }
    }
    if used.is_empty() {
        record.uses.remove(table);
    }
}

impl PolicySet {
    /// The set that these files of `site` say, at version 1. A grant without an id has one made of its text, `f-` and 8
    /// hexadecimal digits.
    ///
    /// # Errors
    /// Every fault, by file and line: of syntax if there are any, otherwise of meaning. Only what adds to the empty set
    /// may stand in files.
    pub fn from_files(
        files: &[File<'_>],
        site: &str,
        (made, catalog): (&Made, &dyn Catalog),
        baselines: &Baselines,
    ) -> Result<Self, Vec<FileFault>> {
        let statements = read(files, site)?;
        let mut set = PolicySet { version: 1, ..PolicySet::default() };
        let mut faults = Reading { set: &mut set, made, catalog, seen: BTreeMap::new() }.all(statements);
        baselines.keep(&mut set);
        faults.sort();
        if faults.is_empty() { Ok(set) } else { Err(faults) }
    }
}

/// A change and where it stands.
struct Written<'a> {
    file: &'a str,
    line: u64,
    change: Change,
}

impl Written<'_> {
    fn fault(&self, message: impl ToString) -> FileFault {
        FileFault { file: self.file.to_owned(), line: self.line, message: message.to_string() }
    }
}

fn read<'a>(files: &[File<'a>], site: &str) -> Result<Vec<Written<'a>>, Vec<FileFault>> {
    let (mut read, mut faults) = (Vec::new(), Vec::new());
    for File { name, text } in files {
        let fault = |line, message| FileFault { file: (*name).to_owned(), line, message };
        for statement in each(text, site) {
            match statement {
                Err(wrong) => faults.push(fault(wrong.line, wrong.message)),
                Ok(Located { line, statement }) => match constructive(statement) {
                    Ok(change) => read.push(Written { file: name, line, change }),
                    Err(message) => faults.push(fault(line, message)),
                },
            }
        }
    }
    faults.sort();
    if faults.is_empty() { Ok(read) } else { Err(faults) }
}

/// What may stand in files: they say what is in force, and what is not written is not.
fn constructive(statement: Statement) -> Result<Change, String> {
    match statement {
        Statement::Change(
            change @ (Change::CreateTag { .. }
            | Change::SetTag { .. }
            | Change::CreatePurpose { .. }
            | Change::Grant(_)
            | Change::CreatePolicy(_)
            | Change::AcceptColumn { .. }
            | Change::ValidUntil(Some(_))),
        ) => Ok(with_id(change)),
        Statement::Change(change) => {
            Err(format!("`{change}` takes something back; in files, delete the statement that says it"))
        }
        Statement::Show(show) => Err(format!("`{show}` is asked at the site, not written in files")),
    }
}

fn with_id(change: Change) -> Change {
    match change {
        Change::Grant(grant @ Grant { id: None, .. }) => {
            let digest = Sha256::digest(grant.to_string());
            let hex = data_encoding::HEXLOWER.encode(digest.as_slice());
            Change::Grant(Grant { id: Some(format!("f-{}", hex.chars().take(8).collect::<String>())), ..grant })
        }
        change => change,
    }
}

/// The rounds in which changes are made: each rests on those before it.
fn round(change: &Change) -> u8 {
    match change {
        Change::CreateTag { .. } | Change::DropTag { .. } => 0,
        Change::CreatePurpose { .. } | Change::DropPurpose { .. } => 1,
        Change::SetTag { .. } | Change::UnsetTag { .. } => 2,
        Change::CreatePolicy(_) | Change::DropPolicy { .. } => 3,
        Change::Grant(_) | Change::RevokeGrant { .. } => 4,
        Change::AcceptColumn { .. } | Change::WithdrawColumn { .. } | Change::ValidUntil(_) => 5,
    }
}

/// A set that files are being read into.
struct Reading<'a, 'b> {
    set: &'a mut PolicySet,
    made: &'a Made,
    catalog: &'a dyn Catalog,
    /// What replaces silently when it is said live, and where it was said first: in files it may be said once.
    seen: BTreeMap<String, (&'b str, u64)>,
}

impl<'b> Reading<'_, 'b> {
    /// Makes all changes that can be made; what is wrong with the others.
    fn all(mut self, mut statements: Vec<Written<'b>>) -> Vec<FileFault> {
        statements.sort_by_cached_key(|written| (round(&written.change), written.change.to_string()));
        let (purposes, others): (Vec<_>, Vec<_>) =
            statements.into_iter().partition(|written| round(&written.change) == 1);
        let mut faults = self.purposes(purposes);
        faults.extend(others.iter().filter_map(|written| self.one(written).err()));
        faults
    }

    /// Makes purposes, parents first, until none can be made any more.
    fn purposes(&mut self, mut waiting: Vec<Written<'b>>) -> Vec<FileFault> {
        loop {
            let before = waiting.len();
            let names: BTreeSet<String> = waiting.iter().filter_map(|written| purpose(&written.change)).collect();
            let mut faults = Vec::new();
            waiting.retain(|written| match self.one(written) {
                Ok(()) => false,
                Err(fault) => {
                    faults.push(if waits(&written.change, &names) { written.fault(CYCLE) } else { fault });
                    true
                }
            });
            if waiting.len() == before || waiting.is_empty() {
                return faults;
            }
        }
    }

    fn one(&mut self, written: &Written<'b>) -> Result<(), FileFault> {
        if let Some(what) = said_once(&written.change)
            && let Some((file, line)) = self.seen.insert(what, (written.file, written.line))
        {
            return Err(written.fault(format!("this is said twice; also in {file}, line {line}")));
        }
        let mut applying = Applying { set: self.set, made: self.made, catalog: self.catalog };
        applying.apply(&written.change).map(drop).map_err(|e| written.fault(e))
    }
}

const CYCLE: &str = "this purpose is part of itself: the purposes UNDER one another form a circle, or hang on one";

fn purpose(change: &Change) -> Option<String> {
    match change {
        Change::CreatePurpose { name, .. } => Some(name.clone()),
        _ => None,
    }
}

/// Whether a purpose's parent is written and still waits itself.
fn waits(change: &Change, waiting: &BTreeSet<String>) -> bool {
    matches!(change, Change::CreatePurpose { under: Some(under), .. } if waiting.contains(under))
}

fn said_once(change: &Change) -> Option<String> {
    match change {
        Change::SetTag { table, column, tag, .. } => {
            Some(Change::UnsetTag { table: table.clone(), column: column.clone(), tag: tag.clone() }.to_string())
        }
        Change::ValidUntil(_) => Some("VALID".to_owned()),
        _ => None,
    }
}
