//! Operators that let go. A join may look at very many pairs of one batch of its input, and make very many rows of it, and what
//! reads it does not pause either; an expression may take seconds for each of the rows of a batch. Wrapped, they yield to their
//! thread after each step, so that a query that nobody wants any more ends soon; and a join of more pairs than may be is refused.
//! What joins repeat is bounded here too, since nobody else counts it.
//!
//! ```text
//! before   AggregateExec(NestedLoopJoinExec(a, b))
//! after    AggregateExec(CooperativeExec(StepsExec(NestedLoopJoinExec(StepsExec(a), StepsExec(b)))))
//! before   FilterExec(a LIKE b, a)
//! after    FilterExec(a LIKE b, StepsExec(a))
//! before   ProjectionExec(levenshtein(a, b), a)
//! after    StepsExec(ProjectionExec(levenshtein(a, b), StepsExec(a)))
//! never    anything else: DataFusion does the same for the leaves of a plan itself
//! ```

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{BinaryExpr, Column, LikeExpr, Literal};
use datafusion::physical_expr::{HigherOrderFunctionExpr, PhysicalExpr, ScalarFunctionExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec, SortMergeJoinExec};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::statistics::{StatisticsArgs, StatisticsContext};

use crate::config::limits::Limits;
use crate::exec::built::Built;
use crate::exec::made::Made;
use crate::exec::pairs::{Pairs, too_many};
use crate::exec::steps::{Batches, Side, Steps, StepsExec};
use crate::exec::with_inputs;

/// The rule; after all of DataFusion's, since it changes nothing that another rule could use.
#[derive(Debug)]
pub struct GiveWay {
    step_pairs: u64,
    pairs_max: u64,
    function_bytes: usize,
}

impl GiveWay {
    /// The rule under the limits of a node.
    pub fn new(limits: &Limits) -> Self {
        Self {
            step_pairs: limits.join_step_pairs_max,
            pairs_max: limits.join_pairs_max,
            function_bytes: limits.function_bytes_max,
        }
    }

    /// The steps that a join is cut into; none where it yields by itself.
    fn steps(&self, node: &dyn ExecutionPlan) -> Result<Option<Steps>> {
        if node.is::<CrossJoinExec>() || node.is::<NestedLoopJoinExec>() {
            let step_pairs = if computes_long(node)? { self.step_pairs.div_ceil(COSTLY) } else { self.step_pairs };
            return Ok(Some(Steps::ByPairs(Pairs::new(step_pairs, self.pairs_max))));
        }
        Ok(match node.is::<HashJoinExec>() {
            true if computes_long(node)? => Some(Steps::Expressions(Batches::default())),
            true => Some(Steps::ByTime),
            false => None,
        })
    }

    /// Refuses a join by pairs of which it is known that they are too many. A cross join may be cut short by a limit.
    fn check_estimate(&self, node: &dyn ExecutionPlan) -> Result<()> {
        if !node.is::<NestedLoopJoinExec>() {
            return Ok(());
        }
        let statistics = StatisticsContext::new();
        let mut pairs = 1_u64;
        for side in node.children() {
            let rows = statistics.compute(side.as_ref(), &StatisticsArgs::new())?.num_rows;
            let Some(rows) = rows.get_value() else { return Ok(()) };
            pairs = pairs.saturating_mul(*rows as u64);
        }
        if pairs > self.pairs_max { Err(too_many(self.pairs_max).into()) } else { Ok(()) }
    }

    fn wrap(&self, join: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
        self.check_estimate(join.as_ref())?;
        let Some(steps) = self.steps(join.as_ref())? else { return Ok(Arc::new(CooperativeExec::new(join))) };
        let (steps, built) = (Arc::new(steps), Arc::new(Built::of(join.as_ref(), self.function_bytes)));
        let sides = [Side::Build(Arc::clone(&built)), Side::Probe(Arc::clone(&built))];
        let inputs = join.children().into_iter().zip(sides).map(|(input, side)| -> Arc<dyn ExecutionPlan> {
            Arc::new(StepsExec::new(Arc::clone(input), side, Arc::clone(&steps)))
        });
        let join = with_inputs(&join, inputs.collect())?;
        let join: Arc<dyn ExecutionPlan> = match built.is_collected() {
            true => Arc::new(StepsExec::new(join, Side::Joined(built), steps)),
            false => join,
        };
        Ok(Arc::new(CooperativeExec::new(join)))
    }
}

