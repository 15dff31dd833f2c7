//! A tree of inner joins as a set of relations and a set of conditions on them.

use std::sync::Arc;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, JoinType, NullEquality, Result};
use datafusion::logical_expr::utils::split_conjunction_owned;
use datafusion::logical_expr::{BinaryExpr, Expr, Join, LogicalPlan, Operator, Projection};

use super::key_classes::KeyClasses;
use crate::plan::sites::{Location, Sites};

/// The parts of a join tree. In every row of its result the columns of each class are equal, every predicate holds,
/// and every semi-join or anti-join keeps the row.
#[derive(Debug, Default)]
pub(super) struct JoinTree {
    /// What is joined: scans, aggregates, outer joins, whatever is not part of the tree itself.
    pub(super) relations: Vec<LogicalPlan>,
    pub(super) keys: KeyClasses,
    /// Every other condition.
    pub(super) predicates: Vec<Expr>,
    /// All of them [`JoinType::LeftSemi`] or [`JoinType::LeftAnti`]; their left side is the tree.
    pub(super) semi_joins: Vec<Join>,
}

impl JoinTree {
    /// The tree whose topmost node is `plan`; `None` when there is none, or nothing in it to put in order.
    pub(super) fn of(plan: &LogicalPlan, sites: Sites) -> Result<Option<JoinTree>> {
        if matches!(plan, LogicalPlan::Projection(_)) || !belongs_to_tree(plan, sites)? {
            return Ok(None);
        }
        let mut tree = JoinTree::default();
        let mut conditions = vec![];
        tree.collect(plan, sites, &mut conditions)?;
        Ok(match tree.joint_schema() {
            Some(schema) if tree.may_be_reordered(&conditions, &schema) && tree.spans_sites(sites)? => {
                tree.sort_conditions(conditions, &schema)?;
                Some(tree)
            }
            _ => None,
        })
    }

    /// Each relation, and the right side of each semi-join, rewritten by `rewrite`.
    pub(super) fn map_parts(mut self, rewrite: impl Fn(LogicalPlan) -> Result<LogicalPlan>) -> Result<JoinTree> {
        self.relations = self.relations.into_iter().map(&rewrite).collect::<Result<_>>()?;
        for semi in &mut self.semi_joins {
            semi.right = Arc::new(rewrite(semi.right.as_ref().clone())?);
        }
        Ok(self)
    }

    fn collect(&mut self, plan: &LogicalPlan, sites: Sites, conditions: &mut Vec<Expr>) -> Result<()> {
        if !belongs_to_tree(plan, sites)? {
            self.relations.push(plan.clone());
            return Ok(());
        }
        match plan {
            LogicalPlan::Join(join) if is_plain_inner(join) => {
                conditions.extend(join.on.iter().map(|(left, right)| left.clone().eq(right.clone())));
                conditions.extend(join.filter.iter().cloned().flat_map(split_conjunction_owned));
                self.collect(&join.left, sites, conditions)?;
                self.collect(&join.right, sites, conditions)
            }
            LogicalPlan::Join(join) => {
                let semi = left_semi(join.clone());
                let kept = Arc::clone(&semi.left);
                self.semi_joins.push(Join { left: Arc::new(LogicalPlan::default()), ..semi });
                self.collect(&kept, sites, conditions)
            }
            LogicalPlan::Filter(filter) => {
                conditions.extend(split_conjunction_owned(filter.predicate.clone()));
                self.collect(&filter.input, sites, conditions)
            }
            LogicalPlan::Projection(projection) => self.collect(&projection.input, sites, conditions),
            other => {
                self.relations.push(other.clone());
                Ok(())
            }
        }
    }

    /// The columns of all relations side by side; `None` when two of them share a name, as they may where a projection
    /// hid one of them.
    fn joint_schema(&self) -> Option<DFSchema> {
        let joined = |schema: DFSchema, plan: &LogicalPlan| schema.join(plan.schema()).ok();
        let schema = self.relations.iter().try_fold(DFSchema::empty(), joined)?;
        let apart_from_semi_joins = self.semi_joins.iter().all(|semi| schema.join(semi.right.schema()).is_ok());
        apart_from_semi_joins.then_some(schema)
    }

    fn may_be_reordered(&self, conditions: &[Expr], schema: &DFSchema) -> bool {
        let of_semi_joins =
            || self.semi_joins.iter().flat_map(|semi| semi.on.iter().map(|(left, _)| left).chain(&semi.filter));
        let bound = |expr: &Expr| expr.column_refs().into_iter().all(|column| schema.is_column_from_schema(column));
        (self.relations.len() + self.semi_joins.len() > 2 || self.relations.len() > 1)
            && !conditions.iter().chain(of_semi_joins()).any(Expr::is_volatile)
            && conditions.iter().all(bound)
    }

    /// Whether some of the tree is a site's and the rest is not, or another site's.
    fn spans_sites(&self, sites: Sites) -> Result<bool> {
        let (mut whole, mut any_at_site) = (Location::Nowhere, false);
        for plan in self.relations.iter().chain(self.semi_joins.iter().map(|semi| semi.right.as_ref())) {
            let location = sites.locate(plan)?;
            any_at_site |= matches!(location, Location::At(_));
            whole = whole.with(location);
        }
        Ok(any_at_site && whole == Location::Mixed)
    }

