//! What a site publishes of its decision about a table: in which form an asker sees each column, and by which policies.
//!
//! A coordinator plans with it, marks columns and explains with it. It could not widen it: the site decides again.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use serde::{Deserialize, Serialize};

/// The key of a field's metadata that tells a masked column's form, in listings of tables.
pub const FORM_KEY: &str = "chancery.form";

/// The published decision about one table for one asker.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableTreatment {
    /// Whether the site decides at all; `false` where its policy is switched off.
    pub governed: bool,
    /// The grant that it rests on.
    pub grant: Option<String>,
    /// The policies that leave rows out, by name; empty where every row is there.
    pub row_filters: Vec<String>,
    /// One for each visible column, in the order of the schema.
    pub columns: Vec<ColumnTreatment>,
    /// How aggregates over the aggregate-only columns are released.
    pub release: Option<PublishedRelease>,
}

/// The form of one column.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnTreatment {
    /// The form as written in a policy, such as `show_first(3)` or `aggregate only`; `None` for a clear column.
    pub form: Option<String>,
    /// The policies that gave it this form.
    pub policies: Vec<String>,
    /// Whether the column may only stand inside SUM, AVG, COUNT and COUNT(DISTINCT).
    pub aggregate_only: bool,
    /// The sites to which sets of its values may go.
    pub keys: Vec<PublishedKeys>,
}

/// That sets of a column's values may go to a site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishedKeys {
    /// The site.
    pub site: String,
    /// The least number of keys in a set.
    pub keys_min: u64,
}

/// The rule of aggregate-only columns, as far as a planner needs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishedRelease {
    /// The least number of different entities in a group that is told.
    pub min_group: u64,
    /// The columns that may be grouped by.
    pub group_by: Vec<String>,
}

impl TableTreatment {
    /// The treatment of a table that no policy governs.
    pub fn ungoverned() -> Self {
        Self::default()
    }

    /// The columns as metadata lists them.
    pub fn mark(&self, schema: &SchemaRef) -> SchemaRef {
        mark(schema, |index, _| self.form(index).map(ToString::to_string))
    }

    /// What applied to a table with these visible columns, for EXPLAIN: its grant, the policies that leave rows out, and the
    /// columns that are not clear. No condition of a policy is told.
    pub fn summary<'a>(&self, columns: impl Iterator<Item = &'a str>) -> String {
        let mut parts = vec![format!("grant {}", self.grant.as_deref().unwrap_or("none"))];
        if !self.row_filters.is_empty() {
            parts.push(format!("rows filtered by {}", self.row_filters.join(", ")));
        }
        for (name, column) in columns.zip(&self.columns) {
            if let Some(form) = &column.form {
                parts.push(format!("{name}: {form} by {}", column.policies.join(", ")));
            }
        }
        parts.join("; ")
    }

    /// The form of the column at `index`; `None` for a clear one.
    pub fn form(&self, index: usize) -> Option<&str> {
        self.columns.get(index).and_then(|column| column.form.as_deref())
    }
}

/// The columns with the form of each that is not clear under [`FORM_KEY`], and without any other metadata.
pub fn mark(schema: &SchemaRef, form: impl Fn(usize, &Field) -> Option<String>) -> SchemaRef {
    let marked = schema.fields().iter().enumerate().map(|(index, field)| {
        let metadata = form(index, field).map(|form| HashMap::from([(FORM_KEY.to_string(), form)]));
        field.as_ref().clone().with_metadata(metadata.unwrap_or_default())
    });
    Arc::new(Schema::new(marked.collect::<Vec<_>>()))
}