/// What computes costly expressions, over as many rows as it computes in a short time.
fn in_steps(node: &Arc<dyn ExecutionPlan>, function_bytes: usize) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let inputs = node.children();
    let [input] = inputs.as_slice() else { return Ok(None) };
    let projection = node.downcast_ref::<ProjectionExec>();
    let counted = |made: Arc<dyn ExecutionPlan>, projection: &ProjectionExec, steps: Arc<Steps>| {
        let side = Side::Made(Arc::new(Made::new(function_bytes, computed(projection))));
        Arc::new(StepsExec::new(made, side, steps)) as Arc<dyn ExecutionPlan>
    };
    // What another projection has made in steps comes in these.
    let made_in = input.downcast_ref::<StepsExec>().and_then(StepsExec::made_in);
    if let (Some(projection), Some(steps)) = (projection, made_in) {
        return Ok(Some(counted(Arc::clone(node), projection, Arc::clone(steps))));
    }
    if !computes_long(node.as_ref())? {
        return Ok(None);
    }
    let steps = Arc::new(Steps::Expressions(Batches::default()));
    let stepped = StepsExec::new(Arc::clone(input), Side::Computed, Arc::clone(&steps));
    let stepped = with_inputs(node, vec![Arc::new(stepped)])?;
    Ok(Some(match projection {
        Some(projection) => counted(stepped, projection, steps),
        None => stepped,
    }))
}

/// The columns of a projection that are computed.
fn computed(projection: &ProjectionExec) -> Vec<usize> {
    let columns = projection.expr().iter().enumerate();
    columns.filter(|(_, column)| !column.expr.is::<Column>()).map(|(position, _)| position).collect()
}

fn computes_long(node: &dyn ExecutionPlan) -> Result<bool> {
    let mut long = false;
    node.apply_expressions(&mut |expr| {
        expr.apply(|part| {
            long |= takes_long(part.as_ref());
            Ok(if long { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        })
    })?;
    Ok(long)
}

/// Functions whose work is more than a small multiple of the bytes that they are given.
const LONG: [&str; 8] = [
    "levenshtein",
    "array_has_all",
    "array_has_any",
    "regexp_count",
    "regexp_instr",
    "regexp_like",
    "regexp_match",
    "regexp_replace",
];
/// So many comparisons of numbers take the time of one of these.
const COSTLY: u64 = 1_000;
/// A pattern that its author wrote by hand.
const PATTERN_BYTES: usize = 64;

/// Whether an expression may take long for one row.
fn takes_long(expr: &dyn PhysicalExpr) -> bool {
    if let Some(call) = expr.downcast_ref::<ScalarFunctionExpr>() {
        return LONG.contains(&call.fun().name());
    }
    if let Some(like) = expr.downcast_ref::<LikeExpr>() {
        return !is_short(like.pattern().as_ref());
    }
    expr.is::<HigherOrderFunctionExpr>()
        || expr.downcast_ref::<BinaryExpr>().is_some_and(|binary| is_match(*binary.op()))
}

fn is_match(operator: Operator) -> bool {
    use Operator::{RegexIMatch, RegexMatch, RegexNotIMatch, RegexNotMatch};
    matches!(operator, RegexMatch | RegexIMatch | RegexNotMatch | RegexNotIMatch)
}

fn is_short(pattern: &dyn PhysicalExpr) -> bool {
    let pattern = pattern.downcast_ref::<Literal>().and_then(|literal| literal.value().try_as_str().flatten());
    pattern.is_some_and(|pattern| pattern.len() <= PATTERN_BYTES)
}

impl PhysicalOptimizerRule for GiveWay {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            if is_join(node.as_ref()) {
                return Ok(Transformed::yes(self.wrap(node)?));
            }
            Ok(match in_steps(&node, self.function_bytes)? {
                Some(stepped) => Transformed::yes(stepped),
                None => Transformed::no(node),
            })
        })
        .data()
    }

    fn name(&self) -> &'static str {
        "give_way"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// DataFusion's rule that hands projections down, but for those that compute costly expressions: a source would compute them in
/// whole batches.
#[derive(Debug)]
pub struct CostlyStay(Arc<dyn PhysicalOptimizerRule + Send + Sync>);

impl CostlyStay {
    /// The same rule, which leaves them where they are.
    pub fn new(rule: Arc<dyn PhysicalOptimizerRule + Send + Sync>) -> Self {
        Self(rule)
    }
}

impl PhysicalOptimizerRule for CostlyStay {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let held = plan.transform_up(|node| {
            let inputs = node.children();
            let [input] = inputs.as_slice() else { return Ok(Transformed::no(node)) };
            if !node.is::<ProjectionExec>() || !computes_long(node.as_ref())? {
                return Ok(Transformed::no(node));
            }
            let input = StepsExec::new(Arc::clone(input), Side::Computed, Arc::new(Steps::ByTime));
            Ok(Transformed::yes(with_inputs(&node, vec![Arc::new(input)])?))
        });
        // No other steps are there yet.
        let released = self.0.optimize(held.data()?, config)?.transform_up(|node| {
            Ok(match (node.is::<StepsExec>(), node.children().first()) {
                (true, Some(input)) => Transformed::yes(Arc::clone(input)),
                _ => Transformed::no(node),
            })
        });
        released.data()
    }

    fn name(&self) -> &str {
        self.0.name()
    }

    fn schema_check(&self) -> bool {
        self.0.schema_check()
    }
}

