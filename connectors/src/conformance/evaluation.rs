//! Checks of what a source evaluates: claimed, it answers a subtree of that kind with the right rows; not claimed, it refuses.

use std::sync::Arc;

use datafusion_catalog::default_table_source::provider_as_source;
use datafusion_common::{JoinType, Result, Statistics};
use datafusion_expr::{Expr, LogicalPlan, LogicalPlanBuilder, col, ident};
use datafusion_physical_plan::collect;

use super::rows::{Row, rows_of};
use super::{Trial, Verdict, expect, unexpected};
use crate::connector::{Source, Table};
use crate::pushdown::{Evaluates, evaluator_of};

pub(super) async fn aggregate(trial: Trial<'_>) -> Verdict {
    let (source, table) = regions(trial).await?;
    let plan = scan(&table, "r").and_then(|scan| scan.aggregate([ident("区域")], Vec::<Expr>::new()));
    let expected = [["华东"], ["华北"], ["华南"]];
    evaluate(trial, source.capability().aggregate, plan, &rows(&expected)).await
}

pub(super) async fn join(trial: Trial<'_>) -> Verdict {
    let (source, table) = regions(trial).await?;
    let joined = || {
        let other = scan(&table, "b")?.build()?;
        let keys = (vec!["a.编号"], vec!["b.编号"]);
        scan(&table, "a")?.join(other, JoinType::Inner, keys, None)?.project([col("a.区域").alias("区域")])
    };
    let expected = [["华东"], ["华北"], ["华北"], ["华南"]];
    evaluate(trial, source.capability().join, joined(), &rows(&expected)).await
}

pub(super) async fn sort(trial: Trial<'_>) -> Verdict {
    let (source, table) = regions(trial).await?;
    let sorted = || scan(&table, "r")?.sort([ident("编号").sort(false, false)])?.limit(1, Some(2));
    let expected = [["2", "华北"], ["3", "华东"]];
    evaluate(trial, source.capability().sort, sorted(), &rows(&expected)).await
}

async fn regions(trial: Trial<'_>) -> Result<(Arc<dyn Source>, Table), String> {
    let (_, source) = trial.loaded().await?;
    let table = source.table("地区").await.map_err(unexpected)?;
    Ok((source, table))
}

fn scan(table: &Table, name: &str) -> Result<LogicalPlanBuilder> {
    LogicalPlanBuilder::scan(name, provider_as_source(Arc::clone(&table.provider)), None)
}

fn rows<const N: usize>(expected: &[[&str; N]]) -> Vec<Row> {
    expected.iter().map(|row| row.iter().map(|value| Some((*value).to_owned())).collect()).collect()
}

async fn evaluate(trial: Trial<'_>, is_claimed: bool, plan: Result<LogicalPlanBuilder>, expected: &[Row]) -> Verdict {
    let plan = plan.and_then(LogicalPlanBuilder::build).map_err(unexpected)?;
    let statistics = Statistics::new_unknown(plan.schema().as_arrow());
    let evaluated = match evaluator(&plan) {
        Some(evaluator) => evaluator.evaluate(&plan, statistics).map_err(|refusal| refusal.to_string()),
        None => Err("the tables are of no evaluator".to_owned()),
    };
    let evaluated = match (is_claimed, evaluated) {
        (false, Err(_)) => return Ok(()),
        (false, Ok(evaluated)) => return Err(format!("not claimed, and evaluated: {}", evaluated.text)),
        (true, evaluated) => evaluated?,
    };
    let batches = collect(evaluated.scan, trial.session.task_ctx()).await.map_err(unexpected)?;
    let came = rows_of(&batches)?;
    expect(came == expected, || format!("expected {expected:?}, came {came:?}: {}", evaluated.text))
}

fn evaluator(plan: &LogicalPlan) -> Option<Arc<dyn Evaluates>> {
    match plan {
        LogicalPlan::TableScan(scan) => evaluator_of(scan),
        other => other.inputs().into_iter().find_map(evaluator),
    }
}
