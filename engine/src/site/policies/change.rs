//! One policy statement at a time: a change becomes the next version, durable before it is answered; the others tell
//! what is in force.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use policy::decision::Denial;
use policy::effective::{Asked, Effective, effective};
use policy::error::PolicyError;
use policy::list::{Listing, list};
use policy::resource::TableName;
use policy::set::{Catalog, Made, PolicySet};
use policy::statement::{Change, Policy, Show, Statement};
use policy::time::Instant;

use super::record::{Next, Reach};
use super::store::{Entry, Kept, StoreError};
use super::tables::TableSnapshot;
use super::{NO_SECRET, Policies, blocking, files};
use crate::error::{Code, EngineError, Result};
use crate::session::queries::QueryId;

/// The columns of the answer to a change: one row.
const CHANGE: [&str; 4] = ["version", "change", "inverse", "notes"];
/// The columns of SHOW POLICY HISTORY.
const HISTORY: [&str; 5] = ["version", "at", "author", "change", "inverse"];
/// The columns of SHOW EFFECTIVE POLICY.
const EFFECTIVE: [&str; 8] = ["purpose", "column", "form", "release", "policies", "grant", "limits", "rows"];

impl Policies {
    /// Runs a policy statement of an administrator, which came by that query. The caller has made sure that `author` is one.
    ///
    /// # Errors
    /// `SYNTAX`, `NOT_FOUND` or `STATEMENT` for a change that is refused, as a sentence for its author; `POLICY` when
    /// the site cannot read or write its state; `AUDIT` when a change cannot be recorded, with a sentence of its own when
    /// it is in force all the same, because it only takes rights away.
    ///
    /// # Cancellation
    /// A change that was begun is finished, and is in force, whether or not somebody waits for the answer.
    pub async fn execute(
        self: &Arc<Self>,
        statement: &Statement,
        (author, query): (&str, &QueryId),
    ) -> Result<Listing> {
        let tables = self.tables.snapshot().await;
        let policies = Arc::clone(self);
        let (statement, author, query) = (statement.clone(), author.to_string(), query.clone());
        blocking(move || match statement {
            Statement::Change(change) => policies.change(&change, (&author, query), &tables),
            Statement::Show(show) => policies.show(&show, &tables),
        })
        .await?
    }

    fn change(&self, change: &Change, (author, query): (&str, QueryId), tables: &TableSnapshot) -> Result<Listing> {
        if let Some(directory) = &self.config.directory {
            return Err(kept_in_files(directory, change));
        }
        let mut turn = self.turn.lock();
        let before = self.current();
        let made = Made { author: author.to_string(), at: self.now() };
        let only_less = before.set.only_takes_away(change, made.at, tables);
        let reach = if only_less { Reach::OnlyLess } else { Reach::PerhapsMore };
        let mut applied = before.readable()?.apply(change, &made, tables).map_err(refused)?;
        if matches!(change, Change::CreatePolicy(policy) if self.cannot_make(policy)) {
            applied.notes.push(NO_SECRET.to_string());
        }
        let entry = Entry {
            version: applied.set.version,
            at: made.at,
            author: made.author,
            statement: applied.change.to_string(),
            inverse: applied.inverse.to_string(),
        };
        let row = [entry.version.to_string(), entry.statement.clone(), entry.inverse.clone()];
        let kept = Kept { set: applied.set, files: None };
        let recorded = self.put_in_force(Next { entry, kept, query }, reach)?;
        *turn = None;
        recorded?;
        let notes = (!applied.notes.is_empty()).then(|| applied.notes.join("\n"));
        let row = row.into_iter().map(Some).chain([notes]).collect();
        Ok(Listing { columns: CHANGE.to_vec(), rows: vec![row] })
    }

    fn show(&self, show: &Show, tables: &TableSnapshot) -> Result<Listing> {
        let current = self.current();
        let set = current.readable()?;
        match show {
            Show::History => self.history(),
            Show::Effective { table, party, purpose } => {
                let schema = tables.schema(table).ok_or_else(|| unknown(table))?;
                let asked = Asked { party, purpose: purpose.as_deref(), table, schema: &schema, now: self.now() };
                self.tell_effective(set, &asked)
            }
            Show::Policies | Show::Grants | Show::Tags | Show::Purposes => {
                let listing = list(set, show, tables, self.now());
                let mut listing =
                    listing.ok_or_else(|| EngineError::internal(format!("nothing is listed for {show}")))?;
                if matches!(show, Show::Policies) {
                    self.add_missing_secret(set, &mut listing);
                }
                Ok(listing)
            }
        }
    }

    /// Whether a policy makes pseudonyms, and the site has no secret for them.
    fn cannot_make(&self, policy: &Policy) -> bool {
        self.keys.is_none() && policy.makes_pseudonyms()
    }

    /// Adds to the trouble of each policy that the site lacks the secret for it: the last column.
    fn add_missing_secret(&self, set: &PolicySet, listing: &mut Listing) {
        for (row, record) in listing.rows.iter_mut().zip(set.policies.values()) {
            if let Some(trouble) = row.last_mut().filter(|_| self.cannot_make(&record.policy)) {
                let known = trouble.take().into_iter().chain([NO_SECRET.to_string()]);
                *trouble = Some(known.collect::<Vec<_>>().join("; "));
            }
        }
    }

