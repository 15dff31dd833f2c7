//! Regional tables: declared at a coordinator as the union of like tables of several sites, and used like any other.
//!
//! Each arm gives the region column as a literal, so that the optimizer drops the arms that a filter on it excludes.

use std::collections::BTreeMap;
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
use crate::catalog::treatment::mark;
use crate::config::{RegionalArm, RegionalTable, TableName};
use crate::error::{Code, EngineError, Result};
use crate::identity::Asker;

/// A regional table for one asker.
#[derive(Debug)]
pub struct RegionalView {
    /// The view over all arms.
    pub table: Arc<dyn TableProvider>,
    /// Its columns as metadata lists them: in which forms the arms show each.
    pub listed: SchemaRef,
}

/// The view over all arms of `regional`; `None` when the asker may see none of them. The region column stands where the arms
/// have one of that name, else last; an arm that has one gives only its rows of that region.
///
/// Of arms that a policy governs the view has the columns that every arm shows to this asker.
///
/// # Errors
/// `NOT_FOUND`, `SITE_UNAVAILABLE` for an arm that is missing; `TYPE` for ungoverned arms that are not alike, and for
/// columns whose types have none in common.
pub async fn regional_table(
    snapshots: &Snapshots,
    state: &SessionState,
    asker: &Arc<Asker>,
    regional: &RegionalTable,
) -> Result<Option<RegionalView>> {
    let mut arms = Vec::new();
    for arm in &regional.arms {
        let TableName { catalog, schema, table } = &arm.table;
        let table = snapshots.table(asker, (catalog, schema, table)).await?;
        arms.push((arm, table.map(|(table, _)| table)));
    }
    if arms.iter().all(|(_, table)| table.is_none()) {
        return Ok(None);
    }
    let arms: Vec<(&RegionalArm, SiteTable)> = arms
        .into_iter()
        .map(|(arm, table)| Ok((arm, table.ok_or_else(|| missing(regional, arm))?)))
        .collect::<Result<_>>()?;
    let columns = common_columns(regional, &arms)?;
    let treated: BTreeMap<String, String> = columns
        .iter()
        .filter(|column| **column != regional.column)
        .filter_map(|column| Some((column.clone(), forms(&arms, column)?)))
        .collect();
    let mut union: Option<LogicalPlan> = None;
    for (arm, table) in arms {
        let plan = arm_plan(regional, arm, table, &columns)?;
        union = Some(match union {
            None => plan,
            Some(left) => LogicalPlanBuilder::from(left).union(plan)?.build()?,
        });
    }
    let plan = union.ok_or_else(|| EngineError::defect("a regional table without arms"))?;
    let plan = state.analyzer().execute_and_check(plan, state.config_options(), |_, _| {}).map_err(|error| {
        let sentence = format!("the arms of the regional table `{}` have types without one in common", regional.name);
        EngineError::new(Code::Type, sentence).caused_by(error)
    })?;
    let table: Arc<dyn TableProvider> = Arc::new(ViewTable::new(plan, None));
    let listed = mark(&table.schema(), |_, field| treated.get(field.name()).cloned());
    Ok(Some(RegionalView { table, listed }))
}

/// The forms in which the arms show a column, each once; `None` where it is clear everywhere.
fn forms(arms: &[(&RegionalArm, SiteTable)], column: &str) -> Option<String> {
    let mut forms = Vec::new();
    for (_, table) in arms {
        let index = table.schema().index_of(column).ok()?;
        let form = table.treatment().form(index).unwrap_or("clear").to_string();
        if !forms.contains(&form) {
            forms.push(form);
        }
    }
    (forms != ["clear"]).then(|| forms.join(" or "))
}

fn missing(regional: &RegionalTable, arm: &RegionalArm) -> EngineError {
    EngineError::new(
        Code::NotFound,
        format!("the regional table `{}` has an arm `{}` that its site does not have", regional.name, arm.table),
    )
}

/// The names of the columns of a regional table, in the order of its first arm.
fn common_columns(regional: &RegionalTable, arms: &[(&RegionalArm, SiteTable)]) -> Result<Vec<String>> {
    let Some((_, first)) = arms.first() else { return Ok(Vec::new()) };
    let expected = first.schema();
    if !arms.iter().any(|(_, table)| table.treatment().governed) {
        for (arm, table) in arms {
            same_columns(regional, arm, &expected, &table.schema())?;
        }
    }
    let is_shown = |name: &str| arms.iter().all(|(_, table)| table.schema().field_with_name(name).is_ok());
    Ok(expected.fields().iter().map(|field| field.name().clone()).filter(|name| is_shown(name)).collect())
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

fn arm_plan(regional: &RegionalTable, arm: &RegionalArm, table: SiteTable, columns: &[String]) -> Result<LogicalPlan> {
    let name = arm.table.to_reference();
    let region = || lit(arm.region.as_str());
    let column = |column: &str| Expr::Column(Column::new(Some(name.clone()), column));
    let has_own = table.schema().field_with_name(&regional.column).is_ok();
    let mut scan = LogicalPlanBuilder::scan(name.clone(), provider_as_source(Arc::new(table)), None)?;
    if has_own {
        scan = scan.filter(column(&regional.column).eq(region()))?;
    }
    let output = |name: &String| if *name == regional.column { region().alias(name) } else { column(name).alias(name) };
    let mut outputs: Vec<Expr> = columns.iter().map(output).collect();
    if !columns.contains(&regional.column) {
        outputs.push(region().alias(&regional.column));
    }
    Ok(scan.project(outputs)?.build()?)
}
