//! How large the expressions of a plan become once optimizer rules have written the columns of subqueries out in them, and how
//! much of a row its literals are: a few lines of text may stand for more than any memory holds.
//!
//! ```text
//! refused   SELECT x FROM (SELECT x + x AS x FROM (… thirty times …)) WHERE x > 0     x stands in it 2^30 times
//! ```

use connectors::statement::type_size;
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::{Cast, Distinct, Expr, LogicalPlan, TryCast};

use crate::config::limits::Limits;
use crate::error::{Code, EngineError, Result};

/// Literals that are shorter are no burden.
const LONG_LITERAL_BYTES: usize = 256;
/// All expressions of one step may be so many times as large as one.
const EXPRESSIONS_OF_A_STEP: u64 = 20;

/// Checks an analyzed plan before it is optimized.
///
/// # Errors
/// `COMPLEXITY` when it would become larger than it may.
pub fn check_expansion(plan: &LogicalPlan, limits: &Limits) -> Result<()> {
    check_literals(plan, limits)?;
    Expansion { most: limits.expanded_columns_max as u64 }.columns(plan).map(|_| ())
}

/// Checks the long literals of a plan: those that are written, and what an optimizer has made of calls over them.
///
/// # Errors
/// `COMPLEXITY` when each row would have more of them than it may.
pub fn check_literals(plan: &LogicalPlan, limits: &Limits) -> Result<()> {
    let mut bytes = 0_usize;
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                check_type(expr, limits)?;
                if let Expr::Literal(value, _) = expr {
                    bytes = bytes.saturating_add(
                        Some(value_bytes(value)).filter(|size| *size > LONG_LITERAL_BYTES).unwrap_or(0),
                    );
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    if bytes > limits.literal_bytes_max {
        let most = limits.literal_bytes_max;
        let sentence = format!(
            "the long literals of the statement have {bytes} bytes, as written or computed; at most {most} are taken \
             (`literal_bytes_max`)"
        );
        return Err(EngineError::new(Code::Complexity, sentence));
    }
    Ok(())
}

/// Refuses a cast to a type whose every value has a size that the asker writes.
fn check_type(expr: &Expr, limits: &Limits) -> Result<()> {
    if let Expr::Cast(Cast { field, .. }) | Expr::TryCast(TryCast { field, .. }) = expr {
        let is_within =
            usize::try_from(type_size(field.data_type())).is_ok_and(|size| size <= limits.literal_bytes_max);
        return if is_within { Ok(()) } else { Err(too_large(limits)) };
    }
    let Expr::ScalarFunction(call) = expr else { return Ok(()) };
    let Some(Expr::Literal(ScalarValue::Utf8(Some(to)), _)) =
        call.args.get(1).filter(|_| call.name().starts_with("arrow_"))
    else {
        return Ok(());
    };
    let mut sizes = to.split(|c: char| !c.is_ascii_digit()).filter(|digits| !digits.is_empty());
    if sizes.any(|digits| digits.parse::<usize>().map_or(true, |size| size > limits.literal_bytes_max)) {
        return Err(too_large(limits));
    }
    Ok(())
}

fn too_large(limits: &Limits) -> EngineError {
    let most = limits.literal_bytes_max;
    let sentence = format!("a type whose values have more than {most} bytes is not offered (`literal_bytes_max`)");
    EngineError::new(Code::Complexity, sentence)
}

fn value_bytes(value: &ScalarValue) -> usize {
    match value {
        ScalarValue::Utf8(Some(text)) | ScalarValue::LargeUtf8(Some(text)) | ScalarValue::Utf8View(Some(text)) => {
            text.len()
        }
        ScalarValue::Binary(Some(bytes)) | ScalarValue::LargeBinary(Some(bytes)) => bytes.len(),
        other => other.size(),
    }
}

struct Expansion {
    most: u64,
}

impl Expansion {
    /// How often columns of tables stand in each column of the plan, once all is written out.
    fn columns(&self, plan: &LogicalPlan) -> Result<Vec<u64>> {
        let inputs = plan.inputs().into_iter().map(|input| self.columns(input)).collect::<Result<Vec<_>>>()?;
        let mut within = Ok(());
        plan.apply_subqueries(|subquery| {
            within = self.columns(subquery).map(|_| ());
            Ok(if within.is_err() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        })?;
        within?;
        let mut written = Vec::new();
        plan.apply_expressions(|expr| {
            written.push(size_of(expr, plan, &inputs));
            Ok(TreeNodeRecursion::Continue)
        })?;
        let written = written.into_iter().collect::<DataFusionResult<Vec<u64>>>()?;
        self.check(&written)?;
        let width = plan.schema().fields().len();
        let one_input = || inputs.first().cloned().unwrap_or_default();
        let columns = match plan {
            LogicalPlan::Projection(_) => written,
            // An aggregate is computed where it stands, a key may be written out.
            LogicalPlan::Aggregate(aggregate) => {
                let keys = aggregate.group_expr.len();
                written.into_iter().take(keys).chain(std::iter::repeat(1)).take(width).collect()
            }
            LogicalPlan::Window(_) => one_input().into_iter().chain(std::iter::repeat(1)).take(width).collect(),
            LogicalPlan::Union(_) => (0..width).map(|place| most_at(&inputs, place)).collect(),
            LogicalPlan::Join(_) => inputs.concat(),
            LogicalPlan::Filter(_)
            | LogicalPlan::Sort(_)
            | LogicalPlan::Limit(_)
            | LogicalPlan::SubqueryAlias(_)
            | LogicalPlan::Distinct(Distinct::All(_))
            | LogicalPlan::Repartition(_) => one_input(),
            // Nothing is written out through these, or they are leaves.
            _ => vec![1; width],
        };
        // Some joins have the columns of one side only.
        Ok(columns.into_iter().chain(std::iter::repeat(1)).take(width).collect())
    }

    fn check(&self, written: &[u64]) -> Result<()> {
        let largest = written.iter().copied().max().unwrap_or(0);
        let all = written.iter().copied().fold(0, u64::saturating_add);
        if largest <= self.most && all <= self.most.saturating_mul(EXPRESSIONS_OF_A_STEP) {
            return Ok(());
        }
        let sentence = format!(
            "an expression of the statement has columns in more than {} places once those of its subqueries are written out; \
             compute less in one statement (`expanded_columns_max`)",
            self.most
        );
        Err(EngineError::new(Code::Complexity, sentence))
    }
}

fn most_at(inputs: &[Vec<u64>], place: usize) -> u64 {
    inputs.iter().filter_map(|input| input.get(place)).copied().max().unwrap_or(1)
}

fn size_of(expr: &Expr, plan: &LogicalPlan, inputs: &[Vec<u64>]) -> DataFusionResult<u64> {
    let mut size = 0_u64;
    expr.apply(|expr| {
        if let Expr::Column(column) = expr {
            let sides = plan.inputs().into_iter().zip(inputs);
            let mut found = sides.filter_map(|(input, sizes)| sizes.get(input.schema().maybe_index_of_column(column)?));
            size = size.saturating_add(found.next().copied().unwrap_or(1));
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(size)
}

#[cfg(test)]
mod tests {
    use datafusion::prelude::SessionContext;

    use super::*;

    async fn told(sql: &str) -> String {
        let state = SessionContext::new().state();
        let plan = state.create_logical_plan(sql).await.unwrap();
        check_expansion(&plan, &Limits::default())
            .map_or_else(|error| error.code().to_string(), |()| "fits".to_string())
    }

    fn doubled(levels: usize, wrap: &str) -> String {
        let steps: Vec<String> =
            (1..=levels).map(|n| format!("c{n} AS (SELECT {wrap} AS x FROM c{})", n - 1)).collect();
        format!("WITH c0 AS (SELECT column1 AS x FROM (VALUES (1))), {} SELECT x FROM c{levels}", steps.join(", "))
    }

    #[tokio::test]
    async fn what_is_written_out_has_an_end() {
        assert_eq!(told(&doubled(10, "x + x")).await, "fits");
        assert_eq!(told(&doubled(15, "x + x")).await, "COMPLEXITY");
        assert_eq!(told(&format!("{} WHERE x > 0", doubled(30, "x - x"))).await, "COMPLEXITY");
        assert_eq!(told(&format!("SELECT 1 WHERE EXISTS ({})", doubled(20, "x + x"))).await, "COMPLEXITY");
        assert_eq!(told(&doubled(30, "sum(x) + sum(x)")).await, "fits", "an aggregate is computed where it stands");
        assert_eq!(told("SELECT * FROM (VALUES (1)) a JOIN (VALUES (2)) b ON a.column1 = b.column1").await, "fits");
    }

    #[tokio::test]
    async fn long_literals_have_an_end() {
        let long = |bytes: usize| format!("SELECT '{}', column1 FROM (VALUES (1))", "x".repeat(bytes));
        assert_eq!(told(&long(60_000)).await, "fits");
        assert_eq!(told(&long(70_000)).await, "COMPLEXITY");
        let short: Vec<String> = (0..2_000).map(|n| format!("'short' AS c{n}")).collect();
        assert_eq!(told(&format!("SELECT {}", short.join(","))).await, "fits");
        assert_eq!(told("SELECT arrow_cast(NULL, 'FixedSizeBinary(16)')").await, "fits");
        assert_eq!(told("SELECT arrow_cast(NULL, 'FixedSizeBinary(2147483647)')").await, "COMPLEXITY");
    }
}
