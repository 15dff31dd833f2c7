//! Operators that let go. A join may look at very many pairs of one batch of its input, and make very many rows of it, and what
//! reads it does not pause either; an expression may take seconds for each of the rows of a batch. Wrapped, they yield to their
//! thread after each step, so that a query that nobody wants any more ends soon; and a join of more pairs than may be is refused.
//!
//! ```text
//! before   AggregateExec(NestedLoopJoinExec(a, b))
//! after    AggregateExec(CooperativeExec(NestedLoopJoinExec(StepsExec(a), StepsExec(b))))
//! before   FilterExec(a LIKE b, a)
//! after    FilterExec(a LIKE b, StepsExec(a))
//! never    anything else: DataFusion does the same for the leaves of a plan itself
//! ```

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{BinaryExpr, LikeExpr, Literal};
use datafusion::physical_expr::{HigherOrderFunctionExpr, PhysicalExpr, ScalarFunctionExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec, SortMergeJoinExec};
use datafusion::physical_plan::statistics::{StatisticsArgs, StatisticsContext};
use datafusion::physical_plan::{ChildrenPropertiesMode, ExecutionPlan, ReplaceChildrenOptions};

use crate::config::limits::Limits;
use crate::exec::steps::{Pairs, Side, Steps, StepsExec, too_many};

/// The rule; the last one, since it changes nothing that another rule could use.
#[derive(Debug)]
pub struct GiveWay {
    step_pairs: u64,
    pairs_max: u64,
}

impl GiveWay {
    /// The rule under the limits of a node.
    pub fn new(limits: &Limits) -> Self {
        Self { step_pairs: limits.join_step_pairs_max, pairs_max: limits.join_pairs_max }
    }

    /// The steps that a join is cut into; none for what is no join.
    fn steps(&self, node: &dyn ExecutionPlan) -> Option<Steps> {
        if node.is::<CrossJoinExec>() || node.is::<NestedLoopJoinExec>() {
            return Some(Steps::ByPairs(Pairs::new(self.step_pairs, self.pairs_max)));
        }
        node.is::<HashJoinExec>().then_some(Steps::OF_A_JOIN)
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
        let Some(steps) = self.steps(join.as_ref()) else { return Ok(Arc::new(CooperativeExec::new(join))) };
        let steps = Arc::new(steps);
        let sides = join.children().into_iter().zip([Side::Build, Side::Probe]).map(|(input, side)| {
            match (side, steps.as_ref()) {
                (Side::Build, Steps::ByTime(_)) => Arc::clone(input),
                _ => Arc::new(StepsExec::new(Arc::clone(input), side, Arc::clone(&steps))) as Arc<dyn ExecutionPlan>,
            }
        });
        let sides: Vec<_> = sides.collect();
        let join = join.replace_children(sides, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Keep))?;
        Ok(Arc::new(CooperativeExec::new(join)))
    }
}

/// What computes costly expressions, over as many rows as it computes in a short time.
fn in_steps(node: &Arc<dyn ExecutionPlan>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let inputs = node.children();
    let [input] = inputs.as_slice() else { return Ok(None) };
    if !computes_long(node.as_ref())? {
        return Ok(None);
    }
    let input = StepsExec::new(Arc::clone(input), Side::Probe, Arc::new(Steps::OF_EXPRESSIONS));
    let kept = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Keep);
    Arc::clone(node).replace_children(vec![Arc::new(input)], kept).map(Some)
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
const LONG: [&str; 9] = [
    "levenshtein",
    "array_has_all",
    "array_has_any",
    "regexp_count",
    "regexp_instr",
    "regexp_like",
    "regexp_match",
    "regexp_replace",
    "repeat",
];
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
            Ok(match in_steps(&node)? {
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

fn is_join(node: &dyn ExecutionPlan) -> bool {
    node.is::<HashJoinExec>()
        || node.is::<CrossJoinExec>()
        || node.is::<NestedLoopJoinExec>()
        || node.is::<SortMergeJoinExec>()
}
