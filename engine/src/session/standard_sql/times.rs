//! Times of day of different widths: each is brought to the finest unit of those that it is compared with, where all have room.

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::DFSchema;
use datafusion::common::tree_node::Transformed;
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::expr::{Between, BinaryExpr, InList};
use datafusion::logical_expr::{Expr, ExprSchemable, Operator, cast};

/// The type in which all of these are compared; `None` unless they are times of day, or NULL, of more than one type.
pub(super) fn common(types: &[DataType]) -> Option<DataType> {
    let is_time = |of: &DataType| matches!(of, DataType::Time32(_) | DataType::Time64(_));
    let mut times = types.iter().filter(|of| !of.is_null());
    let first = times.clone().next()?;
    if !times.clone().all(is_time) || times.all(|of| of == first) {
        return None;
    }
    types.iter().max_by_key(|of| fineness(of)).cloned()
}

fn fineness(of: &DataType) -> u8 {
    match of {
        DataType::Time64(TimeUnit::Nanosecond) => 4,
        DataType::Time64(_) => 3,
        DataType::Time32(TimeUnit::Millisecond) => 2,
        DataType::Time32(_) => 1,
        _ => 0,
    }
}

/// What has no type yet is for the analyzer to see to.
fn common_of<'a>(of: impl IntoIterator<Item = &'a Expr>, schema: &DFSchema) -> Option<DataType> {
    let types = of.into_iter().map(|expr| expr.get_type(schema)).collect::<DataFusionResult<Vec<_>>>().ok()?;
    common(&types)
}

/// Whether an operator compares by order or equality.
pub(super) fn compares(op: Operator) -> bool {
    matches!(
        op,
        Operator::Eq
            | Operator::NotEq
            | Operator::Lt
            | Operator::LtEq
            | Operator::Gt
            | Operator::GtEq
            | Operator::IsDistinctFrom
            | Operator::IsNotDistinctFrom
    )
}

/// What a parameter made of a comparison, which had no type while the statement became a plan.
pub(super) fn compared(compared: BinaryExpr, schema: &DFSchema) -> DataFusionResult<Transformed<Expr>> {
    let Some(common) = common_of([compared.left.as_ref(), compared.right.as_ref()], schema) else {
        return Ok(Transformed::no(Expr::BinaryExpr(compared)));
    };
    let (left, right) = (cast(*compared.left, common.clone()), cast(*compared.right, common));
    Ok(Transformed::yes(Expr::BinaryExpr(BinaryExpr::new(Box::new(left), compared.op, Box::new(right)))))
}

pub(super) fn between(between: Between, schema: &DFSchema) -> DataFusionResult<Transformed<Expr>> {
    let parts = [between.expr.as_ref(), between.low.as_ref(), between.high.as_ref()];
    let Some(common) = common_of(parts, schema) else { return Ok(Transformed::no(Expr::Between(between))) };
    let as_common = |expr: Box<Expr>| Box::new(cast(*expr, common.clone()));
    let Between { expr, negated, low, high } = between;
    let (expr, low, high) = (as_common(expr), as_common(low), as_common(high));
    Ok(Transformed::yes(Expr::Between(Between { expr, negated, low, high })))
}

pub(super) fn in_list(list: InList, schema: &DFSchema) -> DataFusionResult<Transformed<Expr>> {
    let Some(common) = common_of(std::iter::once(list.expr.as_ref()).chain(&list.list), schema) else {
        return Ok(Transformed::no(Expr::InList(list)));
    };
    let items = list.list.into_iter().map(|item| cast(item, common.clone())).collect();
    let expr = Box::new(cast(*list.expr, common));
    Ok(Transformed::yes(Expr::InList(InList { expr, list: items, negated: list.negated })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_finest_unit_is_common_to_times_and_to_nothing_else() {
        let (seconds, millis) = (DataType::Time32(TimeUnit::Second), DataType::Time32(TimeUnit::Millisecond));
        let micros = DataType::Time64(TimeUnit::Microsecond);
        assert_eq!(common(&[seconds.clone(), micros.clone(), millis.clone()]), Some(micros.clone()));
        assert_eq!(common(&[DataType::Null, seconds.clone(), millis.clone()]), Some(millis));
        for others in [vec![micros.clone(), micros.clone()], vec![micros, DataType::Utf8], vec![seconds], vec![]] {
            assert_eq!(common(&others), None, "{others:?}");
        }
    }
}
