//! The joins of a plan as edges between fragments: by which column one could reduce the other without changing the answer.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, JoinType, NullEquality};
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::{Aggregate, Distinct, Expr, Join, LogicalPlan};

use crate::exec::key_source::KeySource;
use crate::key_set::can_be_key;
use crate::plan::columns::plain_column;
use crate::plan::fragment_node::{FragmentNode, KeySourceNode};

/// That every row of `to` that can matter has in its column a value of the other column.
pub(super) struct Edge {
    pub(super) from: End,
    pub(super) to: End,
}

/// A column of a fragment, or of a union of fragments.
pub(super) struct End {
    pub(super) arms: Vec<FragmentNode>,
    pub(super) column: usize,
}

impl End {
    /// Whether both are columns of the same rows.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.arms == other.arms
    }

    /// The type of the column, if all fragments have the same.
    pub(super) fn data_type(&self) -> Option<DataType> {
        let mut types = self.arms.iter().map(|arm| arm.plan().schema().field(self.column).data_type());
        let first = types.next()?;
        types.all(|other| other == first).then(|| first.clone())
    }
}

/// That the rows of `to` that can matter have in their column a value of a column of the rows that `source` holds.
pub(super) struct LateEdge {
    pub(super) source: Arc<KeySource>,
    pub(super) column: usize,
    pub(super) to: End,
}

/// What is asked of the operators between a join and a fragment.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Path {
    /// They make no new values: what arrives is among the fragment's.
    Values,
    /// A condition on the column above them means the same on the fragment itself.
    Rows,
}

/// The joins of what comes late to the rows that it comes for.
///
/// # Errors
/// Those of walking the plan.
pub(super) fn late_edges(plan: &LogicalPlan) -> DataFusionResult<Vec<LateEdge>> {
    let mut edges = Vec::new();
    plan.apply(|node| {
        if let LogicalPlan::Join(join) = node {
            edges.extend(late_edge(join));
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(edges)
}

fn late_edge(join: &Join) -> Option<LateEdge> {
    let (source, [(Expr::Column(own), Expr::Column(other))]) = (KeySourceNode::of(&join.left)?, join.on.as_slice())
    else {
        return None;
    };
    let to = end(&join.right, other, Path::Rows)?;
    Some(LateEdge { source: Arc::clone(source.source()), column: only(join.left.schema(), own)?, to })
}

/// The edges of `plan`; none where a part of it runs more than once.
///
/// # Errors
/// Those of walking the plan.
pub(super) fn edges(plan: &LogicalPlan) -> DataFusionResult<Vec<Edge>> {
    let mut edges = Vec::new();
    let mut repeats = false;
    plan.apply(|node| {
        repeats |= matches!(node, LogicalPlan::RecursiveQuery(_));
        if let LogicalPlan::Join(join) = node {
            edges.extend(of_join(join));
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(if repeats { Vec::new() } else { edges })
}

fn of_join(join: &Join) -> Vec<Edge> {
    let (left, right) = reduced_sides(join);
    let mut edges = Vec::new();
    for (own, other) in &join.on {
        let (Expr::Column(own), Expr::Column(other)) = (own, other) else { continue };
        if right {
            edges.extend(edge((&join.left, own), (&join.right, other)));
        }
        if left {
            edges.extend(edge((&join.right, other), (&join.left, own)));
        }
    }
    edges
}

/// Whether rows of the left side, and of the right side, that have no partner leave the answer as it is.
fn reduced_sides(join: &Join) -> (bool, bool) {
    if join.null_aware || join.null_equality == NullEquality::NullEqualsNull {
        return (false, false);
    }
    match join.join_type {
        JoinType::Inner | JoinType::LeftSemi | JoinType::RightSemi => (true, true),
        JoinType::Left | JoinType::LeftAnti | JoinType::LeftMark => (false, true),
        JoinType::Right | JoinType::RightAnti | JoinType::RightMark => (true, false),
        JoinType::Full => (false, false),
    }
}

fn edge(from: (&LogicalPlan, &Column), to: (&LogicalPlan, &Column)) -> Option<Edge> {
    let (from, to) = (end(from.0, from.1, Path::Values)?, end(to.0, to.1, Path::Rows)?);
    let data_type = from.data_type()?;
    (to.data_type()? == data_type && can_be_key(&data_type)).then_some(Edge { from, to })
}

/// The fragment's column that `column` of `plan` is.
fn end(plan: &LogicalPlan, column: &Column, path: Path) -> Option<End> {
    if let Some(node) = FragmentNode::of(plan) {
        let column = only(plan.schema(), column)?;
        return Some(End { arms: vec![node.clone()], column });
    }
    let values = path == Path::Values;
    match plan {
        LogicalPlan::Union(union) => {
            let arms = union.inputs.iter().map(|input| FragmentNode::of(input).cloned());
            Some(End { arms: arms.collect::<Option<_>>()?, column: only(&union.schema, column)? })
        }
        LogicalPlan::Projection(projection) => {
            let expr = projection.expr.get(only(&projection.schema, column)?)?;
            end(&projection.input, plain_column(expr)?, path)
        }
        LogicalPlan::SubqueryAlias(alias) => {
            let column = Column::from(alias.input.schema().qualified_field(only(&alias.schema, column)?));
            end(&alias.input, &column, path)
        }
        LogicalPlan::Filter(filter) => end(&filter.input, column, path),
        LogicalPlan::Repartition(repartition) => end(&repartition.input, column, path),
        LogicalPlan::Sort(sort) if sort.fetch.is_none() || values => end(&sort.input, column, path),
        LogicalPlan::Limit(limit) if values => end(&limit.input, column, path),
        LogicalPlan::Distinct(Distinct::All(input)) => end(input, column, path),
        LogicalPlan::Aggregate(aggregate) => end(&aggregate.input, group(aggregate, column)?, path),
        LogicalPlan::Join(join) => {
            let (left, right) = (only(join.left.schema(), column), only(join.right.schema(), column));
            match (left, right) {
                (Some(_), None) if values || keeps_left(join.join_type) => end(&join.left, column, path),
                (None, Some(_)) if values || keeps_right(join.join_type) => end(&join.right, column, path),
                _ => None,
            }
        }
        _ => None,
    }
}

/// Whether a condition on the left side's columns means the same above the join and below it.
fn keeps_left(kind: JoinType) -> bool {
    matches!(kind, JoinType::Inner | JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark)
}

fn keeps_right(kind: JoinType) -> bool {
    matches!(kind, JoinType::Inner | JoinType::Right | JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark)
}

/// The column that a group's column is; a group of all rows has none.
fn group<'a>(aggregate: &'a Aggregate, column: &Column) -> Option<&'a Column> {
    if matches!(aggregate.group_expr.as_slice(), [Expr::GroupingSet(_)]) {
        return None;
    }
    plain_column(aggregate.group_expr.get(only(&aggregate.schema, column)?)?)
}

/// The position of the one column of that name.
fn only(schema: &DFSchema, column: &Column) -> Option<usize> {
    let mut matches = (0..schema.fields().len()).filter(|index| {
        let (qualifier, field) = schema.qualified_field(*index);
        field.name() == &column.name
            && column.relation.as_ref().is_none_or(|asked| qualifier.is_some_and(|found| asked.resolved_eq(found)))
    });
    matches.next().filter(|_| matches.next().is_none())
}
