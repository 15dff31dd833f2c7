//! What crosses a barrier downwards: the one rule that moves anything below, and the whole list of what it moves.
//!
//! | decision | crosses | never |
//! | --- | --- | --- |
//! | every row is there | needed columns; conjuncts that read clear columns only; limits | conjuncts that read a treated column, or none; subqueries; volatile functions |
//! | a row filter | needed columns | everything else |
//!
//! (With a row filter B4 would let copies of plain comparisons cross. That is not done: it is an optimisation that every
//! reader of this file would have to trust, and nothing needs it yet.)
//!
//! ```text
//! before   Filter: p.ward = 7 AND p.cost > 3          every row is there, `cost` is masked
//!            PolicyBarrier: table=health.patient      around Projection κ(TableScan)
//! after    Filter: p.cost > 3
//!            PolicyBarrier: table=health.patient      around Projection κ(TableScan: partial_filters=[ward = 7])
//! never    the same with a row filter: the plan stays as it is, but for columns that nobody reads
//! ```
//!
//! Until here every barrier was sealed: DataFusion's rules saw a leaf. They run over each inside on its own, so that the
//! row filter and what crossed reach the scan, and then one of them, which moves columns only, over the whole.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result as DataFusionResult;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{Expr, FetchType, Filter, Limit, LogicalPlan, LogicalPlanBuilder, SkipType};
use datafusion::optimizer::Optimizer;
use datafusion::optimizer::optimize_projections::OptimizeProjections;
use datafusion::optimizer::push_down_filter::PushDownFilter;
use datafusion::optimizer::push_down_limit::PushDownLimit;
use policy::aggregate::Release;
use policy::barrier::{Governed, PolicyBarrier};

use crate::error::Result;
use crate::sabotage::{Control, thrown};

/// Moves down what may cross, and unseals the barriers of an optimized plan.
///
/// # Errors
/// A defect of a rule; nothing that a statement can be blamed for.
pub fn cross_barrier(state: &SessionState, plan: LogicalPlan) -> Result<LogicalPlan> {
    let unsealed = cross_and_unseal(state, plan)?;
    let columns_only = Optimizer::with_rules(vec![Arc::new(OptimizeProjections::new())]);
    Ok(columns_only.optimize(unsealed, state, |_, _| {})?)
}

fn cross_and_unseal(state: &SessionState, plan: LogicalPlan) -> DataFusionResult<LogicalPlan> {
    let crossed = plan.transform_up_with_subqueries(cross)?.data;
    Ok(crossed.transform_up_with_subqueries(|node| unseal(state, node))?.data)
}

/// One node above a barrier.
fn cross(node: LogicalPlan) -> DataFusionResult<Transformed<LogicalPlan>> {
    let crossed = match &node {
        LogicalPlan::Filter(filter) => match barrier_below(&filter.input) {
            Some(barrier) => cross_filter(filter, barrier)?,
            None => None,
        },
        LogicalPlan::Limit(limit) => match barrier_below(&limit.input) {
            Some(barrier) => cross_limit(limit, barrier)?,
            None => None,
        },
        _ => None,
    };
    Ok(crossed.map_or_else(|| Transformed::no(node), Transformed::yes))
}

/// The barrier below `plan` that shows all rows, with nothing but choices of columns between them.
fn barrier_below(plan: &LogicalPlan) -> Option<&PolicyBarrier> {
    match plan {
        LogicalPlan::Projection(projection) if projection.expr.iter().all(|expr| matches!(expr, Expr::Column(_))) => {
            barrier_below(&projection.input)
        }
        other => {
            PolicyBarrier::of(other).filter(|barrier| barrier.governed().shows_all_rows() || thrown(Control::Crossing))
        }
    }
}

/// `plan` with another inside of the barrier below it.
fn with_inside(plan: &LogicalPlan, inside: LogicalPlan) -> DataFusionResult<LogicalPlan> {
    match (PolicyBarrier::of(plan), plan.inputs().first()) {
        (Some(barrier), _) => Ok(barrier.around(inside).into_plan()),
        (None, Some(input)) => plan.with_new_exprs(plan.expressions(), vec![with_inside(input, inside)?]),
        (None, None) => Ok(plan.clone()),
    }
}

fn cross_filter(filter: &Filter, barrier: &PolicyBarrier) -> DataFusionResult<Option<LogicalPlan>> {
    let conjuncts = split_conjunction_owned(filter.predicate.clone());
    let (crossing, staying): (Vec<_>, Vec<_>) =
        conjuncts.into_iter().partition(|conjunct| may_cross(conjunct, barrier.governed()));
    let Some(crossing) = conjunction(crossing) else {
        return Ok(None);
    };
    let inside = LogicalPlanBuilder::from(barrier.inside().clone()).filter(crossing)?.build()?;
    let crossed = LogicalPlanBuilder::from(with_inside(&filter.input, inside)?);
    Ok(Some(match conjunction(staying) {
        Some(staying) => crossed.filter(staying)?.build()?,
        None => crossed.build()?,
    }))
}

