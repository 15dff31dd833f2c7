//! `chancery policy test DIR`: what the authors of policies expect, checked against what would be decided.
//!
//! A file holds assertions; unknown keys are refused, so that a misspelt one is not a test that cannot fail.
//!
//! ```toml
//! [[assert]]
//! name = "analysts see their own regions, and no names"
//! roles = ["analyst"]                          # also: user, organisation
//! attributes = { regions = ["north"] }
//! purpose = "epidemiology"                     # taken to be held; left out: no purpose
//! at = "2026-06-01T00:00:00Z"                  # left out: now
//! table = "civil.residents"
//! sees = { id_no = "pseudonym('resident')", name = "show_first(1)", region = "clear", pay = "aggregate only (0 to 9000)" }
//! release = { min_group = 10, entity = "id_no", group_by = ["region"] }
//! rows = [
//!   { given = { id_no = "17", name = "Wang", region = "north" }, seen = { id_no = "…", name = "W", region = "north" } },
//!   { given = { id_no = "18", name = "Li", region = "south" } },
//! ]
//!
//! [[assert]]
//! name = "visitors see nothing"
//! roles = ["visitor"]
//! table = "civil.residents"
//! denied = true
//! ```
//!
//! `sees` lists every column that is there, each with its form as SHOW EFFECTIVE POLICY words it; a column that is not
//! listed must be hidden. `rows` gives rows and how each is seen; one without `seen` must not be. A column left out, in
//! `given` or in `seen`, is NULL. A pseudonym depends on a secret that is not here: in `seen` any value stands for one.
//! Columns of which only aggregates are told have no place in `seen`; `release` says which groups of them are told, and is
//! compared where it is written.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use arrow::datatypes::{FieldRef, Schema};
use datafusion_common::ScalarValue;
use serde::Deserialize;

use crate::decide::{Question, decide};
use crate::decision::{Decision, Denial, Release, Treatment};
use crate::mask::ColumnMask;
use crate::resource::TableName;
use crate::set::{Catalog, PolicySet};
use crate::subject::{Attribute, Subject};
use crate::time::Instant;
use crate::value::Value;

/// The assertions of one file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assertions {
    /// The assertions, in their order.
    pub assert: Vec<Assertion>,
}

/// One assertion: who, what for, which table, and what is seen of it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "Written")]
pub struct Assertion {
    /// Its name, for the reader of a failure.
    pub name: String,
    /// Who asks.
    pub subject: Subject,
    /// For which purpose.
    pub purpose: Option<String>,
    /// When; now if left out.
    pub at: Option<Instant>,
    /// Of which table.
    pub table: TableName,
    /// What is expected.
    pub expected: Expected,
}

/// What an assertion expects.
#[derive(Debug, Clone, PartialEq)]
pub enum Expected {
    /// Nothing is permitted.
    Denied,
    /// These columns in these forms, and of these rows those.
    Sees {
        /// The columns that are there, with their forms.
        columns: BTreeMap<String, String>,
        /// The groups that are told of columns of which only aggregates are, if that is asserted.
        release: Option<Release>,
        /// Rows to try.
        rows: Vec<Sample>,
    },
}

/// A row, and how it is seen.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// The row as the source has it.
    pub given: BTreeMap<String, Value>,
    /// The row as it is seen, if it is.
    pub seen: Option<BTreeMap<String, Value>>,
}

/// An assertion as its author writes it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    #[serde(default)]
    user: String,
    organisation: Option<String>,
    #[serde(default)]
    roles: BTreeSet<String>,
    #[serde(default)]
    attributes: BTreeMap<String, Attribute>,
    purpose: Option<String>,
    at: Option<String>,
    table: String,
    sees: Option<BTreeMap<String, String>>,
    release: Option<WrittenRelease>,
    #[serde(default)]
    rows: Vec<Sample>,
    #[serde(default)]
    denied: bool,
}

/// A release as its author writes it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenRelease {
    min_group: u64,
    entity: String,
    #[serde(default)]
    group_by: Vec<String>,
}

impl From<WrittenRelease> for Release {
    fn from(WrittenRelease { min_group, entity, mut group_by }: WrittenRelease) -> Self {
        group_by.sort();
        Self { min_group, entity, group_by }
    }
}

