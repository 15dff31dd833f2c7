//! Grouping and windows in the canonical form.

use arrow::datatypes::DataType;
use datafusion_common::ScalarValue;
use datafusion_expr::expr::{Cast, GroupingSet};
use datafusion_expr::{Aggregate, Expr, Operator, Window};

use super::{Node, Shape, shape, sorted_set};
use crate::statement::allow::check_grouping;
use crate::statement::expression::{column, expression};
use crate::statement::refusal::Refusal;
use crate::statement::scope::{Scope, transform};

pub(super) fn aggregated(aggregate: &Aggregate) -> Result<Shape, Refusal> {
    check_grouping(&aggregate.group_expr)?;
    let input = shape(&aggregate.input)?;
    let scope = Scope::over(aggregate.input.schema(), &input.outputs);
    let all = |exprs: &[Expr]| exprs.iter().map(|expr| expression(expr, &scope, None)).collect::<Result<Vec<_>, _>>();
    let listed = all(&aggregate.aggr_expr)?;
    let aggregates = sorted_set(listed.clone());
    let (group, keys, sets) = match aggregate.group_expr.as_slice() {
        [Expr::GroupingSet(set)] => {
            let named: Vec<Expr> = set.distinct_expr().into_iter().cloned().collect();
            let sets = expanded(set, &named);
            let keys = all(&named)?;
            let group = (0..=keys.len()).map(column).collect();
            (group, keys, Some(sets))
        }
        group => {
            let listed = all(group)?;
            let mut keys = listed.clone();
            keys.sort_by_cached_key(|expr| expr.to_string());
            keys.dedup();
            (positions(&listed, &keys, 0)?, keys, None)
        }
    };
    let offset = keys.len() + usize::from(sets.is_some());
    let outputs = [group, positions(&listed, &aggregates, offset)?].concat();
    Ok(Shape { node: Node::Aggregate { keys, sets, aggregates, input: Box::new(input.node) }, outputs })
}

/// Where each of `listed` stands in `known`, as columns after `offset` others.
fn positions(listed: &[Expr], known: &[Expr], offset: usize) -> Result<Vec<Expr>, Refusal> {
    let place = |expr: &Expr| known.iter().position(|other| other == expr);
    listed
        .iter()
        .map(|expr| place(expr).map(|position| column(offset + position)))
        .collect::<Option<_>>()
        .ok_or_else(|| Refusal::new("aggregate", "has an expression that is not its own equal"))
}

/// Every set that a grouping clause groups by, as positions of keys; the order of sets means nothing.
fn expanded(set: &GroupingSet, keys: &[Expr]) -> Vec<Vec<usize>> {
    let place = |expr: &Expr| keys.iter().position(|key| key == expr);
    let mut sets: Vec<Vec<usize>> = match set {
        GroupingSet::Rollup(_) => (0..=keys.len()).map(|length| (0..length).collect()).collect(),
        GroupingSet::Cube(_) => (0_usize..1 << keys.len())
            .map(|bits| (0..keys.len()).filter(|key| bits >> key & 1 == 1).collect())
            .collect(),
        GroupingSet::GroupingSets(sets) => sets.iter().map(|exprs| exprs.iter().filter_map(place).collect()).collect(),
    };
    for set in &mut sets {
        set.sort_unstable();
    }
    sets.sort_unstable();
    sets
}

/// `grouping(every key)` cast to the type of the set's number *is* that number: the planner reads it as the number's
/// low bits cast to Int32, and without duplicate sets there are no others.
pub(super) fn grouping_number(expr: &Expr, node: &Node) -> Result<Expr, Refusal> {
    let Node::Aggregate { keys, sets: Some(_), .. } = node else {
        return Ok(expr.clone());
    };
    let number = column(keys.len());
    let mask = (1_u64 << keys.len()) - 1;
    transform(expr, &mut |part| {
        if let Expr::Cast(Cast { expr: inner, field }) = &part
            && let Expr::Cast(Cast { expr: inner, field: narrow }) = inner.as_ref()
            && narrow.data_type() == &DataType::Int32
            && let Expr::BinaryExpr(bits) = inner.as_ref()
            && bits.op == Operator::BitwiseAnd
            && bits.left.as_ref() == &number
            && let Some(found) = bits.right.as_literal()
            && &found.data_type() == field.data_type()
            && literal_u64(found) == Some(mask)
        {
            return Ok(number.clone());
        }
        Ok(part)
    })
}

fn literal_u64(value: &ScalarValue) -> Option<u64> {
    match value.cast_to(&DataType::UInt64) {
        Ok(ScalarValue::UInt64(number)) => number,
        _ => None,
    }
}

pub(super) fn windowed(window: &Window) -> Result<Shape, Refusal> {
    let input = shape(&window.input)?;
    let scope = Scope::over(window.input.schema(), &input.outputs);
    let functions: Vec<Expr> =
        window.window_expr.iter().map(|expr| expression(expr, &scope, None)).collect::<Result<_, _>>()?;
    let width = input.node.width();
    let added = (0..functions.len()).map(|position| column(width + position));
    let outputs = input.outputs.into_iter().chain(added).collect();
    Ok(Shape { node: Node::Window { functions, input: Box::new(input.node) }, outputs })
}
