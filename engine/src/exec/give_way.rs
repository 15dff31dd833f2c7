//! Operators that let go. A join may look at very many pairs of one batch of its input, and make very many rows of it, and what
//! reads it does not pause either; an expression may take seconds for each of the rows of a batch. Wrapped, they yield to their
//! thread after each step, so that a query that nobody wants any more ends soon; and a join of more pairs than may be is refused.
//!
//! ```text
//! before   AggregateExec(NestedLoopJoinExec(a, b))
//! after    AggregateExec(CooperativeExec(NestedLoopJoinExec(StepsExec(a), StepsExec(b))))
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
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec, SortMergeJoinExec};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::statistics::{StatisticsArgs, StatisticsContext};
use datafusion::physical_plan::{ChildrenPropertiesMode, ExecutionPlan, ReplaceChildrenOptions};

use crate::config::limits::Limits;
use crate::exec::steps::{Made, Pairs, Side, Steps, StepsExec, too_many};

/// The rule; the last one, since it changes nothing that another rule could use.
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
            true if computes_long(node)? => Some(Steps::Expressions(Made::default())),
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
        let steps = Arc::new(steps);
        let sides = join.children().into_iter().zip([Side::Build, Side::Probe]).map(|(input, side)| {
            match (side, steps.as_ref()) {
                (Side::Build, Steps::ByTime | Steps::Expressions(_)) => Arc::clone(input),
                _ => Arc::new(StepsExec::new(Arc::clone(input), side, Arc::clone(&steps))) as Arc<dyn ExecutionPlan>,
            }
        });
        let join = with_inputs(&join, sides.collect())?;
        Ok(Arc::new(CooperativeExec::new(join)))
    }
}

fn with_inputs(node: &Arc<dyn ExecutionPlan>, inputs: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
    Arc::clone(node).replace_children(inputs, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Keep))
}

/// What computes costly expressions, over as many rows as it computes in a short time.
fn in_steps(node: &Arc<dyn ExecutionPlan>, function_bytes: usize) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let inputs = node.children();
    let [input] = inputs.as_slice() else { return Ok(None) };
    if input.is::<StepsExec>() || !computes_long(node.as_ref())? {
        return Ok(None);
    }
    let projection = node.downcast_ref::<ProjectionExec>();
    let made = Made::new(function_bytes, projection.map(computed).unwrap_or_default());
    let steps = Arc::new(Steps::Expressions(made));
    let stepped =
        with_inputs(node, vec![Arc::new(StepsExec::new(Arc::clone(input), Side::Computed, Arc::clone(&steps)))])?;
    Ok(Some(match projection {
        Some(_) => Arc::new(StepsExec::new(stepped, Side::Made, steps)),
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
            long = takes_long(part.as_ref());
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
                Some(wrapped) => Transformed::yes(wrapped),
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

/// The same for projections, and the first rule: a source would compute what another rule hands down to it, in whole batches.
#[derive(Debug)]
pub struct ProjectInSteps {
    function_bytes: usize,
}

impl ProjectInSteps {
    /// The rule under the limits of a node.
    pub fn new(limits: &Limits) -> Self {
        Self { function_bytes: limits.function_bytes_max }
    }
}

impl PhysicalOptimizerRule for ProjectInSteps {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            let wrapped = if node.is::<ProjectionExec>() { in_steps(&node, self.function_bytes)? } else { None };
            Ok(match wrapped {
                Some(wrapped) => Transformed::yes(wrapped),
                None => Transformed::no(node),
            })
        })
        .data()
    }

    fn name(&self) -> &'static str {
        "project_in_steps"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn is_join(node: &dyn ExecutionPlan) -> bool {
    node.is::<HashJoinExec>()
        || node.is::<CrossJoinExec>()
        || node.is::<NestedLoopJoinExec>()
        || node.is::<SortMergeJoinExec>()
}
