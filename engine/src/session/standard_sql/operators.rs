//! Operators whose operands DataFusion does not bring together itself.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field};
use datafusion::common::DFSchema;
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::expr::Placeholder;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{Expr, ExprSchemable, cast};
use datafusion::sql::sqlparser::ast::BinaryOperator;

use super::{lists, times};

/// Reads comparisons of times of day and of lists, and texts joined of which nothing tells a type.
#[derive(Debug)]
pub(super) struct Operators;

impl ExprPlanner for Operators {
    fn plan_binary_op(
        &self,
        written: RawBinaryExpr,
        schema: &DFSchema,
    ) -> DataFusionResult<PlannerResult<RawBinaryExpr>> {
        let RawBinaryExpr { op, left, right } = written;
        let (left, right) = match &op {
            BinaryOperator::StringConcat => as_texts(left, right),
            op if compares(op) => {
                let (left, right) = as_common_times(left, right, schema);
                lists::operands(left, right, schema)
            }
            _ => (left, right),
        };
        Ok(PlannerResult::Original(RawBinaryExpr { op, left, right }))
    }
}

fn compares(op: &BinaryOperator) -> bool {
    matches!(
        op,
        BinaryOperator::Eq
            | BinaryOperator::NotEq
            | BinaryOperator::Lt
            | BinaryOperator::LtEq
            | BinaryOperator::Gt
            | BinaryOperator::GtEq
    )
}

/// Two parameters beside each other tell each other no type: they are texts.
fn as_texts(left: Expr, right: Expr) -> (Expr, Expr) {
    match (left, right) {
        (Expr::Placeholder(left), Expr::Placeholder(right)) => (text(left), text(right)),
        others => others,
    }
}

fn text(placeholder: Placeholder) -> Expr {
    let field = Arc::new(Field::new(&placeholder.id, DataType::Utf8, true));
    Expr::Placeholder(Placeholder { field: placeholder.field.or(Some(field)), ..placeholder })
}

fn as_common_times(left: Expr, right: Expr, schema: &DFSchema) -> (Expr, Expr) {
    let types = [&left, &right].map(|side| side.get_type(schema));
    match types {
        [Ok(of_left), Ok(of_right)] => match times::common(&[of_left, of_right]) {
            Some(common) => (cast(left, common.clone()), cast(right, common)),
            None => (left, right),
        },
        // What has no type yet is a parameter, or a fault that is told elsewhere.
        _ => (left, right),
    }
}
