//! A column that one SELECT names twice, `SELECT a, a FROM t` or `SELECT *, a FROM t`: DataFusion wants names that differ. The
//! later one is planned under a name of its own, and has its name back on top of the plan.

use std::collections::HashSet;

use datafusion::common::TableReference;
use datafusion::error::{DataFusionError, Result as DataFusionResult};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    Expr as SqlExpr, Ident, SelectItem, SetExpr, SetQuantifier, Statement as SqlStatement,
};

/// Between a name and the number of its column, in a name of our own.
const REPEATED: &str = "\u{1f}repeated ";

/// Whether DataFusion refuses a statement for that; it says so in words alone.
pub(super) fn is_refused(error: &DataFusionError) -> bool {
    error.to_string().contains("Projections require unique expression names")
}

/// The plan of a statement that was refused for that.
///
/// # Errors
/// The refusal, where it is of a query within the query or of a column that has no name.
pub(super) async fn plan(
    state: &SessionState,
    mut statement: Statement,
    refusal: DataFusionError,
) -> DataFusionResult<LogicalPlan> {
    let Statement::Statement(inner) = &mut statement else { return Err(refusal) };
    let SqlStatement::Query(query) = inner.as_mut() else { return Err(refusal) };
    tell_apart(&mut query.body);
    match state.statement_to_plan(statement).await {
        Ok(plan) => with_names_as_written(plan),
        Err(_) => Err(refusal),
    }
}

/// Gives a name of its own to each item whose name an earlier one may have.
fn tell_apart(body: &mut SetExpr) {
    match body {
        SetExpr::Select(select) => {
            let all = select.projection.iter().any(is_wildcard);
            let mut names = HashSet::new();
            for (number, item) in select.projection.iter_mut().enumerate() {
                let Some(name) = name_of(item) else { continue };
                // An alias is a name for ORDER BY too: it stays but where an earlier item has it.
                if (all && is_column(item)) || names.contains(&name) {
                    rename(item, format!("{name}{REPEATED}{number}"));
                }
                names.insert(name);
            }
        }
        // Where columns are matched by name, a name of our own would match none.
        SetExpr::SetOperation { left, right, set_quantifier, .. } if !is_by_name(*set_quantifier) => {
            tell_apart(left);
            tell_apart(right);
        }
        SetExpr::Query(query) => tell_apart(&mut query.body),
        _ => {}
    }
}

fn is_wildcard(item: &SelectItem) -> bool {
    matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..))
}

fn is_by_name(quantifier: SetQuantifier) -> bool {
    matches!(quantifier, SetQuantifier::ByName | SetQuantifier::AllByName | SetQuantifier::DistinctByName)
}

/// Whether a wildcard may be about the same column.
fn is_column(item: &SelectItem) -> bool {
    matches!(item, SelectItem::UnnamedExpr(SqlExpr::Identifier(_) | SqlExpr::CompoundIdentifier(_)))
}

/// The name of an item's column: its alias, the column's own, or what is written.
fn name_of(item: &SelectItem) -> Option<String> {
    match item {
        SelectItem::ExprWithAlias { alias, .. } => Some(normalized(alias)),
        SelectItem::UnnamedExpr(SqlExpr::Identifier(column)) => Some(normalized(column)),
        SelectItem::UnnamedExpr(SqlExpr::CompoundIdentifier(parts)) => parts.last().map(normalized),
        SelectItem::UnnamedExpr(expr) => Some(expr.to_string()),
        _ => None,
    }
}

fn normalized(name: &Ident) -> String {
    if name.quote_style.is_some() { name.value.clone() } else { name.value.to_ascii_lowercase() }
}

fn rename(item: &mut SelectItem, name: String) {
    let alias = Ident::with_quote('"', name);
    match item {
        SelectItem::UnnamedExpr(expr) => *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias },
        SelectItem::ExprWithAlias { alias: written, .. } => *written = alias,
        _ => {}
    }
}

/// The columns under the names that the statement gives them. The names that differ become qualifiers, by which the plan still tells
/// columns apart.
fn with_names_as_written(plan: LogicalPlan) -> DataFusionResult<LogicalPlan> {
    let named = plan.schema().columns().into_iter().map(|column| {
        if column.relation.is_some() {
            return Expr::Column(column);
        }
        let own = TableReference::bare(column.name.clone());
        let written = column.name.split_once(REPEATED).map_or(column.name.as_str(), |(written, _)| written).to_string();
        Expr::Column(column).alias_qualified(Some(own), written)
    });
    let named: Vec<Expr> = named.collect();
    LogicalPlanBuilder::from(plan).project(named)?.build()
}