    /// Parts the conditions into key classes and predicates; both in an order of their own, so that the same tree
    /// written differently gives the same plan.
    fn sort_conditions(&mut self, conditions: Vec<Expr>, schema: &DFSchema) -> Result<()> {
        for condition in conditions {
            match equal_columns(&condition, schema)? {
                Some((left, right)) => self.keys.equate(left, right),
                None => self.predicates.push(condition),
            }
        }
        self.predicates.sort_by_cached_key(Expr::to_string);
        self.predicates.dedup();
        self.relations.sort_by_cached_key(first_column);
        self.semi_joins
            .sort_by_cached_key(|semi| format!("{:?}{:?}{}", semi.on, semi.filter, semi.right.display_indent()));
        Ok(())
    }
}

/// The name of a relation's first column; it is unique in its tree.
fn first_column(relation: &LogicalPlan) -> Option<Column> {
    relation.schema().columns().into_iter().next()
}

/// Whether the node is one of the tree's own, rather than a relation of it. A filter or a semi-join right above a
/// relation is part of the relation, unless it needs another site: then the relation is better off without it.
fn belongs_to_tree(plan: &LogicalPlan, sites: Sites) -> Result<bool> {
    match plan {
        LogicalPlan::Join(join) if is_plain_inner(join) => Ok(true),
        LogicalPlan::Join(join) if is_semi(join.join_type) => {
            let semi = left_semi(join.clone());
            Ok(belongs_to_tree(&semi.left, sites)? || sites.locate(&semi.right)? != sites.locate(&semi.left)?)
        }
        LogicalPlan::Filter(filter) => {
            Ok(belongs_to_tree(&filter.input, sites)? || asks_elsewhere(&filter.predicate, &filter.input, sites)?)
        }
        LogicalPlan::Projection(projection) if only_columns(projection) => belongs_to_tree(&projection.input, sites),
        _ => Ok(false),
    }
}

fn asks_elsewhere(predicate: &Expr, input: &LogicalPlan, sites: Sites) -> Result<bool> {
    Ok(match locate_subqueries(predicate, sites)? {
        Location::Nowhere => false,
        location => location != sites.locate(input)?,
    })
}

/// Where the tables lie that the subqueries of `expr` read.
pub(super) fn locate_subqueries(expr: &Expr, sites: Sites) -> Result<Location> {
    let mut location = Location::Nowhere;
    expr.apply(|inner| {
        if let Some(subquery) = subquery_of(inner) {
            location = location.with(sites.locate(subquery)?);
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(location)
}

/// Whether `expr` holds a subquery, which must stay in a filter: a join's condition cannot run one.
pub(super) fn has_subquery(expr: &Expr) -> Result<bool> {
    expr.exists(|inner| Ok(subquery_of(inner).is_some()))
}

fn subquery_of(expr: &Expr) -> Option<&LogicalPlan> {
    match expr {
        Expr::ScalarSubquery(subquery) => Some(&subquery.subquery),
        Expr::InSubquery(in_subquery) => Some(&in_subquery.subquery.subquery),
        Expr::Exists(exists) => Some(&exists.subquery.subquery),
        Expr::SetComparison(comparison) => Some(&comparison.subquery.subquery),
        _ => None,
    }
}

fn is_plain_inner(join: &Join) -> bool {
    join.join_type == JoinType::Inner && join.null_equality == NullEquality::NullEqualsNothing
}

fn is_semi(join_type: JoinType) -> bool {
    matches!(join_type, JoinType::LeftSemi | JoinType::LeftAnti | JoinType::RightSemi | JoinType::RightAnti)
}

/// The same semi-join with the side it keeps on the left.
fn left_semi(join: Join) -> Join {
    if matches!(join.join_type, JoinType::LeftSemi | JoinType::LeftAnti) {
        return join;
    }
    Join {
        left: join.right,
        right: join.left,
        on: join.on.into_iter().map(|(left, right)| (right, left)).collect(),
        join_type: join.join_type.swap(),
        ..join
    }
}

fn only_columns(projection: &Projection) -> bool {
    projection.expr.iter().all(|expr| matches!(expr, Expr::Column(_)))
}

/// The two columns that `condition` equates, when they may join a class.
fn equal_columns(condition: &Expr, schema: &DFSchema) -> Result<Option<(Column, Column)>> {
    let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = condition else { return Ok(None) };
    let (Expr::Column(left), Expr::Column(right)) = (left.as_ref(), right.as_ref()) else { return Ok(None) };
    let (left, right) = (schema.index_of_column(left)?, schema.index_of_column(right)?);
    let data_type = schema.field(left).data_type();
    let same_type = data_type == schema.field(right).data_type();
    let named = |index| Column::from(schema.qualified_field(index));
    Ok((same_type && KeyClasses::covers(data_type)).then(|| (named(left), named(right))))
}
