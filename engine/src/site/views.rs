//! What an asker is told of a site's tables: the columns in the form in which they see them, and of statistics only what
//! tells nothing of hidden values.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use connectors::connector::{ForeignKey, TableDescription};
use datafusion::common::{ColumnStatistics, Statistics};
use policy::decision::{ColumnDecision, Decision, KeyLeave, Treatment};
use policy::resource::TableName;

use super::Site;
use super::evidence::form;
use super::ruling::{Admitted, Ruling};
use crate::catalog::notes::Notes;
use crate::catalog::treatment::{ColumnTreatment, PublishedKeys, PublishedRelease, TableTreatment};
use crate::catalog::view::{View, ViewTable};
use crate::error::{Code, Result};
use crate::flight::door::ListedTable;
use crate::identity::Asker;
use crate::sabotage::{Control, thrown};

/// A table as one asker is told of it.
struct Seen {
    source: String,
    table: TableDescription,
    notes: Notes,
    treatment: TableTreatment,
}

impl Site {
    /// The view of a coordinator that plans for the asker.
    ///
    /// # Errors
    /// When a schema cannot be encoded: a defect.
    pub(super) async fn view_of(&self, asker: &Asker) -> Result<View> {
        let ruling = self.ruling();
        let refusal = ruling.as_ref().and_then(|ruling| match ruling.admit(asker) {
            Ok(Admitted::ForPurpose) => None,
            Ok(Admitted::ToWhatIsOpen(refusal)) | Err(refusal) => Some(refusal),
        });
        let tables = self.seen(asker, ruling.as_ref()).await;
        let tables = tables.into_iter().map(|seen| {
            let is_pinned = self.has_pinned_rows(&seen.source);
            ViewTable::new(&seen.source, &seen.table, (seen.treatment, seen.notes), is_pinned)
        });
        Ok(View {
            site: self.name.clone(),
            tables: tables.collect::<Result<_>>()?,
            keeps_record: self.audit().is_some(),
            purpose: refusal.filter(|error| error.code() == Code::Purpose).map(|error| error.sentence().to_string()),
        })
    }

    /// The tables that the asker may see, as metadata calls list them.
    ///
    /// # Errors
    /// Never.
    pub(super) async fn listed_tables(&self, asker: &Asker) -> Result<Vec<ListedTable>> {
        let ruling = self.ruling();
        let tables = self.seen(asker, ruling.as_ref()).await.into_iter().map(|seen| ListedTable {
            catalog: self.name.clone(),
            schema: seen.source,
            table: seen.table.name,
            is_view: seen.table.is_view,
            columns: seen.notes.mark(&seen.treatment.mark(&seen.table.schema)),
            primary_key: seen.table.primary_key,
            foreign_keys: seen.table.foreign_keys,
            comment: seen.table.comment,
            tags: seen.notes.table_tags(),
        });
        Ok(tables.collect())
    }

    async fn seen(&self, asker: &Asker, ruling: Option<&Ruling>) -> Vec<Seen> {
        if ruling.is_some_and(|ruling| ruling.admit(asker).is_err()) {
            return Vec::new();
        }
        let described = self.described().await;
        let mut seen: Vec<Seen> = described
            .into_iter()
            .filter_map(|(source, table)| match ruling {
                None => {
                    let (table, notes) = ((*table).clone(), Notes::of(&table));
                    Some(Seen { source, table, notes, treatment: TableTreatment::ungoverned() })
                }
                Some(ruling) => governed(ruling, asker, source, &table),
            })
            .collect();
        let told = told_foreign_keys(&seen);
        for (one, told) in seen.iter_mut().zip(told) {
            one.table.foreign_keys = told;
        }
        seen
    }
}

impl Seen {
    /// Whether it has these columns, each in the clear.
    fn has_clear(&self, columns: &[String]) -> bool {
        let is_clear = |index| self.treatment.form(index).is_none();
        columns.iter().all(|column| self.table.schema.index_of(column).is_ok_and(is_clear))
    }
}

