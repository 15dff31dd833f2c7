//! Plants one fault at a time in a plan: each makes a plan that means something else and would go unnoticed by name.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{JoinType, NullEquality, ScalarValue};
use datafusion::logical_expr::expr::{AggregateFunctionParams, NullTreatment};
use datafusion::logical_expr::{
    Distinct, Expr, Join, Limit, LogicalPlan, Projection, Sort, TableScan, WindowFrame, WindowFrameBound, lit,
};

/// Every kind of fault; a test asks that each finds a place.
pub(super) const KINDS: &[&str] = &[
    "filter dropped",
    "columns swapped",
    "limit one more",
    SORT_KEEPS_MORE,
    "limit one less",
    "offset one more",
    "sort dropped",
    "sort direction",
    "sort nulls",
    "join kind",
    "join key dropped",
    "null equality",
    "null awareness",
    "distinct dropped",
    "aggregate distinct",
    "aggregate filter",
    "aggregate order",
    "aggregate nulls",
    "window order",
    "window partition",
    "window frame",
    "literal plus one",
    "case branch",
    "union input dropped",
];

const SORT_KEEPS_MORE: &str = "sort keeps one more";

/// `plan` with one fault, for every place and kind that it offers.
pub(super) fn mutants(plan: &LogicalPlan) -> Vec<(&'static str, LogicalPlan)> {
    let mut found = local(plan);
    let inputs: Vec<LogicalPlan> = plan.inputs().into_iter().cloned().collect();
    for (position, input) in inputs.iter().enumerate() {
        for (fault, mutant) in mutants(input) {
            // Under a limit, a sort that keeps one row more changes nothing.
            if matches!(plan, LogicalPlan::Limit(_))
                && matches!(input, LogicalPlan::Sort(_))
                && fault == SORT_KEEPS_MORE
            {
                continue;
            }
            let mut changed = inputs.clone();
            changed[position] = mutant;
            found.extend(with_inputs(plan, changed).map(|plan| (fault, plan)));
        }
    }
    found
}

/// `plan` taken apart and put together as a mutant is, but without a fault.
pub(super) fn rebuilt(plan: &LogicalPlan) -> LogicalPlan {
    with_inputs(plan, plan.inputs().into_iter().map(rebuilt).collect()).unwrap()
}

/// Every text that one changed word makes of `text`; most of them mean something else, some are no statement at all.
pub(super) fn edits(text: &str) -> Vec<String> {
    const WORDS: &[(&str, &str)] = &[
        (" ASC ", " DESC "),
        (" DESC ", " ASC "),
        ("NULLS FIRST", "NULLS LAST"),
        ("NULLS LAST", "NULLS FIRST"),
        (" LEFT JOIN ", " JOIN "),
        (" JOIN ", " LEFT JOIN "),
        (" FULL JOIN ", " LEFT JOIN "),
        (" SEMI ", " ANTI "),
        (" ANTI ", " SEMI "),
        (" AND ", " OR "),
        (" OR ", " AND "),
        (" < ", " <= "),
        (" > ", " >= "),
        (" = ", " <> "),
        (" + ", " - "),
        (" * ", " / "),
        ("DISTINCT ", ""),
        ("NOT ", ""),
        (" IGNORE NULLS", ""),
        ("UNION ALL", "UNION"),
        ("LIMIT ", "LIMIT 1"),
        ("OFFSET ", "OFFSET 1"),
        ("PRECEDING", "FOLLOWING"),
        ("\"sum\"", "\"max\""),
        ("arrow_cast('", "arrow_cast('1"),
        ("\"c0_0\"", "\"c0_1\""),
        ("ROLLUP", "CUBE"),
        ("EXISTS", "NOT EXISTS"),
        ("COALESCE", "NULLIF"),
        ("TRUE", "FALSE"),
    ];
    let mut found = vec![];
    for (word, other) in WORDS {
        for (at, _) in text.match_indices(word) {
            if text[..at].ends_with(" AS ") {
                // Another name for a column of the result is another text of the same meaning.
                continue;
            }
            found.push(format!("{}{other}{}", &text[..at], &text[at + word.len()..]));
        }
    }
    found
}

