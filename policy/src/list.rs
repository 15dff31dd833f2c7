//! What is in force, as tables: the answers to `SHOW POLICIES`, `GRANTS`, `TAGS` and `PURPOSES`, with what is wrong now.

use std::collections::BTreeSet;

use crate::decide::columns::takes_by_tag;
use crate::decide::tags::Tags;
use crate::resource::{Resource, TableName};
use crate::set::{Catalog, GrantRecord, PolicyRecord, PolicySet, Tagged};
use crate::statement::moment::written;
use crate::statement::{Audience, Mode, Party, Policy, Right, Show};
use crate::time::Instant;

/// A table of texts; `None` is NULL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The columns' names.
    pub columns: Vec<&'static str>,
    /// The rows, each with a cell for every column.
    pub rows: Vec<Vec<Option<String>>>,
}

/// What is in force. `None` for histories and effective policies, which need more than the set.
pub fn list(set: &PolicySet, show: &Show, catalog: &dyn Catalog, now: Instant) -> Option<Listing> {
    let now_there = Now { set, catalog, now };
    match show {
        Show::Policies => Some(now_there.policies()),
        Show::Grants => Some(now_there.grants()),
        Show::Tags => Some(now_there.tags()),
        Show::Purposes => Some(purposes(set)),
        Show::History | Show::Effective { .. } => None,
    }
}

/// The columns of a grant's tables that came after it and are hidden, `source.table.column`.
pub(crate) fn hidden_since(set: &PolicySet, record: &GrantRecord, catalog: &dyn Catalog) -> Vec<String> {
    Now { set, catalog, now: record.at }.came_later(record)
}

/// A set, seen at one moment beside the tables that there are.
struct Now<'a> {
    set: &'a PolicySet,
    catalog: &'a dyn Catalog,
    now: Instant,
}

