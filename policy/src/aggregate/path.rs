//! From barriers upwards: where aggregate-only columns are, which columns came up as they were, and every use that is not
//! allowed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion_common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion_common::{Column, DFSchema};
use datafusion_expr::expr::AggregateFunction;
use datafusion_expr::{Aggregate, Expr, ExprSchemable, Filter, LogicalPlan, Projection, Subquery};

use super::AggregateFault;
use crate::barrier::{Governed, PolicyBarrier};
use crate::decision::Treatment;

/// An aggregate-only column, and whose it is.
#[derive(Debug, Clone)]
pub(super) struct Bounded {
    pub(super) column: String,
    pub(super) governed: Arc<Governed>,
}

impl Bounded {
    /// What is allowed.
    pub(super) fn fault(&self) -> AggregateFault {
        let grouped = match self.governed.decision.release.as_ref().map(|release| release.group_by.join(", ")) {
            Some(columns) if !columns.is_empty() => format!("grouped by {columns} or not at all"),
            _ => "without GROUP BY".to_owned(),
        };
        let sentence = format!(
            "`{}` may only stand inside SUM, AVG, COUNT or COUNT(DISTINCT), directly over its table, {grouped}",
            self.column
        );
        AggregateFault { sentence }
    }

    fn may_group_by(&self, column: &str) -> bool {
        let release = self.governed.decision.release.as_ref();
        release.is_some_and(|release| release.group_by.iter().any(|declared| declared == column))
    }
}

/// What is known of a node's output.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Its aggregate-only columns.
    pub(super) bounded: BTreeMap<Column, Bounded>,
    /// The table's own names of columns that came up as they were; only while nothing but filters, projections and names
    /// stand between the node and one barrier.
    plain: Option<BTreeMap<Column, String>>,
    /// All of its columns.
    columns: BTreeSet<Column>,
    /// Columns that subqueries in it look at and that are none of theirs, until the node that has them is met.
    pub(super) outward: BTreeSet<Column>,
}

/// A column that a subquery looks at, and no node around it has: whose it is cannot be said.
pub(super) fn unresolved(column: &Column) -> AggregateFault {
    AggregateFault {
        sentence: format!("a subquery looks at `{}`, and no table around it has that column", column.name),
    }
}

/// Whether some table of a plan has aggregate-only columns.
pub(super) fn has_bounded(plan: &LogicalPlan) -> bool {
    let mut found = false;
    // The visitor returns no error, so neither does the walk.
    let _ = plan.apply_with_subqueries(|node| {
        found |= PolicyBarrier::of(node).is_some_and(|barrier| barrier.governed().decision.release.is_some());
        Ok(TreeNodeRecursion::Continue)
    });
    found
}

/// Walks up a plan.
pub(super) fn trace(plan: &LogicalPlan) -> Result<Seen, AggregateFault> {
    if let Some(barrier) = PolicyBarrier::of(plan) {
        return Ok(at_barrier(barrier));
    }
    let inputs = plan.inputs().into_iter().map(trace).collect::<Result<Vec<_>, _>>()?;
    let outward = looked_at(plan, &inputs)?;
    let mut seen = at_node(plan, inputs)?;
    seen.outward.extend(outward);
    seen.columns = plan.schema().columns().into_iter().collect();
    Ok(seen)
}

/// The columns that subqueries below look at and that are still to be found. A subquery of `FROM` (LATERAL) stands beside
/// the table that it looks at, in one join; it computes of every row, so that it may look at no aggregate-only column.
fn looked_at(plan: &LogicalPlan, inputs: &[Seen]) -> Result<BTreeSet<Column>, AggregateFault> {
    let mut outward: BTreeSet<Column> = inputs.iter().flat_map(|seen| seen.outward.iter().cloned()).collect();
    if matches!(plan, LogicalPlan::Join(_)) {
        if let Some(column) = inputs.iter().find_map(|seen| outward.iter().find_map(|one| seen.bounded.get(one))) {
            return Err(column.fault());
        }
        outward.retain(|one| !inputs.iter().any(|seen| seen.columns.contains(one)));
    }
    Ok(outward)
}