/// A fault that changes a schema can make the nodes above it impossible; then it is no fault that could go unnoticed.
fn with_inputs(plan: &LogicalPlan, inputs: Vec<LogicalPlan>) -> Option<LogicalPlan> {
    match plan {
        // The generic way rebuilds a join as one without flags.
        LogicalPlan::Join(join) => {
            let [left, right] = <[LogicalPlan; 2]>::try_from(inputs).ok()?;
            Some(LogicalPlan::Join(Join { left: Arc::new(left), right: Arc::new(right), ..join.clone() }))
        }
        plan => plan.with_new_exprs(plan.expressions(), inputs).ok(),
    }
}

fn local(plan: &LogicalPlan) -> Vec<(&'static str, LogicalPlan)> {
    let mut found = vec![];
    match plan {
        LogicalPlan::Filter(filter) => found.push(("filter dropped", filter.input.as_ref().clone())),
        LogicalPlan::TableScan(scan) => {
            for position in 0..scan.filters.len() {
                let mut filters = scan.filters.clone();
                filters.remove(position);
                found.push(("filter dropped", LogicalPlan::TableScan(TableScan { filters, ..scan.clone() })));
            }
        }
        LogicalPlan::Projection(projection) => found.extend(swapped(projection)),
        LogicalPlan::Limit(limit) => found.extend(limits(limit)),
        LogicalPlan::Sort(sort) => found.extend(sorts(sort)),
        LogicalPlan::Join(join) => found.extend(joins(join)),
        LogicalPlan::Distinct(Distinct::All(input)) => found.push(("distinct dropped", input.as_ref().clone())),
        // DISTINCT is planned as a grouping by every column; without it the columns are the same.
        LogicalPlan::Aggregate(aggregate)
            if aggregate.aggr_expr.is_empty()
                && aggregate.input.schema().fields().len() == aggregate.schema.fields().len() =>
        {
            found.push(("distinct dropped", aggregate.input.as_ref().clone()));
        }
        LogicalPlan::Union(union) if union.inputs.len() > 2 => {
            let mut fewer = union.clone();
            fewer.inputs.pop();
            found.push(("union input dropped", LogicalPlan::Union(fewer)));
        }
        _ => {}
    }
    found.extend(expressions(plan));
    found
}

/// Two neighbouring columns in each other's place, under the names that stood there.
fn swapped(projection: &Projection) -> Vec<(&'static str, LogicalPlan)> {
    let bare = |expr: &Expr| expr.clone().unalias();
    let mut found = vec![];
    for position in 1..projection.expr.len() {
        let (first, second) = (&projection.expr[position - 1], &projection.expr[position]);
        if bare(first) == bare(second) {
            continue;
        }
        let mut exprs = projection.expr.clone();
        let named = |expr: &Expr, name: &Expr| {
            let (relation, name) = name.qualified_name();
            bare(expr).alias_qualified(relation, name)
        };
        (exprs[position - 1], exprs[position]) = (named(second, first), named(first, second));
        if let Ok(plan) = Projection::try_new(exprs, Arc::clone(&projection.input)) {
            found.push(("columns swapped", LogicalPlan::Projection(plan)));
        }
    }
    found
}

fn limits(limit: &Limit) -> Vec<(&'static str, LogicalPlan)> {
    let number = |bound: &Option<Box<Expr>>| match bound.as_deref() {
        Some(Expr::Literal(ScalarValue::Int64(Some(number)), _)) => Some(*number),
        _ => None,
    };
    let with = |skip: Option<i64>, fetch: Option<i64>| {
        let bound = |number: Option<i64>| number.map(|number| Box::new(lit(number)));
        LogicalPlan::Limit(Limit { skip: bound(skip), fetch: bound(fetch), input: Arc::clone(&limit.input) })
    };
    let (skip, fetch) = (number(&limit.skip), number(&limit.fetch));
    let inner = match limit.input.as_ref() {
        LogicalPlan::Sort(sort) => sort.fetch,
        LogicalPlan::TableScan(scan) => scan.fetch,
        _ => None,
    };
    let mut found = vec![("offset one more", with(Some(skip.unwrap_or(0) + 1), fetch))];
    if let Some(fetch) = fetch {
        // Where the input holds no more rows than this limit lets through, one more would change nothing.
        if inner.is_none_or(|inner| inner as i64 > skip.unwrap_or(0) + fetch) {
            found.push(("limit one more", with(skip, Some(fetch + 1))));
        }
        if fetch > 0 {
            found.push(("limit one less", with(skip, Some(fetch - 1))));
        }
    }
    found
}

