//! Expressions in the canonical form: columns by position, casts of literals done, names and spellings gone.

use arrow::datatypes::DataType;
use datafusion_common::{Column, ScalarValue, TableReference};
use datafusion_expr::expr::{BinaryExpr, Cast, Exists, InList, InSubquery, Placeholder, ScalarFunction, TryCast};
use datafusion_expr::utils::split_conjunction;
use datafusion_expr::{Expr, LogicalPlan, Operator, Volatility, WindowFrame, binary_expr, not};

use super::canonical::{Node, Shape, filtered, shape};
use super::literal;
use super::refusal::Refusal;
use super::scope::{Scope, transform};

/// Marks a column of the query around a subquery, until the subquery's test stands in that query.
pub(super) const OUTER: &str = "outer";
/// Marks a column of a subquery in its test.
const INNER: &str = "inner";

/// Column `position` of a node.
pub(super) fn column(position: usize) -> Expr {
    Expr::Column(Column::from_name(format!("#{position}")))
}

/// The position that a column of a node has.
pub(super) fn column_position(expr: &Expr) -> Option<usize> {
    match expr {
        Expr::Column(Column { relation: None, name, .. }) => name.strip_prefix('#')?.parse().ok(),
        _ => None,
    }
}

/// `expr` as it reads once `offset` columns stand before those of its own node.
pub(super) fn shifted(expr: &Expr, offset: usize) -> Result<Expr, Refusal> {
    transform(expr, &mut |part| match column_position(&part) {
        Some(position) => Ok(column(position + offset)),
        None => Ok(part),
    })
}

/// `expr` with the columns of its own node said to be of `side`.
pub(super) fn tagged(expr: &Expr, side: &str) -> Result<Expr, Refusal> {
    transform(expr, &mut |part| match (column_position(&part), part) {
        (Some(_), Expr::Column(own)) => Ok(Expr::Column(Column::new(Some(TableReference::bare(side)), own.name))),
        (_, other) => Ok(other),
    })
}

/// `expr` over `scope`; `outer` is what a reference to the query around may name.
pub(super) fn expression(expr: &Expr, scope: &Scope<'_>, outer: Option<&Scope<'_>>) -> Result<Expr, Refusal> {
    transform(expr, &mut |part| {
        Ok(match part {
            Expr::Column(own) => scope.resolve(&own)?,
            Expr::OuterReferenceColumn(_, own) => match outer {
                Some(outer) => tagged(&outer.resolve(&own)?, OUTER)?,
                None => return Err(Refusal::new("subquery", "is correlated")),
            },
            Expr::Alias(alias) => *alias.expr,
            Expr::Literal(value, metadata) => Expr::Literal(value, metadata.filter(|entries| !entries.is_empty())),
            Expr::Cast(cast) => cast_to(*cast.expr, cast.field.data_type()),
            Expr::TryCast(cast) => Expr::TryCast(TryCast::new(cast.expr, cast.field.data_type().clone())),
            Expr::ScalarFunction(function) if is_volatile(&function) => {
                return Err(Refusal::new(function.name(), "has another value each time it is said"));
            }
            Expr::ScalarFunction(function) => scalar_function(function),
            Expr::BinaryExpr(binary) => flat_spine(binary),
            // NOT over what can be negated itself is that negated, as the analyzer of the far side has it.
            Expr::Not(inner) => not(*inner),
            Expr::WindowFunction(mut function) => {
                let frame = function.params.window_frame;
                function.params.window_frame = WindowFrame::new_bounds(frame.units, frame.start_bound, frame.end_bound);
                Expr::WindowFunction(function)
            }
            Expr::ScalarSubquery(subquery) => named("value", &shape(&subquery.subquery)?),
            Expr::InSubquery(InSubquery { expr, subquery, negated }) => {
                member(*expr, &shape(&subquery.subquery)?, negated)
            }
            Expr::Exists(Exists { subquery, negated }) => exists(&subquery.subquery, scope, negated)?,
            other => other,
        })
    })
}

/// The conjuncts of `predicate`, each in canonical form.
pub(super) fn conjuncts(predicate: &Expr, scope: &Scope<'_>, outer: Option<&Scope<'_>>) -> Result<Vec<Expr>, Refusal> {
    split_conjunction(predicate).into_iter().map(|part| expression(part, scope, outer)).collect()
}

