//! Regional tables: declared at a coordinator as the union of like tables of several sites, and used like any other.
//!
//! Each arm gives the region column as a literal, so that the optimizer drops the arms that a filter on it excludes.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use datafusion::catalog::view::ViewTable;
use datafusion::common::Column;
use datafusion::datasource::provider_as_source;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, lit};

use crate::catalog::site_table::SiteTable;
use crate::catalog::snapshot::Snapshots;
use crate::config::{RegionalArm, RegionalTable, TableName};
use crate::error::{Code, EngineError, Result};
use crate::identity::Asker;

/// The view over all arms of `regional`. The region column stands where the arms have one of that name, else last; an
/// arm that has one gives only its rows of that region.
///
/// # Errors
/// `NOT_FOUND`, `SITE_UNAVAILABLE` for an arm that is missing; `TYPE` for arms that are not alike: columns of the same
/// names, with types that have one in common.
pub async fn regional_table(
    snapshots: &Snapshots,
    state: &SessionState,
    asker: &Arc<Asker>,
    regional: &RegionalTable,
) -> Result<Arc<dyn TableProvider>> {
    let mut union: Option<(LogicalPlan, SchemaRef)> = None;
    for arm in &regional.arms {
        let table = arm_table(snapshots, asker, regional, arm).await?;
        let schema = table.schema();
        let columns = union.as_ref().map_or(&schema, |(_, columns)| columns);
        let columns = Arc::clone(columns);
        same_columns(regional, arm, &columns, &schema)?;
        let plan = arm_plan(regional, arm, table, &columns)?;
        union = Some(match union {
            None => (plan, columns),
            Some((left, columns)) => (LogicalPlanBuilder::from(left).union(plan)?.build()?, columns),
        });
    }
    let (plan, _) = union.ok_or_else(|| EngineError::internal("a regional table without arms"))?;
    let plan = state.analyzer().execute_and_check(plan, state.config_options(), |_, _| {}).map_err(|error| {
        let sentence = format!("the arms of the regional table `{}` have types without one in common", regional.name);
        EngineError::new(Code::Type, sentence).caused_by(error)
    })?;
    Ok(Arc::new(ViewTable::new(plan, None)))
}

async fn arm_table(
    snapshots: &Snapshots,
    asker: &Arc<Asker>,
    regional: &RegionalTable,
    arm: &RegionalArm,
) -> Result<SiteTable> {
    let TableName { catalog, schema, table } = &arm.table;
    snapshots.table(asker, (catalog, schema, table)).await?.ok_or_else(|| {
        EngineError::new(
            Code::NotFound,
            format!("the regional table `{}` has an arm `{}` that its site does not have", regional.name, arm.table),
        )
    })
}

fn same_columns(regional: &RegionalTable, arm: &RegionalArm, expected: &SchemaRef, found: &SchemaRef) -> Result<()> {
    let unlike = |what: String| {
        EngineError::new(
            Code::Type,
            format!("the arms of the regional table `{}` are not alike: `{}` {what}", regional.name, arm.table),
        )
    };
    if expected.fields().len() != found.fields().len() {
        return Err(unlike(format!("has {} columns, the first arm {}", found.fields().len(), expected.fields().len())));
    }
    for field in expected.fields() {
        found.field_with_name(field.name()).map_err(|_| unlike(format!("has no column `{}`", field.name())))?;
    }
    Ok(())
}

fn arm_plan(regional: &RegionalTable, arm: &RegionalArm, table: SiteTable, columns: &SchemaRef) -> Result<LogicalPlan> {
    let name = arm.table.to_reference();
    let region = || lit(arm.region.as_str());
    let column = |column: &str| Expr::Column(Column::new(Some(name.clone()), column));
    let has_own = columns.field_with_name(&regional.column).is_ok();
    let mut scan = LogicalPlanBuilder::scan(name.clone(), provider_as_source(Arc::new(table)), None)?;
    if has_own {
        scan = scan.filter(column(&regional.column).eq(region()))?;
    }
    let mut outputs: Vec<Expr> = columns
        .fields()
        .iter()
        .map(|field| match field.name() {
            own if *own == regional.column => region().alias(own),
            other => column(other).alias(other),
        })
        .collect();
    if !has_own {
        outputs.push(region().alias(&regional.column));
    }
    Ok(scan.project(outputs)?.build()?)
}
