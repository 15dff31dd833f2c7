//! Scans a table as DataFusion would, and compares rows as text: sorted, since a table has no order.

use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion_common::DataFusionError;
use datafusion_expr::Expr;
use datafusion_physical_plan::{ExecutionPlan, collect};

use super::{FixtureTable, Trial, fixture, unexpected};
use crate::connector::{Source, Table};

/// What a scan is asked for.
#[derive(Debug, Clone, Default)]
pub(super) struct Request {
    pub(super) projection: Option<Vec<usize>>,
    pub(super) filters: Vec<Expr>,
    pub(super) limit: Option<usize>,
}

/// One row, a text per column; `None` is NULL.
pub(super) type Row = Vec<Option<String>>;

impl Trial<'_> {
    /// The standard fixture, loaded and opened.
    pub(super) async fn loaded(&self) -> Result<(Vec<FixtureTable>, Arc<dyn Source>), String> {
        let tables = fixture().map_err(unexpected)?;
        let source = self.place.load(&tables).await.map_err(unexpected)?;
        Ok((tables, source))
    }

    pub(super) async fn plan(
        &self,
        table: &Table,
        request: &Request,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        table.provider.scan(self.session, request.projection.as_ref(), &request.filters, request.limit).await
    }

    pub(super) async fn batches(&self, table: &Table, request: &Request) -> Result<Vec<RecordBatch>, DataFusionError> {
        collect(self.plan(table, request).await?, self.session.task_ctx()).await
    }

    /// The rows of a scan, sorted.
    pub(super) async fn rows(&self, table: &Table, request: &Request) -> Result<Vec<Row>, String> {
        let batches = self.batches(table, request).await.map_err(unexpected)?;
        rows_of(&batches)
    }
}

/// The rows of `batches`, sorted.
pub(super) fn rows_of(batches: &[RecordBatch]) -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    for batch in batches {
        let options = FormatOptions::default();
        let columns: Vec<_> = batch
            .columns()
            .iter()
            .map(|column| Ok((column, ArrayFormatter::try_new(column.as_ref(), &options)?)))
            .collect::<Result<_, arrow::error::ArrowError>>()
            .map_err(unexpected)?;
        rows.extend((0..batch.num_rows()).map(|row| {
            columns
                .iter()
                .map(|(values, text)| values.is_valid(row).then(|| text.value(row).to_string()))
                .collect::<Row>()
        }));
    }
    rows.sort();
    Ok(rows)
}

/// The rows of `table` that `keep` accepts, sorted; `keep` sees a row as text.
pub(super) fn rows_where(table: &FixtureTable, keep: impl Fn(&Row) -> bool) -> Result<Vec<Row>, String> {
    let mut rows = rows_of(std::slice::from_ref(&table.rows))?;
    rows.retain(keep);
    Ok(rows)
}

/// The fixture's table `name`.
pub(super) fn named<'a>(tables: &'a [FixtureTable], name: &str) -> Result<&'a FixtureTable, String> {
    tables.iter().find(|table| table.name == name).ok_or_else(|| format!("the fixture has no table `{name}`"))
}