/// Whether `key` is among the values of `set`, a relation of one column.
pub(super) fn member(key: Expr, set: &Shape, negated: bool) -> Expr {
    Expr::InList(InList::new(Box::new(key), vec![named("member", set)], negated))
}

/// Whether `inner` has a row that meets `conditions`; in these, columns of the query around are tagged.
pub(super) fn existence(inner: Node, conditions: Vec<Expr>, negated: bool) -> Result<Expr, Refusal> {
    let (tests, node) = match filtered(inner, conditions) {
        Node::Filter { conjuncts, input } => (conjuncts, *input),
        other => (Vec::new(), other),
    };
    let tests = tests
        .iter()
        .map(|test| {
            transform(&tagged(test, INNER)?, &mut |part| match part {
                Expr::Column(own) if own.relation == Some(TableReference::bare(OUTER)) => {
                    Ok(Expr::Column(Column::from_name(own.name)))
                }
                other => Ok(other),
            })
        })
        .collect::<Result<_, _>>()?;
    let relation = named("exists", &Shape { node, outputs: Vec::new() });
    Ok(Expr::InList(InList::new(Box::new(relation), tests, negated)))
}

/// EXISTS as the generator writes it: what it selects is nothing, and the query around is named in one WHERE.
fn exists(subquery: &LogicalPlan, around: &Scope<'_>, negated: bool) -> Result<Expr, Refusal> {
    match subquery {
        LogicalPlan::Projection(projection) => exists(&projection.input, around, negated),
        LogicalPlan::SubqueryAlias(alias) => exists(&alias.input, around, negated),
        LogicalPlan::Filter(filter) => {
            let input = shape(&filter.input)?;
            let scope = Scope::over(filter.input.schema(), &input.outputs);
            let conditions = conjuncts(&filter.predicate, &scope, Some(around))?;
            existence(input.node, conditions, negated)
        }
        other => existence(shape(other)?.node, Vec::new(), negated),
    }
}

/// A relation inside an expression, by everything that is in it.
fn named(kind: &str, relation: &Shape) -> Expr {
    Expr::Placeholder(Placeholder::new_with_field(format!("{kind} {relation:?}"), None))
}

/// A cast of a literal is the literal it makes; one that fails stays, and fails where it runs.
fn cast_to(expr: Expr, to: &DataType) -> Expr {
    if let Expr::Literal(value, None) = &expr
        && let Some(value) = literal::cast(value, to)
    {
        return Expr::Literal(value, None);
    }
    Expr::Cast(Cast::new(Box::new(expr), to.clone()))
}

/// The functions by which the generator says casts and lists, as the casts and lists they are.
fn scalar_function(function: ScalarFunction) -> Expr {
    match (function.name(), function.args.as_slice()) {
        ("arrow_cast", [value, Expr::Literal(ScalarValue::Utf8(Some(to)), _)]) => match to.parse() {
            Ok(to) => cast_to(value.clone(), &to),
            Err(_) => Expr::ScalarFunction(function),
        },
        ("arrow_try_cast", [value, Expr::Literal(ScalarValue::Utf8(Some(to)), _)]) => match to.parse() {
            Ok(to) => Expr::TryCast(TryCast::new(Box::new(value.clone()), to)),
            Err(_) => Expr::ScalarFunction(function),
        },
        ("make_array", elements) => {
            let values = elements.iter().map(|element| element.as_literal().cloned()).collect::<Option<Vec<_>>>();
            match values.as_deref().and_then(literal::list_of) {
                Some(list) => Expr::Literal(list, None),
                None => Expr::ScalarFunction(function),
            }
        }
        _ => Expr::ScalarFunction(function),
    }
}

/// Two plans of one form would then differ all the same.
fn is_volatile(function: &ScalarFunction) -> bool {
    function.func.signature().volatility == Volatility::Volatile
}

/// AND and OR are associative: their spines lean to the left.
fn flat_spine(binary: BinaryExpr) -> Expr {
    let BinaryExpr { left, op, right } = binary;
    match *right {
        Expr::BinaryExpr(inner) if inner.op == op && matches!(op, Operator::And | Operator::Or) => {
            let left = flat_spine(BinaryExpr { left, op, right: inner.left });
            flat_spine(BinaryExpr { left: Box::new(left), op, right: inner.right })
        }
        right => binary_expr(*left, op, right),
    }
}