/// Whether a conjunct reads clear columns, at least one, and nothing else: its value hangs on what the subject sees of
/// the row, and on that alone.
fn may_cross(conjunct: &Expr, governed: &Governed) -> bool {
    let columns = conjunct.column_refs();
    let needs_more = |expr: &Expr| {
        Ok(matches!(
            expr,
            Expr::ScalarSubquery(_)
                | Expr::InSubquery(_)
                | Expr::Exists(_)
                | Expr::SetComparison(_)
                | Expr::OuterReferenceColumn(..)
                | Expr::Placeholder(_)
        ))
    };
    !columns.is_empty()
        && columns.iter().all(|column| governed.is_clear(&column.name))
        && !conjunct.is_volatile()
        && matches!(conjunct.exists(needs_more), Ok(false))
}

/// The limit stays above: below, it only stops the scan early.
fn cross_limit(limit: &Limit, barrier: &PolicyBarrier) -> DataFusionResult<Option<LogicalPlan>> {
    let (SkipType::Literal(skip), FetchType::Literal(Some(fetch))) = (limit.get_skip_type()?, limit.get_fetch_type()?)
    else {
        return Ok(None);
    };
    let rows = skip.saturating_add(fetch);
    let inside = LogicalPlanBuilder::from(barrier.inside().clone()).limit(0, Some(rows))?.build()?;
    let input = Arc::new(with_inside(&limit.input, inside)?);
    Ok(Some(LogicalPlan::Limit(Limit { input, ..limit.clone() })))
}

/// A release has the asker's own operators inside, which no rule has seen yet.
fn unseal(state: &SessionState, node: LogicalPlan) -> DataFusionResult<Transformed<LogicalPlan>> {
    if let Some(barrier) = PolicyBarrier::of(&node) {
        let inside = arrange_inside(state, barrier)?;
        return Ok(Transformed::yes(barrier.around(inside).unsealed().into_plan()));
    }
    if let Some(release) = Release::of(&node) {
        let inside = cross_and_unseal(state, state.optimize(release.inside())?)?;
        return Ok(Transformed::yes(release.unsealed_around(inside).into_plan()));
    }
    Ok(Transformed::no(node))
}

/// Types, then filters and limits down to the scan.
fn arrange_inside(state: &SessionState, barrier: &PolicyBarrier) -> DataFusionResult<LogicalPlan> {
    let typed = state.analyzer().execute_and_check(barrier.inside().clone(), state.config_options(), |_, _| {})?;
    let rules = Optimizer::with_rules(vec![Arc::new(PushDownLimit::new()), Arc::new(PushDownFilter::new())]);
    let arranged = rules.optimize(typed, state, |_, _| {})?;
    match barrier.governed().shows_all_rows() {
        true => Ok(arranged),
        false => keep_row_filter(arranged),
    }
}

