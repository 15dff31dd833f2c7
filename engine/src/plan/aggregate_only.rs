//! Aggregates over aggregate-only columns: checked and put under release at a site, sent whole by a coordinator.

use std::collections::BTreeMap;

use datafusion::common::tree_node::{Transformed, TreeNodeRecursion};
use datafusion::error::{DataFusionError, Result as DataFusionResult};
use datafusion::logical_expr::LogicalPlan;
use policy::aggregate;
use policy::barrier::BarrierId;
use policy::pseudonym::PseudonymKeys;

use crate::catalog::site_table::{SiteId, SiteTable};
use crate::error::{Code, EngineError, Result};
use crate::sabotage::{Control, thrown};

/// At a site: refuses a plan that uses an aggregate-only column otherwise than its policy says.
///
/// # Errors
/// `AGGREGATE`, with what is allowed.
pub fn check(analyzed: &LogicalPlan) -> Result<()> {
    if thrown(Control::Aggregates) {
        return Ok(());
    }
    aggregate::check(analyzed).map_err(|fault| EngineError::new(Code::Aggregate, fault.to_string()))
}

/// At a site: puts release control in; a plan that needs none is not transformed. `scans` are the untreated tables, by barrier.
///
/// # Errors
/// When a table cannot be treated: a defect.
pub fn release(
    analyzed: LogicalPlan,
    scans: &BTreeMap<BarrierId, LogicalPlan>,
    keys: Option<&PseudonymKeys>,
) -> Result<Transformed<LogicalPlan>> {
    if thrown(Control::Aggregates) {
        return Ok(Transformed::no(analyzed));
    }
    let controlled = aggregate::control(analyzed, &|governed| {
        let scan = scans.get(&governed.id).ok_or_else(|| DataFusionError::from(EngineError::defect("no scan")))?;
        let treated = policy::view::treat_with_entity(&governed.decision, scan.clone(), keys);
        treated.map_err(|error| DataFusionError::from(EngineError::internal(error)))
    })?;
    Ok(controlled)
}

/// At a coordinator: every aggregate directly over a table with aggregate-only columns, as the asker wrote it, is given
/// to `send`, which makes a fragment of it, before any rule could take it apart; where `send` gives nothing it stays. A plan
/// without any is not transformed.
///
/// # Errors
/// When the plan cannot be walked.
pub fn send_whole(
    analyzed: LogicalPlan,
    send: &mut dyn FnMut(&LogicalPlan, &SiteId) -> Option<LogicalPlan>,
) -> Result<Transformed<LogicalPlan>> {
    Ok(analyzed.transform_down_with_subqueries(|node| {
        let Some(site) = aggregate_only_site(&node)? else { return Ok(Transformed::no(node)) };
        Ok(match send(&node, &site) {
            Some(fragment) => Transformed::new(fragment, true, TreeNodeRecursion::Jump),
            None => Transformed::no(node),
        })
    })?)
}

/// The site of an aggregate's one table, if it has aggregate-only columns and only filters, projections and names lie
/// between.
fn aggregate_only_site(plan: &LogicalPlan) -> DataFusionResult<Option<SiteId>> {
    let LogicalPlan::Aggregate(aggregate) = plan else { return Ok(None) };
    let mut below = aggregate.input.as_ref();
    loop {
        below = match below {
            LogicalPlan::Filter(filter) => &filter.input,
            LogicalPlan::Projection(projection) => &projection.input,
            LogicalPlan::SubqueryAlias(alias) => &alias.input,
            LogicalPlan::TableScan(scan) => {
                let table = SiteTable::of(scan);
                let bounded =
                    table.filter(|table| table.treatment().columns.iter().any(|column| column.aggregate_only));
                return Ok(bounded.map(|table| table.site().clone()));
            }
            _ => return Ok(None),
        };
    }
}

#[cfg(test)]
mod tests {
    use datafusion::physical_plan::collect;

    use crate::error::Code;
    use crate::plan::barrier_fixture::World;

    #[tokio::test]
    async fn aggregates_over_bare_columns_are_released_and_proven() {
        let world = World::bounded();
        for (sql, rows) in [
            ("SELECT note, sum(cost) FROM patient GROUP BY note", 7),
            ("SELECT note, avg(cost), count(cost), count(DISTINCT cost), sum(cost) FROM patient GROUP BY note", 7),
            ("SELECT sum(cost), avg(cost) FROM patient WHERE name <> 'name 1'", 1),
            ("SELECT p.n, s FROM (SELECT note AS n, sum(cost) AS s FROM patient GROUP BY note) p WHERE s > 1000", 7),
            ("SELECT note, sum(cost) FROM patient GROUP BY note HAVING count(cost) > 2 ORDER BY 2 LIMIT 3", 3),
            ("SELECT count(*) FROM patient", 1),
            ("SELECT name, note FROM patient WHERE note = '3'", 157),
            ("SELECT v.x FROM patient t, LATERAL (SELECT x FROM (VALUES ('1'), ('2')) w(x) WHERE w.x = t.note) v", 315),
            (
                "SELECT count(*) FROM (VALUES (1)) q(a) WHERE EXISTS (SELECT 1 FROM patient t WHERE t.note <> '' AND q.a = 1)",
                1,
            ),
        ] {
            let plan = world.released(sql).await.unwrap_or_else(|error| panic!("{sql}: {}", error.chain()));
            let batches = collect(plan, world.ctx.task_ctx()).await.unwrap();
            assert_eq!(batches.iter().map(|batch| batch.num_rows()).sum::<usize>(), rows, "{sql}");
        }
    }

    #[tokio::test]
    async fn a_subquery_beside_the_table_looks_at_no_aggregate_only_column() {
        let world = World::bounded();
        let values = "(VALUES (1), (2)) w(x)";
        for sql in [
            format!("SELECT v.x FROM patient t, LATERAL (SELECT x FROM {values} WHERE w.x = t.cost) v"),
            format!("SELECT v.x FROM patient t CROSS JOIN LATERAL (SELECT x + t.cost AS x FROM {values}) v"),
            format!(
                "SELECT v.x FROM patient t LEFT JOIN LATERAL (SELECT x FROM {values} WHERE w.x = t.cost) v ON true"
            ),
            format!("SELECT v.x FROM patient t, LATERAL (SELECT sum(x) AS x FROM {values} WHERE w.x < t.cost) v"),
            format!("SELECT v.x FROM patient t, LATERAL (SELECT x FROM {values} ORDER BY x + t.cost LIMIT 1) v"),
            // From two subqueries deep, past a table that has no such column.
            format!(
                "SELECT v.x FROM patient t, LATERAL (SELECT u.x FROM (VALUES (1)) s(y), \
                 LATERAL (SELECT x FROM {values} WHERE w.x = t.cost + s.y) u) v"
            ),
            format!("SELECT 1 FROM patient t WHERE EXISTS (SELECT 1 FROM {values} WHERE w.x = t.cost)"),
        ] {
            let code = world.released(&sql).await.map(drop).map_err(|error| error.code());
            assert_eq!(code, Err(Code::Aggregate), "{sql}");
        }
    }
}