fn at_node(plan: &LogicalPlan, inputs: Vec<Seen>) -> Result<Seen, AggregateFault> {
    match plan {
        LogicalPlan::SubqueryAlias(_) => Ok(renamed(plan, inputs)),
        LogicalPlan::Projection(projection) => projected(projection, only(inputs)),
        LogicalPlan::Filter(filter) => filtered(filter, only(inputs)),
        LogicalPlan::Aggregate(aggregate) => aggregated(aggregate, &only(inputs)),
        LogicalPlan::Sort(_)
        | LogicalPlan::Limit(_)
        | LogicalPlan::Window(_)
        | LogicalPlan::Join(_)
        | LogicalPlan::Repartition(_)
        | LogicalPlan::Subquery(_)
        | LogicalPlan::Unnest(_)
        | LogicalPlan::TableScan(_)
        | LogicalPlan::EmptyRelation(_)
        | LogicalPlan::Values(_)
        | LogicalPlan::Extension(_) => passed(plan, inputs),
        LogicalPlan::Union(_)
        | LogicalPlan::Distinct(_)
        | LogicalPlan::RecursiveQuery(_)
        | LogicalPlan::Statement(_)
        | LogicalPlan::Explain(_)
        | LogicalPlan::Analyze(_)
        | LogicalPlan::Dml(_)
        | LogicalPlan::Ddl(_)
        | LogicalPlan::Copy(_)
        | LogicalPlan::DescribeTable(_) => consumed(inputs),
    }
}

fn only(mut inputs: Vec<Seen>) -> Seen {
    inputs.pop().unwrap_or_default()
}

fn at_barrier(barrier: &PolicyBarrier) -> Seen {
    let governed = barrier.governed();
    let mut seen = Seen { plain: Some(BTreeMap::new()), ..Seen::default() };
    for column in barrier.inside().schema().columns() {
        seen.columns.insert(column.clone());
        let decided = governed.decision.columns.iter().find(|decided| decided.name == column.name);
        if decided.is_some_and(|decided| matches!(decided.treatment, Treatment::AggregateOnly { .. })) {
            let bounded = Bounded { column: column.name.clone(), governed: Arc::clone(governed) };
            seen.bounded.insert(column.clone(), bounded);
        }
        let name = column.name.clone();
        seen.plain.get_or_insert_default().insert(column, name);
    }
    seen
}

/// The same columns by position, under other names.
fn renamed(plan: &LogicalPlan, inputs: Vec<Seen>) -> Seen {
    let seen = only(inputs);
    let before = plan.inputs().first().map(|input| input.schema().columns()).unwrap_or_default();
    let mut renamed = Seen { plain: seen.plain.as_ref().map(|_| BTreeMap::new()), ..Seen::default() };
    for (from, to) in before.into_iter().zip(plan.schema().columns()) {
        renamed.take(&seen, &from, to);
    }
    renamed
}

impl Seen {
    fn take(&mut self, below: &Seen, from: &Column, to: Column) {
        if let Some(bounded) = below.bounded.get(from) {
            self.bounded.insert(to.clone(), bounded.clone());
        }
        if let (Some(plain), Some(name)) = (&mut self.plain, below.plain.as_ref().and_then(|plain| plain.get(from))) {
            plain.insert(to, name.clone());
        }
    }
}

fn projected(projection: &Projection, below: Seen) -> Result<Seen, AggregateFault> {
    let mut seen = Seen { plain: below.plain.as_ref().map(|_| BTreeMap::new()), ..Seen::default() };
    for (expr, to) in projection.expr.iter().zip(projection.schema.columns()) {
        match unaliased(expr) {
            Expr::Column(from) => seen.take(&below, from, to),
            computed => {
                seen.outward.extend(refuse_uses(computed, &below)?);
                if has_subquery(computed) {
                    seen.plain = None;
                }
            }
        }
    }
    Ok(seen)
}

