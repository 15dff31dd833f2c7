//! The log as a whole: chained, reopened, torn, tampered with, and on disks that fail.

mod chain;
mod faults;
mod tables;
mod tampering;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::entry::{Asker, Change, Closing, Completion, Disclosure, Entry, Intent, Outcome, Refusal, TableUse};
use super::key::AuditKey;
use super::log::{AuditLog, AuditOptions};

pub(super) fn options(directory: &Path) -> AuditOptions {
    AuditOptions {
        site: "bts".to_string(),
        key: AuditKey::load_or_create(&directory.with_extension("key")).unwrap(),
        segment_bytes: 4_096,
        queue_max: 1_000,
        timeout: Duration::from_secs(20),
    }
}

pub(super) fn open(directory: &Path) -> Arc<AuditLog> {
    AuditLog::open(directory, options(directory)).unwrap()
}

pub(super) fn asker(subject: &str) -> Asker {
    Asker { subject: Some(subject.to_string()), purpose: Some("research".to_string()), ..Asker::default() }
}

pub(super) fn intent(query: &str, subject: &str) -> Entry {
    Entry::Intent(intent_of(query, asker(subject)))
}

pub(super) fn intent_of(query: &str, asker: Asker) -> Intent {
    let column = |name: &str| vec![name.to_string()];
    let (table, selected, used, read_by_policy) =
        ("ontime.flights".to_string(), column("dest"), column("origin"), column("carrier"));
    Intent {
        query: query.to_string(),
        fragment: 1,
        asker,
        grants: vec!["g-0001".to_string(), "g-0002".to_string()],
        policy_version: 7,
        statement: "SELECT dest FROM ontime.flights WHERE origin = 'h:0123456789abcdef'".to_string(),
        disclosures: vec![Disclosure {
            table: table.clone(),
            column: "dest".to_string(),
            form: "clear".to_string(),
            destination: "coordinator.example".to_string(),
        }],
        tables: vec![TableUse { table, selected, used, read_by_policy, only_explained: false }],
        level: Some("internal".to_string()),
        key_sets: Vec::new(),
    }
}

pub(super) fn completion(intent_seq: u64, query: &str) -> Entry {
    Entry::Completion(Completion { intent_seq, ..completion_of(query) })
}

/// As a statement gives it: the writer fills the intent's number in.
pub(super) fn completion_of(query: &str) -> Completion {
    let (rows, bytes, outcome, elapsed_ms) = (3, 120, Outcome::Finished, 15);
    Completion { intent_seq: 0, query: query.to_string(), fragment: 1, rows, bytes, outcome, elapsed_ms }
}

pub(super) fn refusal(query: &str, subject: &str) -> Entry {
    Entry::Refusal(Refusal {
        query: query.to_string(),
        fragment: 2,
        asker: asker(subject),
        statement: "SELECT 'h:0123456789abcdef'".to_string(),
        code: "NOT_FOUND".to_string(),
        only_counted: 0,
    })
}

pub(super) fn closing(grant: &str) -> Entry {
    Entry::Closing(Closing { grant: grant.to_string(), query: "q".to_string(), rows: 1, bytes: 10 })
}
