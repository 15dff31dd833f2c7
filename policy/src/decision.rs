//! What was decided: for one subject, purpose and table, what leaves and in which form.

use std::fmt;

use datafusion_common::ScalarValue;

use crate::mask::ColumnMask;
use crate::predicate::Filter;
use crate::resource::TableName;
use crate::time::Instant;

/// The decision about one table.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// The table.
    pub table: TableName,
    /// The grant that it rests on; the query ends with it.
    pub grant: GrantedBy,
    /// The purpose that was decided for.
    pub purpose: String,
    /// The rows that are there for the subject; `None` for all.
    pub row_filter: Option<RowFilter>,
    /// One for each column of the table, in its order, hidden ones included.
    pub columns: Vec<ColumnDecision>,
    /// How aggregates over the aggregate-only columns are released; present exactly when there are such columns.
    pub release: Option<Release>,
    /// The sites to which sets of its keys may go, by `GRANT JOIN`.
    pub keys: Vec<KeyLeave>,
}

impl Decision {
    /// The least number of keys of a set of the column's values that may go to a site; `None` where none may.
    pub fn keys_min(&self, column: &str, site: &str) -> Option<u64> {
        self.leave(column, site).map(|leave| leave.min_set)
    }

    /// By what a set of the column's values may go to a site.
    fn leave(&self, column: &str, site: &str) -> Option<&KeyLeave> {
        let decided = self.columns.iter().find(|decided| decided.name == column)?;
        if matches!(decided.treatment, Treatment::AggregateOnly { .. } | Treatment::Hidden) {
            return None;
        }
        self.keys.iter().find(|leave| leave.column == column && leave.site == site)
    }

    /// By what the table takes part in a set of keys that goes to a site: `column` is that of the keys, where they are its own.
    pub fn leave_for(&self, column: Option<&str>, site: &str) -> Option<&KeyLeave> {
        match column {
            Some(column) => self.leave(column, site),
            None => self.keys.iter().find_map(|leave| self.leave(&leave.column, site)),
        }
    }

    /// Whether sets of some column's values may go to a site.
    pub fn lets_keys_go_to(&self, site: &str) -> bool {
        self.leave_for(None, site).is_some()
    }
}

/// That sets of a column's values may go to a site.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyLeave {
    /// The column.
    pub column: String,
    /// The site.
    pub site: String,
    /// The least number of keys in a set.
    pub min_set: u64,
    /// The id of the `GRANT JOIN` that says so.
    pub grant: String,
}

/// The grant that a decision rests on.
#[derive(Debug, Clone, PartialEq)]
pub struct GrantedBy {
    /// Its id.
    pub id: String,
    /// When it ends, or the whole set of policies does.
    pub until: Option<Instant>,
    /// Rows that the subject may receive under it on one day (UTC).
    pub rows_per_day: Option<u64>,
    /// Bytes that the subject may receive under it on one day (UTC).
    pub bytes_per_day: Option<u64>,
}

impl GrantedBy {
    /// Its end and its caps in words.
    pub fn limits(&self) -> String {
        let until = self.until.and_then(|until| chrono::DateTime::from_timestamp_micros(until.0));
        let parts = [
            until.map(|until| format!("until {}", until.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true))),
            self.rows_per_day.map(|rows| format!("{rows} rows a day")),
            self.bytes_per_day.map(|bytes| format!("{bytes} bytes a day")),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        if parts.is_empty() { "without end or cap".to_owned() } else { parts.join(", ") }
    }
}

/// Which rows are there.
#[derive(Debug, Clone, PartialEq)]
pub struct RowFilter {
    /// A row is there where this is TRUE.
    pub filter: Filter,
    /// The policies that it is made of, by name.
    pub policies: Vec<String>,
    /// The columns that it reads, in the table's order.
    pub reads: Vec<String>,
}

/// The form in which a column is seen.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnDecision {
    /// The column's name.
    pub name: String,
    /// Its form.
    pub treatment: Treatment,
    /// The policies that gave it this form, by name; empty for clear columns.
    pub policies: Vec<String>,
}

/// A form.
#[derive(Debug, Clone, PartialEq)]
pub enum Treatment {
    /// As it is.
    Clear,
    /// Masked.
    Masked(ColumnMask),
    /// Only inside SUM, AVG, COUNT and COUNT(DISTINCT), clamped.
    AggregateOnly {
        /// Values below become this.
        low: ScalarValue,
        /// Values above become this.
        high: ScalarValue,
    },
    /// Not there: by `hide`, or because the column came after the grant.
    Hidden,
}

/// When a group of aggregates may be told.
#[derive(Debug, Clone, PartialEq)]
pub struct Release {
    /// The least number of different entities.
    pub min_group: u64,
    /// The column that tells entities apart; it may be hidden from the subject.
    pub entity: String,
    /// The columns that may be grouped by.
    pub group_by: Vec<String>,
}

/// `at least 5 of id_no, by region, grade`
impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at least {} of {}", self.min_group, self.entity)?;
        if self.group_by.is_empty() { Ok(()) } else { write!(f, ", by {}", self.group_by.join(", ")) }
    }
}

/// Why nothing is permitted. For the site's log and its administrators; the asker reads NOT_FOUND or PURPOSE.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// The subject named no purpose.
    #[error("no purpose")]
    NoPurpose,
    /// The subject does not hold the purpose, or the site does not know it.
    #[error("the purpose `{0}` is not one that the subject holds here")]
    Purpose(String),
    /// No grant covers the table for this subject and purpose at this time.
    #[error("no grant covers the table for this subject and purpose at this time")]
    NoGrant,
    /// A grant covers it, of a mode that confers nothing yet.
    #[error("grant {0} is of MODE OPERATED, which confers nothing until there are templates")]
    Operated(String),
    /// The policies' own end has come.
    #[error("the policies were valid until an earlier time")]
    OutOfDate,
    /// A policy cannot be applied: a column dropped or retyped, an attribute missing or of a wrong kind, a conflict.
    #[error("{policy}: {reason}")]
    Policy {
        /// The policy.
        policy: String,
        /// What is wrong.
        reason: String,
    },
}