impl TryFrom<Written> for Assertion {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let Written { name, user, organisation, roles, attributes, purpose, .. } = written;
        let refused = |what: &str| format!("assertion `{name}`: {what}");
        let expected = match (written.sees, written.denied) {
            (Some(columns), false) => {
                Expected::Sees { columns, release: written.release.map(Release::from), rows: written.rows }
            }
            (None, true) if written.rows.is_empty() && written.release.is_none() => Expected::Denied,
            _ => return Err(refused("it says either what is seen (sees, release, rows) or denied = true")),
        };
        let (source, table) =
            written.table.split_once('.').ok_or_else(|| refused("the table is written 'source.table'"))?;
        let moment = |at: String| {
            let at = chrono::DateTime::parse_from_rfc3339(&at);
            at.map(|at| Instant(at.timestamp_micros())).map_err(|_| refused("`at` is written '2026-06-01T00:00:00Z'"))
        };
        Ok(Self {
            at: written.at.map(moment).transpose()?,
            table: TableName::new(source, table),
            subject: Subject {
                name: user,
                organisation,
                roles,
                attributes,
                purposes: purpose.iter().cloned().collect(),
            },
            name,
            purpose,
            expected,
        })
    }
}

/// An assertion that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The assertion's name.
    pub name: String,
    /// What it expects.
    pub expected: String,
    /// What is so.
    pub found: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: expected {}, found {}", self.name, self.expected, self.found)
    }
}

/// The assertions that do not hold for these policies.
pub fn failures(set: &PolicySet, assertions: &Assertions, catalog: &dyn Catalog, now: Instant) -> Vec<Failure> {
    let check = |assertion: &Assertion| {
        let named = |(expected, found)| Failure { name: assertion.name.clone(), expected, found };
        let mismatches = mismatches(set, assertion, catalog, now);
        mismatches.into_iter().map(named).collect::<Vec<_>>()
    };
    assertions.assert.iter().flat_map(check).collect()
}

/// What was expected and what was found instead.
type Mismatch = (String, String);

fn mismatches(set: &PolicySet, assertion: &Assertion, catalog: &dyn Catalog, now: Instant) -> Vec<Mismatch> {
    let Assertion { subject, table, .. } = assertion;
    let Some(schema) = catalog.schema(table) else {
        return vec![(format!("a table {table}"), "none of that name".to_owned())];
    };
    let now = assertion.at.unwrap_or(now);
    let question = Question { subject, purpose: assertion.purpose.as_deref(), table, schema: &schema, now };
    match (&assertion.expected, decide(set, &question)) {
        (Expected::Denied, Err(_)) => vec![],
        (Expected::Denied, Ok(decision)) => vec![("nothing".to_owned(), visible(&decision))],
        (Expected::Sees { columns, .. }, Err(denial)) => vec![(listed(columns), nothing(&denial))],
        (Expected::Sees { columns, release, rows }, Ok(decision)) => {
            let mut found = column_mismatches(columns, &decision);
            found.extend(release.as_ref().and_then(|release| release_mismatch(release, &decision)));
            found.extend(rows.iter().enumerate().filter_map(|(index, sample)| {
                let (expected, found) = match see(&decision, &sample.given, &schema) {
                    Ok(seen) => sample_mismatch(sample, seen.as_ref())?,
                    Err(reason) => ("a row of the table".to_owned(), reason),
                };
                Some((format!("row {} {expected}", index + 1), found))
            }));
            found
        }
    }
}

fn nothing(denial: &Denial) -> String {
    format!("nothing ({denial})")
}

fn listed(columns: &BTreeMap<String, String>) -> String {
    columns.iter().map(|(name, form)| format!("{name} {form}")).collect::<Vec<_>>().join(", ")
}

fn visible(decision: &Decision) -> String {
    let columns = decision.columns.iter().filter(|column| column.treatment != Treatment::Hidden);
    listed(&columns.map(|column| (column.name.clone(), column.treatment.to_string())).collect())
}

fn column_mismatches(expected: &BTreeMap<String, String>, decision: &Decision) -> Vec<Mismatch> {
    let hidden = Treatment::Hidden.to_string();
    let found: BTreeMap<&str, String> =
        decision.columns.iter().map(|column| (column.name.as_str(), column.treatment.to_string())).collect();
    let names: BTreeSet<&str> = expected.keys().map(String::as_str).chain(found.keys().copied()).collect();
    let mismatch = |name: &str| {
        let expected = expected.get(name).unwrap_or(&hidden);
        let found = found.get(name).map_or("not in the table", String::as_str);
        (expected != found).then(|| (format!("{name} {expected}"), format!("{name} {found}")))
    };
    names.into_iter().filter_map(mismatch).collect()
}