/// Of each table the foreign keys whose columns are seen in the clear at both ends, so that neither end tells of the
/// other what is not seen there.
fn told_foreign_keys(seen: &[Seen]) -> Vec<Vec<ForeignKey>> {
    let tables: HashMap<(&str, &str), &Seen> =
        seen.iter().map(|one| ((one.source.as_str(), one.table.name.as_str()), one)).collect();
    let told_of = |from: &Seen| -> Vec<ForeignKey> {
        let is_told = |key: &&ForeignKey| {
            let to = tables.get(&(from.source.as_str(), key.table.as_str()));
            from.has_clear(&key.columns) && to.is_some_and(|to| to.has_clear(&key.referenced))
        };
        from.table.foreign_keys.iter().filter(is_told).cloned().collect()
    };
    seen.iter().map(told_of).collect()
}

fn governed(ruling: &Ruling, asker: &Asker, source: String, table: &Arc<TableDescription>) -> Option<Seen> {
    let name = TableName::new(&source, &table.name);
    let decision = ruling.decide(asker, &name, &table.schema).ok()?;
    let schema = policy::view::treated_schema(&decision, &table.schema);
    let told = TableDescription {
        name: table.name.clone(),
        is_view: table.is_view,
        statistics: told_statistics(&decision, table, &schema),
        version: ruling.version(&table.version, &decision),
        primary_key: told_key(&decision, table),
        foreign_keys: table.foreign_keys.clone(),
        comment: table.comment.clone(),
        column_comments: table.column_comments.clone(),
        schema,
    };
    let notes = Notes::of(&told).tagged(&ruling.set, &name, &told.schema);
    Some(Seen { source, table: told, notes, treatment: published(&decision) })
}

/// A key of clear columns; one of others could be other than unique.
fn told_key(decision: &Decision, table: &TableDescription) -> Vec<String> {
    let is_clear = |name: &String| {
        decision.columns.iter().any(|column| column.name == *name && column.treatment == Treatment::Clear)
    };
    if table.primary_key.iter().all(is_clear) { table.primary_key.clone() } else { Vec::new() }
}

/// Whether the subject is told of the column.
pub(super) fn is_visible(column: &ColumnDecision) -> bool {
    column.treatment != Treatment::Hidden
}

/// Where rows are hidden, nothing is told: a count or a bound is of all rows. Else counts, and of clear columns all. Never a
/// size in bytes, which is the files' own.
fn told_statistics(decision: &Decision, table: &TableDescription, schema: &SchemaRef) -> Statistics {
    let mut told = Statistics::new_unknown(schema);
    if thrown(Control::Statistics) {
        told.num_rows = table.statistics.num_rows;
        return told;
    }
    if decision.row_filter.is_some() {
        return told;
    }
    told.num_rows = table.statistics.num_rows;
    let known = decision.columns.iter().zip(&table.statistics.column_statistics);
    let visible = known.filter(|(column, _)| is_visible(column));
    told.column_statistics = visible
        .map(|(column, statistics)| match column.treatment {
            Treatment::Clear => statistics.clone(),
            _ => ColumnStatistics::new_unknown(),
        })
        .collect();
    told
}

/// Of a column that leaves in aggregates only, no values go anywhere.
fn published_keys(decision: &Decision, column: &ColumnDecision) -> Vec<PublishedKeys> {
    let leaves = decision.keys.iter().filter(|leave| leave.column == column.name);
    let published = |leave: &KeyLeave| {
        let keys_min = decision.keys_min(&leave.column, &leave.site)?;
        Some(PublishedKeys { site: leave.site.clone(), keys_min })
    };
    leaves.filter_map(published).collect()
}

/// What is published of a decision.
pub(super) fn published(decision: &Decision) -> TableTreatment {
    let column = |column: &ColumnDecision| ColumnTreatment {
        form: Some(form(decision, &column.name)).filter(|_| column.treatment != Treatment::Clear),
        policies: column.policies.clone(),
        aggregate_only: matches!(column.treatment, Treatment::AggregateOnly { .. }),
        keys: published_keys(decision, column),
    };
    TableTreatment {
        governed: true,
        grant: Some(decision.grant.id.clone()),
        row_filters: decision.row_filter.as_ref().map(|filter| filter.policies.clone()).unwrap_or_default(),
        columns: decision.columns.iter().filter(|column| is_visible(column)).map(column).collect(),
        release: decision
            .release
            .as_ref()
            .map(|release| PublishedRelease { min_group: release.min_group, group_by: release.group_by.clone() }),
    }
}