fn sorts(sort: &Sort) -> Vec<(&'static str, LogicalPlan)> {
    let mut found = vec![];
    if sort.fetch.is_none() {
        found.push(("sort dropped", sort.input.as_ref().clone()));
    }
    if let Some(fetch) = sort.fetch {
        found.push((SORT_KEEPS_MORE, LogicalPlan::Sort(Sort { fetch: Some(fetch + 1), ..sort.clone() })));
        if fetch > 0 {
            found.push(("limit one less", LogicalPlan::Sort(Sort { fetch: Some(fetch - 1), ..sort.clone() })));
        }
    }
    for position in 0..sort.expr.len() {
        let mut turned = sort.clone();
        turned.expr[position].asc = !turned.expr[position].asc;
        found.push(("sort direction", LogicalPlan::Sort(turned)));
        let mut turned = sort.clone();
        turned.expr[position].nulls_first = !turned.expr[position].nulls_first;
        found.push(("sort nulls", LogicalPlan::Sort(turned)));
    }
    found
}

fn joins(join: &Join) -> Vec<(&'static str, LogicalPlan)> {
    let with = |change: &dyn Fn(&mut Join)| {
        let mut changed = join.clone();
        change(&mut changed);
        LogicalPlan::Join(changed)
    };
    let other_kind = match join.join_type {
        JoinType::Inner => JoinType::Left,
        JoinType::Left => JoinType::Inner,
        JoinType::Right => JoinType::Full,
        JoinType::Full => JoinType::Left,
        JoinType::LeftSemi => JoinType::LeftAnti,
        JoinType::LeftAnti => JoinType::LeftSemi,
        JoinType::RightSemi => JoinType::RightAnti,
        JoinType::RightAnti => JoinType::RightSemi,
        other => other,
    };
    let mut found = vec![];
    if other_kind != join.join_type {
        found.push(("join kind", with(&|join| join.join_type = other_kind)));
    }
    if !join.on.is_empty() {
        found.push(("join key dropped", with(&|join| drop(join.on.pop()))));
        // A null-aware join says NOT IN, where the other flag has no meaning.
        if !join.null_aware {
            found.push((
                "null equality",
                with(&|join| {
                    join.null_equality = match join.null_equality {
                        NullEquality::NullEqualsNull => NullEquality::NullEqualsNothing,
                        NullEquality::NullEqualsNothing => NullEquality::NullEqualsNull,
                    }
                }),
            ));
        }
    }
    if join.join_type == JoinType::LeftAnti {
        found.push(("null awareness", with(&|join| join.null_aware = !join.null_aware)));
    }
    found
}

/// Every expression of the node with one part of it changed.
fn expressions(plan: &LogicalPlan) -> Vec<(&'static str, LogicalPlan)> {
    // A limit's bounds have faults of their own, and a join rebuilt from expressions would lose its flags.
    if matches!(plan, LogicalPlan::Limit(_) | LogicalPlan::Join(_) | LogicalPlan::Sort(_)) {
        return vec![];
    }
    let exprs = plan.expressions();
    let inputs: Vec<LogicalPlan> = plan.inputs().into_iter().cloned().collect();
    let mut found = vec![];
    for (position, expr) in exprs.iter().enumerate() {
        for (fault, changed) in changes(expr) {
            let mut exprs = exprs.clone();
            // The name stays: what reads this column must not notice by it.
            let (relation, name) = expr.qualified_name();
            let keeps_name =
                matches!(plan, LogicalPlan::Projection(_) | LogicalPlan::Aggregate(_) | LogicalPlan::Window(_));
            let is_set = matches!(changed, Expr::GroupingSet(_));
            exprs[position] =
                if keeps_name && !is_set { changed.unalias().alias_qualified(relation, name) } else { changed };
            found.extend(plan.with_new_exprs(exprs, inputs.clone()).ok().map(|plan| (fault, plan)));
        }
    }
    found
}

/// `expr` with one change, once for each part that can be changed.
fn changes(expr: &Expr) -> Vec<(&'static str, Expr)> {
    let mut parts = 0;
    expr.apply(|_| {
        parts += 1;
        Ok(datafusion::common::tree_node::TreeNodeRecursion::Continue)
    })
    .unwrap();
    let mut found = vec![];
    for part in 0..parts {
        for (fault, change) in CHANGES {
            let mut at = 0;
            let mut done = false;
            let changed = expr
                .clone()
                .transform_down(|node| {
                    at += 1;
                    if at - 1 != part || done {
                        return Ok(Transformed::no(node));
                    }
                    Ok(match change(&node) {
                        Some(new) => {
                            done = true;
                            Transformed::yes(new)
                        }
                        None => Transformed::no(node),
                    })
                })
                .unwrap()
                .data;
            if done && &changed != expr {
                found.push((*fault, changed));
            }
        }
    }
    found
}