fn release_mismatch(expected: &Release, decision: &Decision) -> Option<Mismatch> {
    let found = decision.release.clone().map(|mut release| {
        release.group_by.sort();
        release
    });
    let told = || found.as_ref().map_or("no aggregates".to_owned(), |found| format!("release {found}"));
    (found.as_ref() != Some(expected)).then(|| (format!("release {expected}"), told()))
}

/// A cell as it is seen.
#[derive(Debug, Clone, PartialEq)]
enum Cell {
    Value(ScalarValue),
    /// Some pseudonym: which one, only the site's secret tells.
    Pseudonym,
}

impl Cell {
    fn is(&self, expected: &Value) -> bool {
        match self {
            Cell::Value(value) => expected.to_scalar(&value.data_type()).as_ref() == Some(value),
            Cell::Pseudonym => true,
        }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cell::Value(value) => match value.try_as_str() {
                Some(Some(text)) => write!(f, "'{}'", text.replace('\'', "''")),
                _ => write!(f, "{value}"),
            },
            Cell::Pseudonym => write!(f, "a pseudonym"),
        }
    }
}

/// The cells of a row that are there and not NULL, by column.
type Seen<'a> = BTreeMap<&'a str, Cell>;

/// How a row is seen under a decision; `None` if it is not.
fn see<'a>(
    decision: &'a Decision,
    given: &BTreeMap<String, Value>,
    schema: &Schema,
) -> Result<Option<Seen<'a>>, String> {
    let row = row(given, schema)?;
    let cell = |name: &str| row.get(name).cloned().unwrap_or(ScalarValue::Null);
    if decision.row_filter.as_ref().is_some_and(|rows| !rows.filter.keeps(&cell)) {
        return Ok(None);
    }
    let seen = decision.columns.iter().filter_map(|column| {
        let seen = seen_cell(&column.treatment, cell(&column.name)).transpose()?;
        Some(seen.map(|seen| (column.name.as_str(), seen)))
    });
    seen.collect::<Result<_, _>>().map(Some)
}

/// A row of the table, typed; what is not given is NULL.
fn row(given: &BTreeMap<String, Value>, schema: &Schema) -> Result<BTreeMap<String, ScalarValue>, String> {
    if let Some(unknown) = given.keys().find(|name| schema.field_with_name(name).is_err()) {
        return Err(format!("column `{unknown}` is not in the table"));
    }
    let cell = |field: &FieldRef| {
        let cell = match given.get(field.name()) {
            None => ScalarValue::try_from(field.data_type()).map_err(|error| error.to_string())?,
            Some(value) => value
                .to_scalar(field.data_type())
                .ok_or_else(|| format!("the value given for `{}` is not a {}", field.name(), field.data_type()))?,
        };
        Ok((field.name().clone(), cell))
    };
    schema.fields().iter().map(cell).collect()
}

/// A cell in its form; `None` where nothing is seen of it: NULL, hidden, or only aggregates.
fn seen_cell(treatment: &Treatment, cell: ScalarValue) -> Result<Option<Cell>, String> {
    let seen = match treatment {
        Treatment::Hidden | Treatment::AggregateOnly { .. } => return Ok(None),
        Treatment::Clear => cell,
        Treatment::Masked(ColumnMask::Pseudonym(_)) => return Ok((!cell.is_null()).then_some(Cell::Pseudonym)),
        Treatment::Masked(mask) => masked(mask, &cell).map_err(|error| error.to_string())?,
    };
    Ok((!seen.is_null()).then_some(Cell::Value(seen)))
}

fn masked(mask: &ColumnMask, cell: &ScalarValue) -> datafusion_common::Result<ScalarValue> {
    ScalarValue::try_from_array(&mask.apply(&cell.to_array()?, None)?, 0)
}

fn sample_mismatch(sample: &Sample, seen: Option<&Seen<'_>>) -> Option<Mismatch> {
    let written = |cells: &BTreeMap<String, Value>| {
        cells.iter().map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join(", ")
    };
    let expected = sample.seen.as_ref().map_or("not seen".to_owned(), |cells| format!("seen as: {}", written(cells)));
    let agree = match (&sample.seen, seen) {
        (None, None) => true,
        (Some(expected), Some(seen)) => {
            expected.len() == seen.len()
                && expected.iter().all(|(name, value)| seen.get(name.as_str()).is_some_and(|cell| cell.is(value)))
        }
        _ => false,
    };
    let found = || match seen {
        None => "not seen".to_owned(),
        Some(seen) => {
            let cells = seen.iter().map(|(name, cell)| format!("{name} {cell}"));
            format!("seen as: {}", cells.collect::<Vec<_>>().join(", "))
        }
    };
    (!agree).then(|| (expected, found()))
}