/// A subquery becomes a join, and one that looks outwards is computed once for each outer row: not a plain filter.
fn filtered(filter: &Filter, mut below: Seen) -> Result<Seen, AggregateFault> {
    let outward = refuse_uses(&filter.predicate, &below)?;
    below.outward.extend(outward);
    if has_subquery(&filter.predicate) {
        below.plain = None;
    }
    Ok(below)
}

fn passed(plan: &LogicalPlan, inputs: Vec<Seen>) -> Result<Seen, AggregateFault> {
    let below = together(inputs);
    let mut seen = Seen::default();
    for expr in plan.expressions() {
        seen.outward.extend(refuse_uses(&expr, &below)?);
    }
    for column in plan.schema().columns() {
        seen.take(&below, &column.clone(), column);
    }
    Ok(seen)
}

/// What the expressions of a node see of all its inputs.
fn together(inputs: Vec<Seen>) -> Seen {
    let mut all = Seen::default();
    for seen in inputs {
        all.bounded.extend(seen.bounded);
        all.columns.extend(seen.columns);
    }
    all
}

/// A node that looks at every column of its inputs.
fn consumed(inputs: Vec<Seen>) -> Result<Seen, AggregateFault> {
    match inputs.into_iter().find_map(|below| below.bounded.into_values().next()) {
        Some(column) => Err(column.fault()),
        None => Ok(Seen::default()),
    }
}

fn aggregated(aggregate: &Aggregate, below: &Seen) -> Result<Seen, AggregateFault> {
    let used = |expr: &Expr| columns_of(expr).iter().find_map(|column| below.bounded.get(column));
    let Some(column) = aggregate.aggr_expr.iter().chain(&aggregate.group_expr).find_map(used) else {
        let mut seen = Seen::default();
        for expr in aggregate.aggr_expr.iter().chain(&aggregate.group_expr) {
            seen.outward.extend(refuse_uses(expr, below)?);
        }
        return Ok(seen);
    };
    let Some(plain) = &below.plain else {
        return Err(column.fault());
    };
    let is_declared = |key: &Expr| match key {
        Expr::Column(key) if !below.bounded.contains_key(key) => {
            plain.get(key).is_some_and(|name| column.may_group_by(name))
        }
        _ => false,
    };
    let is_allowed = |expr: &Expr| used(expr).is_none() || argument(expr, &aggregate.input, below).is_some();
    if aggregate.group_expr.iter().all(is_declared)
        && aggregate.aggr_expr.iter().all(is_allowed)
        && !aggregate.aggr_expr.iter().any(has_subquery)
    {
        let outward = aggregate.aggr_expr.iter().chain(&aggregate.group_expr).flat_map(outer_columns).collect();
        return Ok(Seen { outward, ..Seen::default() });
    }
    Err(column.fault())
}

/// The aggregate-only column that an allowed aggregate is over, with its function's name.
fn argument<'a>(expr: &'a Expr, input: &LogicalPlan, below: &Seen) -> Option<(&'a str, Column)> {
    let Expr::AggregateFunction(AggregateFunction { func, params }) = unaliased(expr) else {
        return None;
    };
    let is_bare = params.filter.is_none() && params.order_by.is_empty() && params.null_treatment.is_none();
    let is_named = match func.name() {
        "count" => true,
        "sum" | "avg" => !params.distinct,
        _ => false,
    };
    let [argument] = params.args.as_slice() else {
        return None;
    };
    let Expr::Column(column) = uncast(argument, input.schema()) else {
        return None;
    };
    (is_bare && is_named && below.bounded.contains_key(column)).then(|| (func.name(), column.clone()))
}

/// The columns that an aggregate sums, for the dominance of one entity.
pub(super) fn summed(aggregate: &Aggregate, below: &Seen) -> Vec<Column> {
    let mut summed: Vec<Column> = Vec::new();
    for expr in &aggregate.aggr_expr {
        match argument(expr, &aggregate.input, below) {
            Some(("sum" | "avg", column)) if !summed.contains(&column) => summed.push(column),
            _ => {}
        }
    }
    summed
}

