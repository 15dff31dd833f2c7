//! A table as DataFusion scans it: columns, limits and those filters on which both sides agree go to the database; a large
//! table is read in parts.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion_common::stats::Precision;
use datafusion_common::tree_node::{Transformed, TreeNode};
use datafusion_common::{Column, DFSchema, Result, Statistics, TableReference};
use datafusion_expr::logical_plan::builder::LogicalTableSource;
use datafusion_expr::{Expr, LogicalPlan, TableProviderFilterPushDown, TableScanBuilder, TableType};
use datafusion_physical_plan::ExecutionPlan;
use datafusion_session::{Session, TableProvider};

use super::Database;
use super::exec::StatementScan;
use super::kept::{columns_read, keep_wanted};
use super::places::Places;
use crate::connector::TableDescription;
use crate::error::ConnectorError;
use crate::statement::{Refusal, Statement, Stored, StoredTables};

/// What share of the rows is expected to pass a filter of which nothing else is known; DataFusion's own.
const SELECTIVITY_PERCENT: usize = 20;

/// How a database stores a table.
#[derive(Debug)]
pub(crate) struct StoredTable {
    /// Its name there.
    pub(crate) name: TableReference,
    /// In the order of the description's columns.
    pub(crate) columns: Vec<Stored>,
    /// Whether its text has other bytes there than here; its columns of text are opaque then.
    pub(crate) has_foreign_text: bool,
    /// By what it can be read in parts.
    pub(crate) places: Option<Places>,
}

/// One table.
#[derive(Debug)]
pub(crate) struct DatabaseTable {
    database: Arc<dyn Database>,
    description: Arc<TableDescription>,
    stored: StoredTable,
}

impl DatabaseTable {
    pub(crate) fn new(database: Arc<dyn Database>, description: Arc<TableDescription>, stored: StoredTable) -> Self {
        Self { database, description, stored }
    }

    /// The table's name in the database.
    pub(crate) fn name(&self) -> &TableReference {
        &self.stored.name
    }

    /// What is known of the table.
    pub(crate) fn description(&self) -> &Arc<TableDescription> {
        &self.description
    }

    /// Tells how it is stored.
    pub(crate) fn tell(&self, told: &mut StoredTables) {
        for (field, stored) in self.description.schema.fields().iter().zip(&self.stored.columns) {
            told.tell(self.stored.name.clone(), field.name(), stored.clone());
        }
        if self.stored.has_foreign_text {
            told.tell_foreign_text();
        }
    }

    fn write(&self, wanted: &Wanted<'_>, part: Option<String>) -> Result<Statement, Refusal> {
        let refuse = |error: datafusion_common::DataFusionError| Refusal::new("scan", error.strip_backtrace());
        if wanted.filters.iter().any(holds_a_subquery) {
            return Err(Refusal::new("subquery", "is of tables that the database may not have"));
        }
        let source = Arc::new(LogicalTableSource::new(Arc::clone(&self.description.schema)));
        let filters = wanted.filters.iter().cloned().map(unqualified).collect::<Result<_>>().map_err(refuse)?;
        let scan = TableScanBuilder::new(self.stored.name.clone(), source)
            .with_projection(wanted.projection.cloned())
            .with_filters(filters)
            .with_fetch(wanted.limit);
        let plan = LogicalPlan::TableScan(scan.build().map_err(refuse)?);
        let mut stored = StoredTables::default();
        self.tell(&mut stored);
        if let Some(condition) = part {
            stored.tell_part(self.stored.name.clone(), condition);
        }
        self.database.write(&plan, &stored)
    }

    /// A limit is met soonest by one reader; else each reads a part.
    fn parts(&self, wanted: &Wanted<'_>, partitions_max: usize) -> Vec<Option<String>> {
        let partitions_max = partitions_max.min(self.database.readers_max());
        let parts = match &self.stored.places {
            Some(places) if wanted.limit.is_none() => places.parts(partitions_max),
            _ => Vec::new(),
        };
        if parts.is_empty() { vec![None] } else { parts.into_iter().map(Some).collect() }
    }

