//! Builds a join tree from its parts: site by site first, then across sites, always the smallest result first.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, DFSchemaRef, JoinConstraint, JoinType, NullEquality, Result};
use datafusion::logical_expr::utils::{can_hash, conjunction, find_valid_equijoin_key_pair};
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Filter, Join, LogicalPlan, Operator, Projection};

use super::key_classes::KeyClasses;
use super::tree::{JoinTree, has_subquery, locate_subqueries};
use crate::plan::estimate::{JoinCondition, Profile, profile_or};
use crate::plan::sites::{Location, Sites};

/// Rows of a relation whose site publishes no count.
const ROWS_UNKNOWN: f64 = 1_000_000.0;
/// Two groups of one site stay apart when joining them there gives more than this many rows for each row they have:
/// sending both is cheaper then than sending the result.
const GROUP_GROWTH_MAX: f64 = 4.0;

/// The join of all parts of `tree`, with the columns of `schema` in its order.
pub(super) fn assemble(tree: JoinTree, schema: &DFSchemaRef, sites: Sites) -> Result<LogicalPlan> {
    let mut assembly = Assembly::new(tree, sites)?;
    assembly.place_conditions()?;
    assembly.join_while(|link, left, right| {
        left.shares_site_with(right) && link.is_equality() && link.stays_small(left, right)
    })?;
    assembly.place_conditions()?;
    assembly.place_semi_joins_anywhere()?;
    assembly.join_while(|link, _, _| link.is_equality())?;
    assembly.join_while(|link, _, _| link.connects())?;
    assembly.join_while(|_, _, _| true)?;
    project(assembly.finish()?, schema)
}

/// What is left to be joined, and the conditions that are left to be applied.
struct Assembly {
    groups: Vec<Group>,
    keys: KeyClasses,
    predicates: Vec<Expr>,
    subquery_predicates: Vec<Expr>,
    semi_joins: Vec<Join>,
    sites: Sites,
}

/// Relations that are joined already.
struct Group {
    plan: Arc<LogicalPlan>,
    profile: Profile,
    location: Location,
}

/// How two groups would be joined.
struct Link {
    on: Vec<(Expr, Expr)>,
    filter: Vec<Expr>,
    rows: f64,
}

impl Group {
    fn new(plan: LogicalPlan, sites: Sites) -> Result<Self> {
        let location = sites.locate(&plan)?;
        let plan = Arc::new(plan);
        Ok(Self { profile: profile_or(&plan, ROWS_UNKNOWN), plan, location })
    }

    fn shares_site_with(&self, other: &Group) -> bool {
        matches!(self.location, Location::At(_)) && self.location == other.location
    }

    fn has(&self, column: &Column) -> bool {
        self.plan.schema().is_column_from_schema(column)
    }

    fn covers(&self, expr: &Expr) -> bool {
        let columns = expr.column_refs();
        !columns.is_empty() && columns.into_iter().all(|column| self.has(column))
    }

    fn filter(&mut self, predicates: Vec<Expr>) -> Result<()> {
        let Some(predicate) = conjunction(predicates) else { return Ok(()) };
        let plan = LogicalPlan::Filter(Filter::try_new(predicate, Arc::clone(&self.plan))?);
        self.replace(plan);
        Ok(())
    }

    fn replace(&mut self, plan: LogicalPlan) {
        self.plan = Arc::new(plan);
        self.profile = profile_or(&self.plan, ROWS_UNKNOWN);
    }
}

impl Link {
    fn is_equality(&self) -> bool {
        !self.on.is_empty()
    }

    fn connects(&self) -> bool {
        self.is_equality() || !self.filter.is_empty()
    }

    fn stays_small(&self, left: &Group, right: &Group) -> bool {
        self.rows <= GROUP_GROWTH_MAX * (left.profile.rows + right.profile.rows)
    }
}

impl Assembly {
    fn new(tree: JoinTree, sites: Sites) -> Result<Self> {
        let (mut predicates, mut subquery_predicates) = (vec![], vec![]);
        for predicate in tree.predicates {
            if has_subquery(&predicate)? { subquery_predicates.push(predicate) } else { predicates.push(predicate) }
        }
        let groups = tree.relations.into_iter().map(|relation| Group::new(relation, sites)).collect::<Result<_>>()?;
        let mut assembly =
            Self { groups, keys: tree.keys, predicates, subquery_predicates, semi_joins: tree.semi_joins, sites };
        assembly.equate_within_relations()?;
        Ok(assembly)
    }