/// The aggregate-only columns that a node's own expressions read.
pub(super) fn uses<'a>(plan: &LogicalPlan, below: &'a Seen) -> Vec<&'a Bounded> {
    plan.expressions().iter().flat_map(columns_of).filter_map(|column| below.bounded.get(&column)).collect()
}

fn unaliased(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(alias) => unaliased(&alias.expr),
        other => other,
    }
}

/// Without the widening of numbers that types ask for before a sum; it cannot fail, so it tells nothing. A coordinator that
/// has typed the statement writes it as a call of `arrow_cast`.
fn uncast<'a>(expr: &'a Expr, schema: &DFSchema) -> &'a Expr {
    let inner = match expr {
        Expr::Cast(cast) => cast.expr.as_ref(),
        Expr::ScalarFunction(call) if call.name() == "arrow_cast" => match call.args.as_slice() {
            [inner, Expr::Literal(..)] => inner,
            _ => return expr,
        },
        _ => return expr,
    };
    let widens = |from: &DataType, to: &DataType| match (from, to) {
        (from, DataType::Float64) => from.is_numeric(),
        (from, DataType::Int64) => from.is_signed_integer(),
        (from, DataType::UInt64) => from.is_unsigned_integer(),
        (DataType::Decimal128(from, scale), DataType::Decimal128(to, same) | DataType::Decimal256(to, same)) => {
            from <= to && scale == same
        }
        _ => false,
    };
    match (inner.get_type(schema), expr.get_type(schema)) {
        (Ok(from), Ok(to)) if widens(&from, &to) => inner,
        _ => expr,
    }
}

/// Refuses an expression that looks at an aggregate-only column. The answer is what it looks at outside its node's inputs.
fn refuse_uses(expr: &Expr, below: &Seen) -> Result<BTreeSet<Column>, AggregateFault> {
    if let Some(column) = columns_of(expr).iter().find_map(|column| below.bounded.get(column)) {
        return Err(column.fault());
    }
    let mut outward = outer_columns(expr);
    for subquery in subqueries(expr) {
        let seen = trace(&subquery.subquery)?;
        let looked_at = seen.outward.iter().find_map(|column| below.bounded.get(column)).cloned();
        if let Some(column) = looked_at.or_else(|| seen.bounded.into_values().next()) {
            return Err(column.fault());
        }
        outward.extend(seen.outward.into_iter().filter(|column| !below.columns.contains(column)));
    }
    Ok(outward)
}

/// The columns that an expression reads of the query around its own.
fn outer_columns(expr: &Expr) -> BTreeSet<Column> {
    let mut found = BTreeSet::new();
    // The visitor returns no error, so neither does the walk.
    let _ = expr.apply(|expr| {
        if let Expr::OuterReferenceColumn(_, column) = expr {
            found.insert(column.clone());
        }
        Ok(TreeNodeRecursion::Continue)
    });
    found
}

/// Every column that an expression reads, through the eyes of its subqueries too.
fn columns_of(expr: &Expr) -> Vec<Column> {
    let mut columns: Vec<Column> = expr.column_refs().into_iter().cloned().collect();
    let outer = subqueries(expr).into_iter().flat_map(|subquery| &subquery.outer_ref_columns);
    columns.extend(outer.filter_map(|outer| match outer {
        Expr::OuterReferenceColumn(_, column) => Some(column.clone()),
        _ => None,
    }));
    columns
}

fn subqueries(expr: &Expr) -> Vec<&Subquery> {
    let mut found = Vec::new();
    // The visitor returns no error, so neither does the walk.
    let _ = expr.apply(|expr| {
        match expr {
            Expr::ScalarSubquery(subquery) => found.push(subquery),
            Expr::Exists(exists) => found.push(&exists.subquery),
            Expr::InSubquery(one_of) => found.push(&one_of.subquery),
            Expr::SetComparison(compared) => found.push(&compared.subquery),
            _ => {}
        }
        Ok(TreeNodeRecursion::Continue)
    });
    found
}

fn has_subquery(expr: &Expr) -> bool {
    !subqueries(expr).is_empty() || expr.contains_outer()
}