    fn statements(&self, wanted: &Wanted<'_>, partitions_max: usize) -> Result<Vec<Statement>> {
        let not_offered = |refusal: Refusal| ConnectorError::Unsupported {
            feature: format!("a filter that was not offered ({refusal})"),
            advice: "evaluate it above the scan".to_owned(),
        };
        let parts = self.parts(wanted, partitions_max).into_iter();
        let statements: Result<Vec<_>, Refusal> = parts.map(|part| self.write(wanted, part)).collect();
        Ok(statements.map_err(not_offered)?)
    }

    fn reading(&self, wanted: &Wanted<'_>, statements: Vec<Statement>) -> Arc<dyn ExecutionPlan> {
        let scan = StatementScan::of_table(Arc::clone(&self.database), statements, &self.description);
        Arc::new(scan.with_statistics(self.expected(wanted)))
    }

    /// Reads all rows, and keeps here those that are wanted.
    fn scan_and_keep(&self, state: &dyn Session, wanted: &Wanted<'_>) -> Result<Arc<dyn ExecutionPlan>> {
        let columns = columns_read(wanted, &DFSchema::try_from(Arc::clone(&self.description.schema))?);
        let all = Wanted { projection: Some(&columns), filters: &[], limit: None };
        let scan = self.reading(&all, self.statements(&all, state.config().target_partitions())?);
        keep_wanted(state, wanted, scan, &columns)
    }

    fn expected(&self, wanted: &Wanted<'_>) -> Statistics {
        let mut statistics = self.description.statistics.clone().project(wanted.projection);
        if !wanted.filters.is_empty() {
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

/// Which rows and columns of a table are asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) projection: Option<&'a Vec<usize>>,
    pub(super) filters: &'a [Expr],
    pub(super) limit: Option<usize>,
}

impl Wanted<'_> {
    /// Whether all rows are asked for.
    fn is_whole(&self) -> bool {
        self.filters.is_empty() && self.limit.is_none()
    }
}

#[async_trait]
impl TableProvider for DatabaseTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.description.schema)
    }

    fn table_type(&self) -> TableType {
        if self.description.is_view { TableType::View } else { TableType::Base }
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
        let wanted = Wanted { projection, filters, limit };
        let statements = self.statements(&wanted, state.config().target_partitions())?;
        match statements.first() {
            Some(first) if !wanted.is_whole() => match Arc::clone(&self.database).ask(first).await? {
                None => Ok(self.reading(&wanted, statements)),
                Some(_) => self.scan_and_keep(state, &wanted),
            },
            _ => Ok(self.reading(&wanted, statements)),
        }
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let answer = |filter: &&Expr| {
            let filters = std::slice::from_ref(*filter);
            match self.write(&Wanted { projection: None, filters, limit: None }, None) {
                Ok(_) => TableProviderFilterPushDown::Exact,
                Err(_) => TableProviderFilterPushDown::Unsupported,
            }
        };
        Ok(filters.iter().map(answer).collect())
    }
}

fn holds_a_subquery(filter: &Expr) -> bool {
    let is_subquery = |part: &Expr| {
        matches!(part, Expr::ScalarSubquery(_) | Expr::InSubquery(_) | Expr::Exists(_) | Expr::SetComparison(_))
    };
    filter.exists(|part| Ok(is_subquery(part))).unwrap_or(true)
}

/// A filter of a scan names the table as the plan does; without the table's name it means the same columns.
pub(crate) fn unqualified(filter: Expr) -> Result<Expr> {
    let renamed = filter.transform(|part| match part {
        Expr::Column(column) => Ok(Transformed::yes(Expr::Column(Column::from_name(column.name)))),
        other => Ok(Transformed::no(other)),
    })?;
    Ok(renamed.data)
}