fn is_join(node: &dyn ExecutionPlan) -> bool {
    node.is::<HashJoinExec>()
        || node.is::<CrossJoinExec>()
        || node.is::<NestedLoopJoinExec>()
        || node.is::<SortMergeJoinExec>()
}

#[cfg(test)]
mod tests {
    use datafusion::execution::SessionStateBuilder;
    use datafusion::physical_plan::displayable;
    use datafusion::prelude::{SessionConfig, SessionContext};

    use crate::config::limits::Limits;
    use crate::exec::physical_rules;

    /// The names of the operators, from the top, and the whole plan.
    async fn planned(sql: &str) -> (Vec<String>, String) {
        let state = SessionStateBuilder::new()
            .with_config(SessionConfig::new().with_target_partitions(1))
            .with_default_features()
            .with_physical_optimizer_rules(physical_rules(&Limits::default()));
        let ctx = SessionContext::new_with_state(state.build());
        let parquet = tempfile::tempdir().unwrap();
        let path = parquet.path().to_str().unwrap();
        ctx.sql(&format!("COPY (VALUES (1, 'a', 'b')) TO '{path}/t.parquet'")).await.unwrap().collect().await.unwrap();
        ctx.register_parquet("t", path, Default::default()).await.unwrap();
        let plan = ctx.sql(sql).await.unwrap().create_physical_plan().await.unwrap();
        let plan = displayable(plan.as_ref()).indent(false).to_string();
        let name = |line: &str| line.trim_start().split([':', ' ']).next().unwrap_or_default().to_string();
        (plan.lines().map(name).collect(), plan)
    }

    #[tokio::test]
    async fn a_costly_projection_is_computed_in_steps_and_by_no_source() {
        let costly = "SELECT column1, levenshtein(column2, column3) AS d FROM t";
        let before = "SELECT levenshtein(column2, column3) AS d, column1 + 1 FROM t";
        for sql in [costly.to_string(), before.to_string(), format!("{costly} ORDER BY column1")] {
            let (names, plan) = planned(&sql).await;
            let made = names.iter().position(|name| name == "StepsExec").expect(&plan);
            assert_eq!(names[made..made + 3], ["StepsExec", "ProjectionExec", "StepsExec"], "{plan}");
            let source = plan.lines().find(|line| line.contains("DataSourceExec")).expect(&plan);
            assert!(!source.contains("levenshtein"), "{plan}");
        }
        let (names, plan) = planned("SELECT column1 + 1 FROM t").await;
        assert!(!names.contains(&"StepsExec".to_string()), "{plan}");
        // A limit goes as far down as without.
        let (_, plan) = planned(&format!("{costly} WHERE column1 > 5 LIMIT 3")).await;
        let fetching = plan.lines().find(|line| line.contains("FilterExec")).expect(&plan);
        assert!(fetching.contains("fetch=3"), "{plan}");
    }

    #[tokio::test]
    async fn joins_windows_and_values_stand_between_what_counts_for_them() {
        let join = "SELECT a.column2, b.column3 FROM t a JOIN t b ON a.column1 = b.column1";
        let window = "SELECT sum(column1) OVER () FROM t";
        let value = "SELECT column1 FROM t WHERE column2 > (SELECT max(column3) FROM t WHERE column1 > 1)";
        for (sql, expected) in [
            (join, vec!["CooperativeExec", "StepsExec", "HashJoinExec", "StepsExec"]),
            (window, vec!["BoundedExec", "WindowAggExec", "BoundedExec"]),
            (value, vec!["BoundedExec"]),
        ] {
            let (names, plan) = planned(sql).await;
            assert!(names.windows(expected.len()).any(|part| part == expected), "{plan}");
        }
    }

    #[tokio::test]
    async fn what_is_made_of_what_was_made_in_steps_is_counted_too() {
        let sql = "SELECT repeat(x, 2), length(x) FROM (SELECT regexp_replace(column2, 'a', 'b') AS x FROM t)";
        let (names, plan) = planned(sql).await;
        let expected = ["StepsExec", "ProjectionExec", "StepsExec", "ProjectionExec", "StepsExec", "DataSourceExec"];
        assert_eq!(names, expected, "{plan}");
    }
}
