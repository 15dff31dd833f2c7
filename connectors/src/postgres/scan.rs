//! A table as DataFusion scans it: columns, agreed filters and limits go to the server; a large table is read in ranges of
//! its pages.

use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use async_trait::async_trait;
use datafusion_common::stats::Precision;
use datafusion_common::{Result, Statistics, TableReference, project_schema};
use datafusion_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion_physical_plan::ExecutionPlan;
use datafusion_session::{Session, TableProvider};

use super::catalog::Relation;
use super::exec::PostgresScan;
use super::pushdown::printable_filter;
use super::select::{Pages, Selection, Wanted};
use super::server::Server;
use crate::connector::TableDescription;
use crate::error::ConnectorError;
use crate::statement::{Stored, StoredTables};

/// Fewer pages are not worth a session of their own: 8 MB, where a page has 8 kB.
const PARTITION_PAGES_MIN: u32 = 1_024;
/// The first version that finds a range of pages without reading the others.
const RANGE_SCANS_SINCE: i32 = 140_000;
/// What share of the rows is expected to pass a filter of which nothing else is known; DataFusion's own.
const SELECTIVITY_PERCENT: usize = 20;

/// One table.
#[derive(Debug)]
pub(super) struct PostgresTable {
    server: Arc<Server>,
    description: Arc<TableDescription>,
    selection: Selection,
    /// Pages that may be read range by range; 0 for what has none, or not as one file.
    pages: u32,
    table_type: TableType,
}

impl PostgresTable {
    pub(super) fn new(
        server: Arc<Server>,
        description: Arc<TableDescription>,
        selection: Selection,
        relation: &Relation,
    ) -> Self {
        let has_ranges = relation.is_one_heap && relation.server_version >= RANGE_SCANS_SINCE;
        let pages = if has_ranges { u32::try_from(relation.pages).unwrap_or(0) } else { 0 };
        let table_type = if relation.kind == "v" { TableType::View } else { TableType::Base };
        Self { server, description, selection, pages, table_type }
    }

    /// The table's name at the server.
    pub(super) fn name_at_server(&self) -> TableReference {
        TableReference::partial(self.selection.schema.as_str(), self.selection.table.as_str())
    }

    /// Tells how the server stores what is served as the columns.
    pub(super) fn tell_stored(&self, name: &TableReference, told: &mut StoredTables) {
        for column in &self.selection.columns {
            let stored = match &column.cast {
                _ if !column.is_exact => Stored::Opaque,
                Some(cast) => Stored::Cast(cast.clone()),
                None => Stored::Plain,
            };
            told.tell(name.clone(), &column.name, stored);
        }
    }

    fn wanted(&self, projection: Option<&Vec<usize>>, filters: &[Expr], limit: Option<usize>) -> Result<Wanted> {
        let schema = &self.description.schema;
        let columns = projection.cloned().unwrap_or_else(|| (0..schema.fields().len()).collect());
        let filter = printed(filters, schema)?;
        Ok(Wanted { columns, filter, limit })
    }

    /// A limit is met soonest by one session; else each session reads some of the pages.
    fn texts(&self, wanted: &Wanted, partitions_max: usize) -> Vec<String> {
        let partitions_max = partitions_max.min(self.server.readers_max());
        let ranges = if wanted.limit.is_some() { Vec::new() } else { ranges(self.pages, partitions_max) };
        match ranges.is_empty() {
            true => vec![self.selection.text(wanted, None)],
            false => ranges.into_iter().map(|pages| self.selection.text(wanted, Some(pages))).collect(),
        }
    }

    fn expected(&self, projection: Option<&Vec<usize>>, wanted: &Wanted) -> Statistics {
        let mut statistics = self.description.statistics.clone().project(projection);
        if wanted.filter.is_some() {
            statistics.num_rows = statistics.num_rows.map(|rows| rows.saturating_mul(SELECTIVITY_PERCENT) / 100);
            statistics.total_byte_size = Precision::Absent;
        }
        if let (Some(limit), Some(rows)) = (wanted.limit, statistics.num_rows.get_value()) {
            statistics.num_rows = Precision::Inexact(limit.min(*rows));
            statistics.total_byte_size = Precision::Absent;
        }
        statistics
    }
}

#[async_trait]
impl TableProvider for PostgresTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.description.schema)
    }

    fn table_type(&self) -> TableType {
        self.table_type
    }

    fn statistics(&self) -> Option<Statistics> {
        Some(self.description.statistics.clone())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let wanted = self.wanted(projection, filters, limit)?;
        let texts = self.texts(&wanted, state.config().target_partitions());
        let schema = project_schema(&self.description.schema, projection)?;
        let scan = PostgresScan::of_table(Arc::clone(&self.server), texts, schema, &self.description.name);
        Ok(Arc::new(scan.with_statistics(self.expected(projection, &wanted))))
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let answer = |filter: &&Expr| match printable_filter(filter, &self.description.schema) {
            Some(_) => TableProviderFilterPushDown::Exact,
            None => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(answer).collect())
    }
}

/// All filters as one condition, and the positions of the columns in it.
fn printed(filters: &[Expr], schema: &Schema) -> Result<Option<(String, Vec<usize>)>> {
    let mut conditions = Vec::new();
    let mut columns = Vec::new();
    for filter in filters {
        let condition = printable_filter(filter, schema).ok_or_else(|| ConnectorError::Unsupported {
            feature: "a filter that was not offered".to_owned(),
            advice: "evaluate it above the scan".to_owned(),
        })?;
        conditions.push(condition);
        columns.extend(filter.column_refs().iter().filter_map(|column| schema.index_of(&column.name).ok()));
    }
    columns.sort_unstable();
    Ok((!conditions.is_empty()).then(|| (conditions.join(" AND "), columns)))
}

/// At most so many ranges of about as many pages each; none if one session is enough. The last has no end, since a table
/// may have grown.
fn ranges(pages: u32, ranges_max: usize) -> Vec<Pages> {
    let ranges_max = u32::try_from(ranges_max).unwrap_or(u32::MAX);
    let count = ranges_max.min(pages / PARTITION_PAGES_MIN);
    if count < 2 {
        return Vec::new();
    }
    let size = pages.div_ceil(count);
    let range = |number: u32| Pages { from: number * size, before: (number + 1 < count).then(|| (number + 1) * size) };
    (0..count).map(range).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_all_pages_once() {
        let check = |pages, most, expect: &[(u32, Option<u32>)]| {
            let came: Vec<_> = ranges(pages, most).iter().map(|range| (range.from, range.before)).collect();
            assert_eq!(came, expect, "{pages} {most}");
        };
        check(0, 8, &[]);
        check(2_047, 8, &[]);
        check(2_048, 8, &[(0, Some(1_024)), (1_024, None)]);
        check(100_001, 3, &[(0, Some(33_334)), (33_334, Some(66_668)), (66_668, None)]);
        check(100_001, 1, &[]);
    }
}