    /// Two columns of one relation in one class: no join says that they are equal, so a filter does.
    fn equate_within_relations(&mut self) -> Result<()> {
        for group in &mut self.groups {
            let mut equalities = vec![];
            for class in self.keys.iter() {
                let own: Vec<&Column> = class.iter().filter(|column| group.has(column)).collect();
                let pairs = own.iter().zip(own.iter().skip(1));
                equalities.extend(pairs.map(|(left, right)| column(left).eq(column(right))));
            }
            group.filter(equalities)?;
        }
        Ok(())
    }

    /// Applies every condition to the group that has all its columns and lies where the condition's own tables do.
    fn place_conditions(&mut self) -> Result<()> {
        for group in &mut self.groups {
            group.filter(self.predicates.extract_if(.., |predicate| group.covers(predicate)).collect())?;
            let mut here = vec![];
            for predicate in std::mem::take(&mut self.subquery_predicates) {
                let asked = locate_subqueries(&predicate, self.sites)?;
                let near = asked == Location::Nowhere || asked == group.location;
                if near && group.covers(&predicate) { &mut here } else { &mut self.subquery_predicates }
                    .push(predicate);
            }
            group.filter(here)?;
        }
        self.place_semi_joins(|group, asked| *asked == Location::Nowhere || *asked == group.location)
    }

    /// What no site can answer alone is still best answered before the groups are joined.
    fn place_semi_joins_anywhere(&mut self) -> Result<()> {
        for group in &mut self.groups {
            group.filter(self.subquery_predicates.extract_if(.., |predicate| group.covers(predicate)).collect())?;
        }
        self.place_semi_joins(|_, _| true)
    }

    fn place_semi_joins(&mut self, fits: impl Fn(&Group, &Location) -> bool) -> Result<()> {
        for semi in std::mem::take(&mut self.semi_joins) {
            let asked = self.sites.locate(&semi.right)?;
            let mut waiting = Some(semi);
            for group in self.groups.iter_mut().filter(|group| fits(group, &asked)) {
                let Some(semi) = waiting.take() else { break };
                waiting = restrict(group, semi, &self.keys)?;
            }
            self.semi_joins.extend(waiting);
        }
        Ok(())
    }

    /// Joins the pair with the smallest result among those that are `allowed`, until there is none.
    fn join_while(&mut self, allowed: impl Fn(&Link, &Group, &Group) -> bool) -> Result<()> {
        while let Some((left, right, link)) = self.smallest(&allowed)? {
            // The right one stands behind the left one: removing it first keeps the other's place.
            let (right, left) = (self.groups.remove(right), self.groups.remove(left));
            let joined = self.join(left, right, link)?;
            self.groups.push(joined);
            self.groups.sort_by_cached_key(|group| group.plan.schema().columns().into_iter().min());
        }
        Ok(())
    }

    fn smallest(&self, allowed: impl Fn(&Link, &Group, &Group) -> bool) -> Result<Option<(usize, usize, Link)>> {
        let mut best: Option<(usize, usize, Link)> = None;
        for (left_index, left) in self.groups.iter().enumerate() {
            for (right_index, right) in self.groups.iter().enumerate().skip(left_index + 1) {
                let link = self.link(left, right)?;
                let better = best.as_ref().is_none_or(|(_, _, found)| link.rows < found.rows);
                if better && allowed(&link, left, right) {
                    best = Some((left_index, right_index, link));
                }
            }
        }
        Ok(best)
    }

    /// The conditions that hold between two groups: one equality for each class that both have a column of, and the
    /// predicates that neither could answer alone.
    fn link(&self, left: &Group, right: &Group) -> Result<Link> {
        let mut on = vec![];
        for class in self.keys.iter() {
            let of = |group: &Group| class.iter().find(|column| group.has(column)).map(column);
            on.extend(of(left).zip(of(right)));
        }
        let mut filter = vec![];
        for predicate in self.predicates.iter().filter(|predicate| spans(left, right, predicate)) {
            match key_pair(predicate, left.plan.schema(), right.plan.schema())? {
                Some(pair) => on.push(pair),
                None => filter.push(predicate.clone()),
            }
        }
        let condition = JoinCondition {
            on: &on,
            filtered: !filter.is_empty(),
            left: left.plan.schema(),
            right: right.plan.schema(),
        };
        let rows = left.profile.matches(&right.profile, &condition);
        Ok(Link { on, filter, rows })
    }

