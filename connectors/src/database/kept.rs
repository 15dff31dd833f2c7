//! Conditions that a database turned out not to take, applied here to the rows of its table.

use std::sync::Arc;

use datafusion_common::{DFSchema, Result};
use datafusion_expr::Expr;
use datafusion_expr::utils::conjunction;
use datafusion_physical_plan::ExecutionPlan;
use datafusion_physical_plan::filter::FilterExecBuilder;
use datafusion_session::Session;

use super::table::Wanted;

/// The columns of a table that are wanted or that a condition reads, in the table's order.
pub(super) fn columns_read(wanted: &Wanted<'_>, schema: &DFSchema) -> Vec<usize> {
    let all = || (0..schema.fields().len()).collect();
    let mut columns: Vec<usize> = wanted.projection.cloned().unwrap_or_else(all);
    let read = wanted.filters.iter().flat_map(Expr::column_refs);
    columns.extend(read.filter_map(|column| schema.index_of_column_by_name(None, &column.name)));
    columns.sort_unstable();
    columns.dedup();
    columns
}

/// The rows of `scan`, which reads `columns`, that are wanted.
///
/// # Errors
/// As a condition cannot be planned.
pub(super) fn keep_wanted(
    state: &dyn Session,
    wanted: &Wanted<'_>,
    scan: Arc<dyn ExecutionPlan>,
    columns: &[usize],
) -> Result<Arc<dyn ExecutionPlan>> {
    let Some(condition) = conjunction(wanted.filters.iter().cloned()) else { return Ok(scan) };
    let schema = DFSchema::try_from(scan.schema())?;
    let predicate = state.create_physical_expr(super::table::unqualified(condition)?, &schema)?;
    let kept = wanted.projection.filter(|wanted| *wanted != columns).map(|wanted| positions(wanted, columns));
    let filter = FilterExecBuilder::new(predicate, scan).apply_projection(kept)?.with_fetch(wanted.limit);
    Ok(Arc::new(filter.build()?))
}

/// Where the wanted columns stand among those that are read.
fn positions(wanted: &[usize], columns: &[usize]) -> Vec<usize> {
    wanted.iter().filter_map(|column| columns.iter().position(|read| read == column)).collect()
}
