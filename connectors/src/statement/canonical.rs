//! The canonical form of a plan: columns by position, projections composed away, filters as sorted conjuncts.
//!
//! A plan becomes a [`Shape`]: a node, and the expressions over the node's columns that stand for the plan's columns.
//! A projection only changes these expressions; that is how names, aliases and the cut between two steps disappear.
//! Two plans of one shape have the same meaning; the converse is not claimed.

mod group;
mod join;

use arrow::datatypes::DataType;
use datafusion_common::{DFSchema, JoinType, ScalarValue, TableReference};
use datafusion_expr::expr::Sort as SortKey;
use datafusion_expr::{
    Distinct, EmptyRelation, Expr, Filter, LogicalPlan, Projection, Sort, TableScan, Union, Values, lit,
};

use super::expression::{column, conjuncts, expression};
use group::{aggregated, grouping_number, windowed};
use join::joined;

use super::refusal::Refusal;
use super::scope::Scope;
use super::steps::bounds;

/// A relation whose columns have positions and no names.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    /// A whole table.
    Scan {
        table: TableReference,
        columns: Vec<(String, DataType)>,
    },
    /// One row of no columns.
    OneRow,
    /// No row.
    Nothing,
    Values(Vec<Vec<Expr>>),
    /// Conjuncts are sorted, and each stands once.
    Filter {
        conjuncts: Vec<Expr>,
        input: Box<Node>,
    },
    /// The columns of both sides, or of the one side that a semi or anti join keeps.
    Join {
        kind: JoinType,
        conditions: Vec<Expr>,
        left: Box<Node>,
        right: Box<Node>,
    },
    /// The keys, then the number of the grouping set if there are sets, then the aggregates.
    Aggregate {
        keys: Vec<Expr>,
        sets: Option<Vec<Vec<usize>>>,
        aggregates: Vec<Expr>,
        input: Box<Node>,
    },
    Distinct {
        columns: Vec<Expr>,
        input: Box<Node>,
    },
    Sort {
        keys: Vec<SortKey>,
        input: Box<Node>,
    },
    Limit {
        skip: usize,
        fetch: Option<usize>,
        input: Box<Node>,
    },
    Union(Vec<Shape>),
    /// The columns of the input, then the functions.
    Window {
        functions: Vec<Expr>,
        input: Box<Node>,
    },
}

/// A node, and what stands over its columns for each column of the plan.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Shape {
    pub(super) node: Node,
    pub(super) outputs: Vec<Expr>,
}

impl Node {
    /// How many columns expressions over this node may name.
    fn width(&self) -> usize {
        match self {
            Self::Scan { columns, .. } => columns.len(),
            // A column that nobody names: it tells the sides of joins apart.
            Self::OneRow | Self::Nothing => 1,
            Self::Values(rows) => rows.first().map_or(0, Vec::len),
            Self::Filter { input, .. } | Self::Sort { input, .. } | Self::Limit { input, .. } => input.width(),
            Self::Join { kind, left, right, .. } => match kind {
                JoinType::LeftSemi | JoinType::LeftAnti => left.width(),
                JoinType::RightSemi | JoinType::RightAnti => right.width(),
                _ => left.width() + right.width(),
            },
            Self::Aggregate { keys, sets, aggregates, .. } => {
                keys.len() + usize::from(sets.is_some()) + aggregates.len()
            }
            Self::Distinct { columns, .. } => columns.len(),
            Self::Union(inputs) => inputs.first().map_or(0, |input| input.outputs.len()),
            Self::Window { functions, input } => input.width() + functions.len(),
        }
    }

    fn all_columns(self) -> Shape {
        let outputs = (0..self.width()).map(column).collect();
        Shape { node: self, outputs }
    }
}

/// The canonical form of `plan`.
///
/// # Errors
/// An operator that has no such form, or a name that is not one column's.
pub(super) fn shape(plan: &LogicalPlan) -> Result<Shape, Refusal> {
    match plan {
        LogicalPlan::TableScan(scan) => table_scan(scan),
        LogicalPlan::Projection(projection) => projected(projection),
        LogicalPlan::Filter(filter) => filter_shape(filter),
        LogicalPlan::Join(join) => joined(join),
        LogicalPlan::Aggregate(aggregate) => aggregated(aggregate),
        LogicalPlan::Window(window) => windowed(window),
        LogicalPlan::Sort(sort) => sorted(sort),
        LogicalPlan::Limit(limit) => {
            let input = shape(&limit.input)?;
            let (skip, fetch) = bounds(limit)?;
            Ok(Shape { node: limited(input.node, skip, fetch), ..input })
        }
        LogicalPlan::Union(union) => united(union),
        LogicalPlan::Distinct(Distinct::All(input)) => {
            let input = shape(input)?;
            Ok(Node::Distinct { columns: input.outputs, input: Box::new(input.node) }.all_columns())
        }
        LogicalPlan::Values(values) => values_shape(values),
        LogicalPlan::EmptyRelation(empty) => Ok(empty_relation(empty)),
        LogicalPlan::SubqueryAlias(alias) => shape(&alias.input),
        LogicalPlan::Subquery(subquery) if subquery.outer_ref_columns.is_empty() => shape(&subquery.subquery),
        LogicalPlan::Repartition(repartition) => shape(&repartition.input),
        other => Err(Refusal::new(other.display().to_string(), "is an operator that the check does not know")),
    }
}