/// A source that promises to apply the row filter is asked to, and the site applies it again: the verifier has something
/// to see.
fn keep_row_filter(inside: LogicalPlan) -> DataFusionResult<LogicalPlan> {
    if inside.exists(|node| Ok(matches!(node, LogicalPlan::Filter(_))))? {
        return Ok(inside);
    }
    let again = inside.transform_up(|node| match &node {
        LogicalPlan::TableScan(scan) => match conjunction(scan.filters.clone()) {
            Some(filter) => Ok(Transformed::yes(LogicalPlanBuilder::from(node).filter(filter)?.build()?)),
            None => Ok(Transformed::no(node)),
        },
        _ => Ok(Transformed::no(node)),
    })?;
    Ok(again.data)
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{DataType, Field, Schema};
    use datafusion::datasource::{MemTable, provider_as_source};
    use datafusion::logical_expr::{col, lit};
    use insta::assert_snapshot;

    use super::*;
    use crate::plan::barrier_fixture::{Rows, World};

    async fn crossed(rows: Rows, sql: &str) -> String {
        let world = World::in_memory(rows);
        let state = world.ctx.state();
        let optimized = state.optimize(&world.logical(sql).await).unwrap();
        cross_barrier(&state, optimized).unwrap().display_indent().to_string()
    }

    #[tokio::test]
    async fn it_fires() {
        assert_snapshot!(crossed(Rows::All, "SELECT name FROM patient WHERE cost > 3 LIMIT 5").await, @r"
        SubqueryAlias: patient
          Limit: skip=0, fetch=5
            PolicyBarrier: table=health.patient
              Projection: patient.name
                Limit: skip=0, fetch=5
                  Filter: patient.cost > Int64(3)
                    TableScan: patient projection=[name, cost]
        ");
    }

    #[tokio::test]
    async fn it_fires_partly() {
        let sql = "SELECT cost FROM patient WHERE cost > 3 AND pid = 7 AND 1 / 0 > 0 LIMIT 5";
        assert_snapshot!(crossed(Rows::All, sql).await, @r#"
        SubqueryAlias: patient
          Limit: skip=0, fetch=5
            Projection: patient.cost
              Filter: pid = Int64(7) AND Int64(1) / Int64(0) > Int64(0)
                PolicyBarrier: table=health.patient
                  Projection: Int64(NULL) AS pid, patient.cost
                    Filter: patient.cost > Int64(3)
                      TableScan: patient projection=[cost]
        "#);
    }

    #[tokio::test]
    async fn with_a_row_filter_only_columns_cross() {
        let sql = "SELECT name FROM patient WHERE cost > 3 AND 1 / 0 > 0 LIMIT 5";
        assert_snapshot!(crossed(Rows::Filtered, sql).await, @r#"
        SubqueryAlias: patient
          Limit: skip=0, fetch=5
            Projection: patient.name
              Filter: patient.cost > Int64(3) AND Int64(1) / Int64(0) > Int64(0)
                PolicyBarrier: table=health.patient
                  Projection: patient.name, patient.cost
                    Filter: patient.region = Utf8("A")
                      TableScan: patient projection=[name, cost, region]
        "#);
    }

    #[tokio::test]
    async fn in_subqueries_ctes_unions_and_joins() {
        let sql = "WITH few AS (SELECT name, cost FROM patient WHERE cost > 3) \
                   SELECT a.name FROM few a JOIN (SELECT * FROM patient WHERE cost = 4) b ON a.cost = b.cost \
                   WHERE a.cost > (SELECT min(cost) FROM patient WHERE cost > 5) \
                   UNION ALL SELECT note FROM patient WHERE cost < 6";
        assert_snapshot!(crossed(Rows::All, sql).await, @r"
        Union
          Projection: a.name
            Inner Join: a.cost = b.cost
              SubqueryAlias: a
                SubqueryAlias: few
                  SubqueryAlias: patient
                    Filter: patient.cost > (<subquery>)
                      Subquery:
                        Aggregate: groupBy=[[]], aggr=[[min(patient.cost)]]
                          SubqueryAlias: patient
                            PolicyBarrier: table=health.patient
                              Filter: patient.cost > Int64(5)
                                TableScan: patient projection=[cost]
                      PolicyBarrier: table=health.patient
                        Filter: patient.cost > Int64(3)
                          TableScan: patient projection=[name, cost]
              SubqueryAlias: b
                SubqueryAlias: patient
                  Filter: patient.cost > (<subquery>)
                    Subquery:
                      Aggregate: groupBy=[[]], aggr=[[min(patient.cost)]]
                        SubqueryAlias: patient
                          PolicyBarrier: table=health.patient
                            Filter: patient.cost > Int64(5)
                              TableScan: patient projection=[cost]
                    PolicyBarrier: table=health.patient
                      Filter: patient.cost = Int64(4)
                        TableScan: patient projection=[cost]
          Projection: patient.note AS name
            SubqueryAlias: patient
              PolicyBarrier: table=health.patient
                Projection: patient.note
                  Filter: patient.cost < Int64(6)
                    TableScan: patient projection=[note, cost]
        ");
    }

    #[tokio::test]
    async fn a_subquery_without_columns_does_not_cross() {
        let sql = "SELECT name FROM patient WHERE (SELECT count(*) FROM patient) > 5";
        assert_snapshot!(crossed(Rows::Filtered, sql).await, @r#"
        SubqueryAlias: patient
          Filter: (<subquery>) > Int64(5)
            Subquery:
              Projection: count(Int64(1)) AS count(*)
                Aggregate: groupBy=[[]], aggr=[[count(Int64(1))]]
                  SubqueryAlias: patient
                    PolicyBarrier: table=health.patient
                      Projection:
                        Filter: patient.region = Utf8("A")
                          TableScan: patient projection=[region]
            PolicyBarrier: table=health.patient
              Projection: patient.name
                Filter: patient.region = Utf8("A")
                  TableScan: patient projection=[name, region]
        "#);
    }

    #[test]
    fn a_row_filter_that_a_source_promises_to_apply_stays() {
        let table = Arc::new(MemTable::try_new(Arc::new(Schema::new(vec![region()])), vec![vec![]]).unwrap());
        let row_filter = vec![col("patient.region").eq(lit("A"))];
        let scan = LogicalPlanBuilder::scan_with_filters("patient", provider_as_source(table), None, row_filter);
        let kept = keep_row_filter(scan.unwrap().build().unwrap()).unwrap();
        assert!(matches!(kept, LogicalPlan::Filter(_)), "{}", kept.display_indent());
    }

    fn region() -> Field {
        Field::new("region", DataType::Utf8, true)
    }

    #[tokio::test]
    async fn while_rules_run_a_plan_shows_the_table_only() {
        let world = World::in_memory(Rows::Filtered);
        let optimized = world.ctx.state().optimize(&world.logical("SELECT name FROM patient").await).unwrap();
        assert_snapshot!(optimized.display_indent(), @r#"
        SubqueryAlias: patient
          Projection: patient.name
            PolicyBarrier: table=health.patient
        "#);
    }
}