type Change = fn(&Expr) -> Option<Expr>;

const CHANGES: &[(&str, Change)] = &[
    ("literal plus one", |expr| match expr {
        Expr::Literal(value, None) => next(value).map(|value| Expr::Literal(value, None)),
        _ => None,
    }),
    ("aggregate distinct", |expr| in_aggregate(expr, |params| params.distinct = !params.distinct)),
    ("aggregate filter", |expr| {
        in_aggregate(expr, |params| params.filter = params.filter.is_none().then(|| Box::new(lit(false))))
    }),
    ("aggregate order", |expr| in_aggregate(expr, |params| params.order_by.clear())),
    ("aggregate nulls", |expr| {
        in_aggregate(expr, |params| {
            params.null_treatment = match params.null_treatment {
                Some(NullTreatment::IgnoreNulls) => None,
                _ => Some(NullTreatment::IgnoreNulls),
            }
        })
    }),
    ("window order", |expr| match expr {
        Expr::WindowFunction(function) if !function.params.order_by.is_empty() => {
            let mut function = function.clone();
            let first = &mut function.params.order_by[0];
            first.asc = !first.asc;
            Some(Expr::WindowFunction(function))
        }
        _ => None,
    }),
    ("window partition", |expr| match expr {
        Expr::WindowFunction(function) if !function.params.partition_by.is_empty() => {
            let mut function = function.clone();
            function.params.partition_by.pop();
            Some(Expr::WindowFunction(function))
        }
        _ => None,
    }),
    ("window frame", |expr| match expr {
        Expr::WindowFunction(function) => {
            let mut function = function.clone();
            let frame = &function.params.window_frame;
            let end = match frame.end_bound {
                WindowFrameBound::CurrentRow => WindowFrameBound::Following(ScalarValue::UInt64(None)),
                _ => WindowFrameBound::CurrentRow,
            };
            function.params.window_frame = WindowFrame::new_bounds(frame.units, frame.start_bound.clone(), end);
            Some(Expr::WindowFunction(function))
        }
        _ => None,
    }),
    ("case branch", |expr| match expr {
        Expr::Case(case) if case.else_expr.is_some() => {
            let mut case = case.clone();
            case.else_expr = None;
            Some(Expr::Case(case))
        }
        _ => None,
    }),
];

fn in_aggregate(expr: &Expr, change: impl Fn(&mut AggregateFunctionParams)) -> Option<Expr> {
    let Expr::AggregateFunction(function) = expr else {
        return None;
    };
    let mut function = function.clone();
    change(&mut function.params);
    Some(Expr::AggregateFunction(function))
}

/// The value after `value`.
fn next(value: &ScalarValue) -> Option<ScalarValue> {
    Some(match value {
        ScalarValue::Int64(Some(number)) => ScalarValue::Int64(Some(number + 1)),
        ScalarValue::Int32(Some(number)) => ScalarValue::Int32(Some(number + 1)),
        ScalarValue::UInt8(Some(number)) => ScalarValue::UInt8(Some(number.wrapping_add(1))),
        ScalarValue::Float64(Some(number)) => ScalarValue::Float64(Some(number.next_up())),
        ScalarValue::Decimal128(Some(number), precision, scale) => {
            ScalarValue::Decimal128(Some(number + 1), *precision, *scale)
        }
        ScalarValue::Date32(Some(days)) => ScalarValue::Date32(Some(days + 1)),
        ScalarValue::Utf8(Some(text)) => ScalarValue::Utf8(Some(format!("{text} "))),
        ScalarValue::Utf8View(Some(text)) => ScalarValue::Utf8View(Some(format!("{text} "))),
        ScalarValue::Boolean(Some(truth)) => ScalarValue::Boolean(Some(!truth)),
        ScalarValue::TimestampNanosecond(Some(time), zone) => {
            ScalarValue::TimestampNanosecond(Some(time + 1), zone.clone())
        }
        _ => return None,
    })
}