/// `node` where `conditions` hold.
pub(super) fn filtered(node: Node, mut conditions: Vec<Expr>) -> Node {
    let input = match node {
        Node::Filter { conjuncts, input } => {
            conditions.extend(conjuncts);
            input
        }
        other => Box::new(other),
    };
    let conjuncts = sorted_set(conditions);
    if conjuncts.is_empty() {
        return *input;
    }
    if *input == Node::OneRow && conjuncts.contains(&lit(false)) {
        return Node::Nothing;
    }
    Node::Filter { conjuncts, input }
}

/// Limits compose: what the inner one leaves, the outer one cuts again.
fn limited(node: Node, skip: usize, fetch: Option<usize>) -> Node {
    match node {
        node if skip == 0 && fetch.is_none() => node,
        Node::Limit { skip: first, fetch: most, input } => {
            let left = most.map(|most| most.saturating_sub(skip));
            let fetch = match (left, fetch) {
                (Some(left), Some(fetch)) => Some(left.min(fetch)),
                (left, fetch) => left.or(fetch),
            };
            Node::Limit { skip: first.saturating_add(skip), fetch, input }
        }
        node => Node::Limit { skip, fetch, input: Box::new(node) },
    }
}

/// Conditions in one order, each once, and without what is always true.
fn sorted_set(mut exprs: Vec<Expr>) -> Vec<Expr> {
    exprs.retain(|expr| expr != &lit(true));
    exprs.sort_by_cached_key(|expr| expr.to_string());
    exprs.dedup();
    exprs
}

fn table_scan(scan: &TableScan) -> Result<Shape, Refusal> {
    let source = scan.source.schema();
    let columns = source.fields().iter().map(|field| (field.name().clone(), field.data_type().clone())).collect();
    let Shape { mut node, outputs: every } = Node::Scan { table: scan.table_name.clone(), columns }.all_columns();
    let schema = DFSchema::try_from_qualified_schema(scan.table_name.clone(), &source)
        .map_err(|error| Refusal::new("scan", error.strip_backtrace()))?;
    let scope = Scope::over(&schema, &every);
    for filter in &scan.filters {
        node = filtered(node, conjuncts(filter, &scope, None)?);
    }
    let outputs = match &scan.projection {
        None => every,
        Some(kept) => kept.iter().map(|index| column(*index)).collect(),
    };
    Ok(Shape { node: limited(node, 0, scan.fetch), outputs })
}

fn projected(projection: &Projection) -> Result<Shape, Refusal> {
    let input = shape(&projection.input)?;
    let scope = Scope::over(projection.input.schema(), &input.outputs);
    let mut outputs = Vec::with_capacity(projection.expr.len());
    for expr in &projection.expr {
        outputs.push(grouping_number(&expression(expr, &scope, None)?, &input.node)?);
    }
    Ok(Shape { node: input.node, outputs })
}

fn filter_shape(filter: &Filter) -> Result<Shape, Refusal> {
    let input = shape(&filter.input)?;
    let scope = Scope::over(filter.input.schema(), &input.outputs);
    let conditions = conjuncts(&filter.predicate, &scope, None)?;
    Ok(Shape { node: filtered(input.node, conditions), outputs: input.outputs })
}

fn sorted(sort: &Sort) -> Result<Shape, Refusal> {
    let input = shape(&sort.input)?;
    let scope = Scope::over(sort.input.schema(), &input.outputs);
    let mut keys = Vec::with_capacity(sort.expr.len());
    for key in &sort.expr {
        keys.push(key.with_expr(expression(&key.expr, &scope, None)?));
    }
    let node = Node::Sort { keys, input: Box::new(input.node) };
    Ok(Shape { node: limited(node, 0, sort.fetch), outputs: input.outputs })
}

fn united(union: &Union) -> Result<Shape, Refusal> {
    let mut inputs = Vec::with_capacity(union.inputs.len());
    for input in &union.inputs {
        let mut branch = shape(input)?;
        if union.schema.fields().is_empty() {
            // Rows without columns are written with a marker.
            branch.outputs = vec![lit(1_i64)];
        }
        let is_column = |(position, output): (usize, &Expr)| output == &column(position);
        let whole = branch.outputs.len() == branch.node.width() && branch.outputs.iter().enumerate().all(is_column);
        match branch {
            Shape { node: Node::Union(inner), .. } if whole => inputs.extend(inner),
            branch => inputs.push(branch),
        }
    }
    let width = union.schema.fields().len();
    Ok(Shape { node: Node::Union(inputs), outputs: (0..width).map(column).collect() })
}

fn values_shape(values: &Values) -> Result<Shape, Refusal> {
    let nothing = DFSchema::empty();
    let scope = Scope::over(&nothing, &[]);
    let row = |row: &Vec<Expr>| row.iter().map(|cell| expression(cell, &scope, None)).collect::<Result<Vec<_>, _>>();
    Ok(Node::Values(values.values.iter().map(row).collect::<Result<_, _>>()?).all_columns())
}

fn empty_relation(empty: &EmptyRelation) -> Shape {
    if empty.produce_one_row {
        return Shape { node: Node::OneRow, outputs: Vec::new() };
    }
    let null = |data_type| lit(ScalarValue::try_from(data_type).unwrap_or(ScalarValue::Null));
    Shape { node: Node::Nothing, outputs: empty.schema.fields().iter().map(|field| null(field.data_type())).collect() }
}