impl Now<'_> {
    fn policies(&self) -> Listing {
        let row = |record: &PolicyRecord| {
            let policy = &record.policy;
            vec![
                Some(policy.name.clone()),
                Some(resource(&policy.resource)),
                Some(policy.rule.to_string()),
                Some(audience(&policy.audience)),
                Some(record.author.clone()),
                Some(written(record.at)),
                some(self.trouble(record)),
            ]
        };
        Listing {
            columns: vec!["policy", "resource", "rule", "audience", "author", "time", "trouble"],
            rows: self.set.policies.values().map(row).collect(),
        }
    }

    fn grants(&self) -> Listing {
        let row = |(id, record): (&String, &GrantRecord)| {
            let grant = &record.grant;
            let (right, on, to) = right(&grant.right);
            let references = grant.references.iter().map(|(key, text)| format!("{key} = {text}"));
            vec![
                Some(id.clone()),
                Some(right.to_owned()),
                Some(on),
                Some(to),
                grant.purpose.clone(),
                Some(grant.mode.to_string()),
                grant.from.map(written),
                grant.to.map(written),
                grant.rows_per_day.map(|rows| rows.to_string()),
                grant.bytes_per_day.map(|bytes| bytes.to_string()),
                some(references.collect()),
                Some(record.author.clone()),
                Some(written(record.at)),
                Some(self.state(record).to_owned()),
                some(self.came_later(record)),
            ]
        };
        Listing {
            columns: vec![
                "grant",
                "right",
                "resource",
                "to",
                "purpose",
                "mode",
                "valid_from",
                "valid_until",
                "rows_per_day",
                "bytes_per_day",
                "references",
                "author",
                "time",
                "state",
                "hidden_new_columns",
            ],
            rows: self.set.grants.iter().map(row).collect(),
        }
    }

    /// A row for each tag on something, and one for each tag that is on nothing.
    fn tags(&self) -> Listing {
        let row = |tag: &str, values: &[String], tagged: Option<&Tagged>| {
            vec![
                Some(tag.to_owned()),
                Some(values.join(", ")),
                tagged.map(|tagged| tagged.table.to_string()),
                tagged.and_then(|tagged| tagged.column.clone()),
                tagged.map(|tagged| tagged.value.clone()),
                tagged.and_then(|tagged| self.gone(&tagged.table, tagged.column.as_deref())),
            ]
        };
        let rows = self.set.tags.iter().flat_map(|(tag, values)| {
            let on: Vec<_> = self.set.tagged.iter().filter(|tagged| tagged.tag == *tag).map(Some).collect();
            let on = if on.is_empty() { vec![None] } else { on };
            on.into_iter().map(move |tagged| row(tag, values, tagged))
        });
        Listing { columns: vec!["tag", "values", "table", "column", "value", "trouble"], rows: rows.collect() }
    }

    fn state(&self, record: &GrantRecord) -> &'static str {
        let ends = [record.grant.to, self.set.valid_until];
        if ends.into_iter().flatten().any(|end| end <= self.now) {
            "expired"
        } else if record.grant.from.is_some_and(|from| from > self.now) {
            "not yet"
        } else if record.grant.mode == Mode::Operated {
            "kept, confers nothing yet"
        } else {
            "active"
        }
    }

    /// What a policy can no longer do as it was written; and which columns of its tables nobody sees, since they came
    /// after a grant.
    fn trouble(&self, record: &PolicyRecord) -> Vec<String> {
        let uses = record.uses.iter().flat_map(|(table, columns)| columns.iter().map(move |(c, t)| (table, c, t)));
        let tables = self.tables(&record.policy.resource);
        let changed = uses.filter_map(|(table, column, kind)| self.changed(&tables, table, (column, kind)));
        let mut trouble: Vec<String> = changed.collect();
        trouble.dedup();
        let later = self.set.grants.values().flat_map(|grant| self.later(grant));
        let here = later.filter(|(table, _)| record.policy.resource.covers(table));
        let here: BTreeSet<String> = here.map(|(table, column)| format!("{table}.{column}")).collect();
        trouble.extend(here.into_iter().map(|column| format!("{column} came after a grant and is hidden")));
        trouble
    }

    /// What became of a column that had this type.
    fn changed(&self, tables: &[TableName], table: &str, (column, kind): (&str, &str)) -> Option<String> {
        let found = tables.iter().find(|found| found.to_string() == table);
        let Some(schema) = found.and_then(|found| self.catalog.schema(found)) else {
            return Some(format!("{table} is gone"));
        };
        match schema.field_with_name(column) {
            Err(_) => Some(format!("{table}.{column} is gone")),
            Ok(field) if field.data_type().to_string() != kind => {
                Some(format!("{table}.{column} was {kind} and is {}", field.data_type()))
            }
            Ok(_) => None,
        }
    }

    fn tables(&self, resource: &Resource) -> Vec<TableName> {
        match resource {
            Resource::Schema(source) => self.catalog.tables(source),
            Resource::Table(table) => vec![table.clone()],
        }
    }

    fn gone(&self, table: &TableName, column: Option<&str>) -> Option<String> {
        let Some(schema) = self.catalog.schema(table) else { return Some(format!("{table} is gone")) };
        let column = column.filter(|column| schema.field_with_name(column).is_err())?;
        Some(format!("{table}.{column} is gone"))
    }

    fn came_later(&self, record: &GrantRecord) -> Vec<String> {
        self.later(record).into_iter().map(|(table, column)| format!("{table}.{column}")).collect()
    }

    /// The columns of a grant's tables that were not there when it was made, and that neither ACCEPT COLUMN nor a policy
    /// by their tags covers.
    fn later(&self, record: &GrantRecord) -> Vec<(TableName, String)> {
        let tables = match &record.grant.right {
            Right::Select { resource, .. } => self.tables(resource),
            // Only the key columns move, and they are named.
            Right::Join { .. } => vec![],
        };
        let mut later = vec![];
        for table in tables {
            let Some(schema) = self.catalog.schema(&table) else { continue };
            let then = record.columns.get(&table.to_string());
            let names = schema.fields().iter().map(|field| field.name());
            let hidden =
                names.filter(|name| !then.is_some_and(|then| then.contains(*name)) && !self.covered(&table, name));
            later.extend(hidden.map(|name| (table.clone(), name.clone())));
        }
        later
    }

    fn covered(&self, table: &TableName, column: &str) -> bool {
        self.set.accepted.contains(&(table.clone(), column.to_owned()))
            || self.set.policies.values().any(|record| self.takes_by_tag(&record.policy, table, column))
    }

    fn takes_by_tag(&self, policy: &Policy, table: &TableName, column: &str) -> bool {
        let tags = Tags::of(self.set, table).unwrap_or_default();
        policy.resource.covers(table) && takes_by_tag(policy, &tags, column)
    }
}

fn purposes(set: &PolicySet) -> Listing {
    let row = |(name, purpose): (&String, &crate::set::Purpose)| {
        vec![Some(name.clone()), purpose.under.clone(), purpose.comment.clone()]
    };
    Listing { columns: vec!["purpose", "under", "comment"], rows: set.purposes.iter().map(row).collect() }
}

fn resource(resource: &Resource) -> String {
    match resource {
        Resource::Schema(source) => source.clone(),
        Resource::Table(table) => table.to_string(),
    }
}

/// What is permitted, on what, to whom.
fn right(right: &Right) -> (&'static str, String, String) {
    match right {
        Right::Select { resource, to } => ("SELECT", self::resource(resource), parties(to)),
        Right::Join { table, columns, site, min_set } => {
            ("JOIN", format!("{table} ({})", columns.join(", ")), format!("SITE {site}, at least {min_set} keys"))
        }
    }
}

fn parties(parties: &[Party]) -> String {
    parties.iter().map(Party::to_string).collect::<Vec<_>>().join(", ")
}

/// Without the leading `TO`.
fn audience(audience: &Audience) -> String {
    let text = audience.to_string();
    text.strip_prefix("TO ").map(str::to_owned).unwrap_or(text)
}

/// NULL when there is nothing to tell.
fn some(parts: Vec<String>) -> Option<String> {
    (!parts.is_empty()).then(|| parts.join("; "))
}