    /// What one party sees of one table. That it sees nothing is an answer too: no row.
    fn tell_effective(&self, set: &PolicySet, asked: &Asked<'_>) -> Result<Listing> {
        let lines = match effective(set, asked) {
            Ok(lines) => lines,
            Err(Denial::Policy { policy, reason }) => return Err(denied(&policy, &reason)),
            Err(_) => Vec::new(),
        };
        let needs_secret = |line: &&Effective| self.keys.is_none() && line.form.starts_with("pseudonym(");
        let without: BTreeSet<String> = lines.iter().filter(needs_secret).map(|line| line.purpose.clone()).collect();
        if let Some(line) = lines.iter().find(needs_secret).filter(|_| asked.purpose.is_some()) {
            return Err(denied(&line.policies.join(", "), NO_SECRET));
        }
        let seen = lines.into_iter().filter(|line| !without.contains(&line.purpose));
        Ok(Listing { columns: EFFECTIVE.to_vec(), rows: seen.map(told).collect() })
    }

    fn history(&self) -> Result<Listing> {
        let entries = self.store()?.history().map_err(unreadable)?;
        let row = |entry: Entry| {
            let inverse = (!entry.inverse.is_empty()).then_some(entry.inverse);
            let told = [entry.version.to_string(), written(entry.at), entry.author, entry.statement];
            told.into_iter().map(Some).chain([inverse]).collect()
        };
        Ok(Listing { columns: HISTORY.to_vec(), rows: entries.into_iter().map(row).collect() })
    }
}

/// The columns of the answer to a statement, before it is run.
pub fn columns(statement: &Statement) -> Vec<&'static str> {
    match statement {
        Statement::Change(_) => CHANGE.to_vec(),
        Statement::Show(Show::History) => HISTORY.to_vec(),
        Statement::Show(Show::Effective { .. }) => EFFECTIVE.to_vec(),
        Statement::Show(show) => {
            let nothing = list(&PolicySet::default(), show, &TableSnapshot::default(), Instant(0));
            nothing.map(|listing| listing.columns).unwrap_or_default()
        }
    }
}

fn denied(policy: &str, reason: &str) -> EngineError {
    EngineError::new(Code::Policy, format!("the table is denied by {policy}: {reason}"))
}

fn told(line: Effective) -> Vec<Option<String>> {
    let policies = (!line.policies.is_empty()).then(|| line.policies.join(", "));
    let purpose = (!line.purpose.is_empty()).then_some(line.purpose);
    let (column, form, rows) = (Some(line.column), Some(line.form), Some(line.rows));
    vec![purpose, column, form, line.release, policies, Some(line.grant), Some(line.limits), rows]
}

fn unknown(table: &TableName) -> EngineError {
    EngineError::new(Code::NotFound, format!("there is no table `{table}` here"))
}

/// The refusal of a live change where files say what is in force: which file to change.
fn kept_in_files(directory: &Path, change: &Change) -> EngineError {
    let place = directory.display();
    let named = files::read(directory)
        .unwrap_or_default()
        .into_iter()
        .find(|file| defined_before(change).is_some_and(|name| file.text.contains(name)));
    let advice = match named {
        Some(file) => format!("change {} there", file.name),
        None => "write it into a *.sql file there".to_string(),
    };
    let sentence =
        format!("the policies of this site are the files in {place}: {advice}; the site reads it within two seconds");
    EngineError::new(Code::Statement, sentence)
}

/// The name that a change takes away, which some file gave.
fn defined_before(change: &Change) -> Option<&str> {
    match change {
        Change::DropTag { name } | Change::DropPurpose { name } | Change::DropPolicy { name } => Some(name),
        Change::RevokeGrant { id } => Some(id),
        Change::UnsetTag { tag, .. } => Some(tag),
        Change::WithdrawColumn { column, .. } => Some(column),
        Change::ValidUntil(_) => Some("VALID"),
        Change::CreateTag { .. }
        | Change::SetTag { .. }
        | Change::CreatePurpose { .. }
        | Change::Grant(_)
        | Change::CreatePolicy(_)
        | Change::AcceptColumn { .. } => None,
    }
}

fn refused(error: PolicyError) -> EngineError {
    let code = match error {
        PolicyError::Syntax(_) => Code::Syntax,
        PolicyError::NotFound(_) => Code::NotFound,
        PolicyError::Refused(_) => Code::Statement,
    };
    EngineError::new(code, error.to_string())
}

/// What a store that cannot be read means to the asker.
pub(super) fn unreadable(error: StoreError) -> EngineError {
    EngineError::new(Code::Policy, "the state of this site cannot be read; the log says more").caused_by(error)
}

/// A moment as people read it, UTC.
fn written(moment: Instant) -> String {
    let time = chrono::DateTime::from_timestamp_micros(moment.0);
    time.map_or_else(|| moment.0.to_string(), |time| time.to_rfc3339_opts(chrono::SecondsFormat::Micros, true))
}