    /// The smaller group becomes the left side, from which a hash join builds its table.
    fn join(&mut self, left: Group, right: Group, link: Link) -> Result<Group> {
        self.predicates.retain(|predicate| !spans(&left, &right, predicate));
        let swap = right.profile.rows < left.profile.rows;
        let (left, right) = if swap { (right, left) } else { (left, right) };
        let on = if swap { link.on.into_iter().map(|(l, r)| (r, l)).collect() } else { link.on };
        let location = left.location.clone().with(right.location.clone());
        let join = Join::try_new(
            left.plan,
            right.plan,
            on,
            conjunction(link.filter),
            JoinType::Inner,
            JoinConstraint::On,
            NullEquality::NullEqualsNothing,
            false,
        )?;
        let profile = left.profile.joined(&right.profile, &join);
        Ok(Group { plan: Arc::new(LogicalPlan::Join(join)), profile, location })
    }

    /// The one group that is left, under the conditions that found no place below.
    fn finish(mut self) -> Result<LogicalPlan> {
        let Some(mut whole) = self.groups.pop() else { return Ok(LogicalPlan::default()) };
        self.predicates.append(&mut self.subquery_predicates);
        whole.filter(self.predicates)?;
        for semi in self.semi_joins {
            whole.replace(LogicalPlan::Join(semi_join(&whole, semi)?));
        }
        Ok(Arc::unwrap_or_clone(whole.plan))
    }
}

/// Whether `predicate` needs columns of both groups and no others.
fn spans(left: &Group, right: &Group, predicate: &Expr) -> bool {
    let columns = predicate.column_refs();
    columns.iter().all(|column| left.has(column) || right.has(column))
        && columns.iter().any(|column| left.has(column))
        && columns.iter().any(|column| right.has(column))
}

/// The two sides of an equality between the groups, when a hash join can use it.
fn key_pair(predicate: &Expr, left: &DFSchema, right: &DFSchema) -> Result<Option<(Expr, Expr)>> {
    let Expr::BinaryExpr(BinaryExpr { left: one, op: Operator::Eq, right: other }) = predicate else { return Ok(None) };
    let Some((of_left, of_right)) = find_valid_equijoin_key_pair(one, other, left, right)? else { return Ok(None) };
    Ok(can_hash(&of_left.get_type(left)?).then_some((of_left, of_right)))
}

/// Semi-joins the group when it has the columns for it, under their own names or as equal columns; otherwise gives the
/// semi-join back.
fn restrict(group: &mut Group, mut semi: Join, keys: &KeyClasses) -> Result<Option<Join>> {
    let renamed = |expr: &Expr, hidden: Option<&DFSchema>| rename(expr.clone(), group, hidden, keys);
    let mut on = vec![];
    for (left, right) in &semi.on {
        let Some(left) = renamed(left, None)? else { return Ok(Some(semi)) };
        on.push((left, right.clone()));
    }
    let mut filter = None;
    if let Some(condition) = &semi.filter {
        filter = renamed(condition, Some(semi.right.schema()))?;
        if filter.is_none() {
            return Ok(Some(semi));
        }
    }
    semi = Join { on, filter, ..semi };
    group.replace(LogicalPlan::Join(semi_join(group, semi)?));
    Ok(None)
}

/// `expr` with every column, except those of `right`, as a column of the group; `None` when the group lacks one.
fn rename(expr: Expr, group: &Group, right: Option<&DFSchema>, keys: &KeyClasses) -> Result<Option<Expr>> {
    let mut missing = false;
    let renamed = expr.transform(|inner| {
        let Expr::Column(column) = &inner else { return Ok(Transformed::no(inner)) };
        let own = group.has(column) || right.is_some_and(|schema| schema.is_column_from_schema(column));
        if own {
            return Ok(Transformed::no(inner));
        }
        let mate = keys.mates(column).find(|mate| group.has(mate));
        missing |= mate.is_none();
        Ok(mate.map_or_else(|| Transformed::no(inner.clone()), |mate| Transformed::yes(Expr::Column(mate.clone()))))
    })?;
    Ok((!missing).then_some(renamed.data))
}

fn semi_join(group: &Group, semi: Join) -> Result<Join> {
    Join::try_new(
        Arc::clone(&group.plan),
        semi.right,
        semi.on,
        semi.filter,
        semi.join_type,
        semi.join_constraint,
        semi.null_equality,
        semi.null_aware,
    )
}

fn project(plan: LogicalPlan, schema: &DFSchemaRef) -> Result<LogicalPlan> {
    let same = plan.schema().iter().map(Column::from).eq(schema.columns());
    if same {
        return Ok(plan);
    }
    Ok(LogicalPlan::Projection(Projection::new_from_schema(Arc::new(plan), Arc::clone(schema))))
}

fn column(column: &Column) -> Expr {
    Expr::Column(column.clone())
}
