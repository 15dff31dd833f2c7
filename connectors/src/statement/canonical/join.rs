//! Joins in the canonical form; those that only test for a row become conditions and marks.

use datafusion_common::{JoinType, NullEquality};
use datafusion_expr::expr::{InList, Placeholder};
use datafusion_expr::{Expr, Join, LogicalPlan, Operator, binary_expr};

use super::{Node, Shape, filtered, shape, sorted_set};
use crate::statement::expression::{
    OUTER, column, column_position, conjuncts, existence, expression, member, shifted, tagged,
};
use crate::statement::refusal::Refusal;
use crate::statement::scope::Scope;

pub(super) fn joined(join: &Join) -> Result<Shape, Refusal> {
    match join.join_type {
        JoinType::LeftAnti if join.null_aware => not_in(join),
        _ if join.null_aware => Err(Refusal::new("join", "null-aware, and not an anti join")),
        JoinType::LeftMark => marked(join, &join.left, &join.right),
        JoinType::RightMark => marked(join, &join.right, &join.left),
        kind => joined_sides(join, kind),
    }
}

fn joined_sides(join: &Join, kind: JoinType) -> Result<Shape, Refusal> {
    let (left, right) = (shape(&join.left)?, shape(&join.right)?);
    let (left_width, right_width) = (left.node.width(), right.node.width());
    let right_outputs =
        right.outputs.iter().map(|output| shifted(output, left_width)).collect::<Result<Vec<_>, _>>()?;
    let scope = Scope::over(join.left.schema(), &left.outputs).and(join.right.schema(), &right_outputs);
    let conditions = sorted_set(join_conditions(join, &scope)?);
    let pad_left = |outputs| padded(outputs, 0, left_width);
    let pad_right = |outputs| padded(outputs, left_width, right_width);
    let outputs = match kind {
        JoinType::LeftSemi | JoinType::LeftAnti => left.outputs,
        JoinType::RightSemi | JoinType::RightAnti => right.outputs,
        JoinType::Left => [left.outputs, pad_right(right_outputs)?].concat(),
        JoinType::Right => [pad_left(left.outputs)?, right_outputs].concat(),
        JoinType::Full => [pad_left(left.outputs)?, pad_right(right_outputs)?].concat(),
        _ => [left.outputs, right_outputs].concat(),
    };
    let node = Node::Join { kind, conditions, left: Box::new(left.node), right: Box::new(right.node) };
    Ok(Shape { node, outputs })
}

/// What an outer join makes of the side that may be missing: a column is null of itself, but a computed value is null
/// only because its row is missing, so it keeps saying which columns that row has.
fn padded(outputs: Vec<Expr>, first: usize, width: usize) -> Result<Vec<Expr>, Refusal> {
    let pad = |output: Expr| match &output {
        Expr::Literal(value, _) if value.is_null() => Ok(output),
        computed if column_position(computed).is_none() => {
            if width == 0 {
                return Err(Refusal::new("join", "computes a value on a side without columns"));
            }
            let sign = Expr::Placeholder(Placeholder::new_with_field("row".to_owned(), None));
            let row = vec![sign, column(first), column(first + width - 1)];
            Ok(Expr::InList(InList::new(Box::new(output), row, false)))
        }
        _ => Ok(output),
    };
    outputs.into_iter().map(pad).collect()
}

fn join_conditions(join: &Join, scope: &Scope<'_>) -> Result<Vec<Expr>, Refusal> {
    let operator = match join.null_equality {
        NullEquality::NullEqualsNothing => Operator::Eq,
        NullEquality::NullEqualsNull => Operator::IsNotDistinctFrom,
    };
    let mut conditions = Vec::with_capacity(join.on.len());
    for (left, right) in &join.on {
        let (left, right) = (expression(left, scope, None)?, expression(right, scope, None)?);
        conditions.push(binary_expr(left, operator, right));
    }
    if let Some(filter) = &join.filter {
        conditions.extend(conjuncts(filter, scope, None)?);
    }
    Ok(conditions)
}

/// A null-aware anti join is the condition `NOT IN` on its left side.
fn not_in(join: &Join) -> Result<Shape, Refusal> {
    let ([(key, value)], None) = (join.on.as_slice(), &join.filter) else {
        return Err(Refusal::new("join", "null-aware with more than one key"));
    };
    let (left, right) = (shape(&join.left)?, shape(&join.right)?);
    let key = expression(key, &Scope::over(join.left.schema(), &left.outputs), None)?;
    let value = expression(value, &Scope::over(join.right.schema(), &right.outputs), None)?;
    let set = Shape { outputs: vec![value], ..right };
    Ok(Shape { node: filtered(left.node, vec![member(key, &set, true)]), outputs: left.outputs })
}

/// A mark join is its outer side with one more column: whether the inner side has a row for it.
fn marked(join: &Join, outer: &LogicalPlan, inner: &LogicalPlan) -> Result<Shape, Refusal> {
    let (around, within) = (shape(outer)?, shape(inner)?);
    let outer_outputs = around.outputs.iter().map(|output| tagged(output, OUTER)).collect::<Result<Vec<_>, _>>()?;
    let scope = Scope::over(outer.schema(), &outer_outputs).and(inner.schema(), &within.outputs);
    let mark = existence(within.node, join_conditions(join, &scope)?, false)?;
    let outputs = around.outputs.into_iter().chain([mark]).collect();
    Ok(Shape { node: around.node, outputs })
}
