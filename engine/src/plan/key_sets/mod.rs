//! Which fragments reduce which: the keys of one site's rows go to another site before it is asked.
//!
//! ```text
//! before   HashJoin(Fragment sales: orders of a day, Fragment logistics: lineitem)
//! after    HashJoin(KeySource(Fragment sales: …), Fragment logistics: … LEFT SEMI JOIN system.key_sets."1" ON l_orderkey = k)
//! never    for the side of an outer or anti join whose rows stay in any case; below a LIMIT or a window; between fragments
//!          of one site; without the leave of whose values they are (`leave.rs`)
//! ```
//!
//! One fragment after the other is settled, always the one of which the fewest rows are expected, and is reduced only by those
//! that are settled: so keys never go in a circle. What was reduced has fewer rows, and may then reduce another. The fragments
//! of a union are one: their keys go together, and each is sent what reduces the union. A set holds all that the join could ask
//! for, so that the answer is the same with it and without it. Whether it is sent is decided last when it is there
//! ([`crate::exec::remote_scan::KeySetUse`]); for each choice there is a statement, proven like every other.

mod edges;
mod leave;
mod side;

use std::sync::Arc;

use arrow::datatypes::DataType;
use connectors::statement::Accepts;
use datafusion::catalog::default_table_source::provider_as_source;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, JoinType};
use datafusion::datasource::empty::EmptyTable;
use datafusion::error::Result as DataFusionResult;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder, Union};

use self::edges::{Edge, End, LateEdge, edges, late_edges};
use self::leave::{Leave, leave};
use self::side::Side;
use crate::catalog::site_table::SiteId;
use crate::error::Result;
use crate::exec::remote_scan::{KeySetUse, Saving};
use crate::key_set::{COLUMN, KEY_SETS_MAX, relation, schema};
use crate::plan::cut_fragments::{CutPlan, written};
use crate::plan::estimate::width_bytes;
use crate::plan::fragment_node::FragmentNode;

/// How many statements may be written and proven for what reduces one fragment, or the fragments of a union.
const STATEMENTS_MAX: usize = 128;
/// Bytes in which a key of a fixed width is sent, roughly.
const KEY_BYTES: f64 = 2.0;
/// The part of a row's bytes that is counted as saved: what is compressed on its way saves less.
const COUNTED: f64 = 0.4;

/// Has fragments of `cut` send their keys to others.
///
/// # Errors
/// When the plan cannot be walked.
pub fn send_key_sets(state: &SessionState, cut: CutPlan) -> Result<CutPlan> {
    let late = late_edges(&cut.plan)?;
    let mut edges = edges(&cut.plan)?;
    edges.retain(|edge| late.iter().all(|late| !late.to.is_same(&edge.to) && !late.to.is_same(&edge.from)));
    if edges.is_empty() && late.is_empty() {
        return Ok(cut);
    }
    let mut planner = Planner { state, sides: Vec::new(), withheld: Vec::new() };
    for edge in &late {
        planner.reduce_late(edge);
    }
    for edge in &edges {
        planner.add(&edge.from);
        planner.add(&edge.to);
    }
    while let Some(position) = planner.smallest(&edges) {
        planner.reduce(position, &edges);
        planner.settle(position);
    }
    planner.into_plan(cut)
}

struct Planner<'a> {
    state: &'a SessionState,
    sides: Vec<Side>,
    withheld: Vec<(SiteId, String)>,
}

/// A key set that could be sent.
struct Candidate {
    from: usize,
    column: usize,
    to_column: usize,
    keys_min: u64,
    saving: Saving,
    keys: f64,
    saved: f64,
}

impl Planner<'_> {
    fn add(&mut self, end: &End) -> usize {
        match self.sides.iter().position(|side| side.is_of(end)) {
            Some(position) => position,
            None => {
                self.sides.push(Side::new(end));
                self.sides.len() - 1
            }
        }
    }

    /// The rows of what comes late are those of the keys that are left.
    fn reduce_late(&mut self, edge: &LateEdge) {
        let position = self.add(&edge.to);
        self.settle(position);
        let Some(statements) = self.statements(position, &[edge.to.column]) else { return };
        let Some(side) = self.sides.get_mut(position) else { return };
        let name = side.arms.first().map(|arm| leave::name(&arm.node, edge.to.column));
        side.key_sets = vec![KeySetUse {
            source: Arc::clone(&edge.source),
            column: edge.column,
            name: name.unwrap_or_default(),
            keys_min: 0,
            saving: Saving { bytes: side.rows * side.row_bytes() * COUNTED, keys: side.rows },
        }];
        side.say(statements);
    }

    fn settle(&mut self, position: usize) {
        if let Some(side) = self.sides.get_mut(position) {
            side.is_settled = true;
        }
    }

    /// Of those that are not settled, the one of which the fewest rows are expected when those that are reduce it.
    fn smallest(&self, edges: &[Edge]) -> Option<usize> {
        let open = self.sides.iter().enumerate().filter(|(_, side)| !side.is_settled);
        let expected = open.map(|(position, side)| {
            let to_here = edges.iter().filter(|edge| side.is_of(&edge.to));
            let candidates = to_here.filter_map(|edge| self.candidate(position, edge)?.ok());
            let kept = candidates.map(|candidate| 1.0 - candidate.saving.part_of(candidate.keys)).fold(1.0, f64::min);
            (position, side.rows * kept)
        });
        expected.min_by(|(_, rows), (_, others)| rows.total_cmp(others)).map(|(position, _)| position)
    }

    /// The sets that are worth their bytes and have leave, the best first.
    fn reduce(&mut self, position: usize, edges: &[Edge]) {
        let Some(side) = self.sides.get(position) else { return };
        let to_here = edges.iter().filter(|edge| side.is_of(&edge.to));
        let mut candidates: Vec<Candidate> = Vec::new();
        let mut withheld = Vec::new();
        for edge in to_here {
            match self.candidate(position, edge) {
                Some(Ok(candidate)) if candidates.iter().all(|known| !known.is_same(&candidate)) => {
                    candidates.push(candidate);
                }
                Some(Err(reason)) => withheld.extend(side.sites().map(|site| (site.clone(), reason.clone()))),
                _ => {}
            }
        }
        self.withheld.extend(withheld);
        candidates.sort_by(|a, b| b.saved.total_cmp(&a.saved));
        candidates.truncate(KEY_SETS_MAX);
        // Every arm has a statement for each choice of the sets.
        while side.arms.len() * ((1 << candidates.len()) - 1) > STATEMENTS_MAX {
            candidates.pop();
        }
        let columns: Vec<usize> = candidates.iter().map(|candidate| candidate.to_column).collect();
        if let Some(statements) = self.statements(position, &columns) {
            self.accept(position, candidates, statements);
        }
    }

    /// The set of one edge; `None` where it cannot or need not be, an error where it has no leave.
    fn candidate(&self, position: usize, edge: &Edge) -> Option<Result<Candidate, String>> {
        let to = self.sides.get(position)?;
        let (from, source) = self.sides.iter().enumerate().find(|(_, side)| side.is_of(&edge.from))?;
        if !source.is_settled || source.is_beside(to) {
            return None;
        }
        let data_type = edge.from.data_type()?;
        let keys = source.profile.distinct(edge.from.column);
        let keys_here = to.profile.distinct(edge.to.column);
        let arms = to.arms.len() as f64;
        // Each arm is sent the whole set.
        let saving = Saving { bytes: to.rows * to.row_bytes() * COUNTED / arms, keys: keys_here };
        let saved = (saving.bytes * saving.part_of(keys) - keys * key_bytes(&data_type)) * arms;
        if saved <= 0.0 {
            return None;
        }
        let leaves = to.sites().map(|site| self.leave(from, edge.from.column, site.as_str()));
        let keys_min = match leaves.fold(Leave::Free, Leave::and) {
            Leave::Free => 0,
            // The rule of one site is of its own keys, and those of several are counted together.
            Leave::AtLeast(_) if source.arms.len() > 1 => {
                return Some(Err("keys of several sites go together only where none enforces policy".to_string()));
            }
            Leave::AtLeast(keys) => keys,
            Leave::Denied(reason) => return Some(Err(reason)),
        };
        let (column, to_column) = (edge.from.column, edge.to.column);
        Some(Ok(Candidate { from, column, to_column, keys_min, saving, keys, saved }))
    }

    /// The leave of whose keys they are, and of everybody by whose keys these rows were chosen.
    fn leave(&self, from: usize, column: usize, destination: &str) -> Leave {
        let Some(side) = self.sides.get(from) else { return Leave::Denied(String::new()) };
        let own = self.leave_of(from, column, destination);
        side.depends_on
            .iter()
            .fold(own, |leave, (other, column)| leave.and(self.leave_of(*other, *column, destination)))
    }

    fn leave_of(&self, side: usize, column: usize, destination: &str) -> Leave {
        let arms = self.sides.get(side).into_iter().flat_map(|side| &side.arms);
        arms.map(|arm| leave(arm.node.plan(), column, destination)).fold(Leave::Free, Leave::and)
    }

    /// The statement of each arm for each choice of the sets; `None` when one of them cannot be said.
    fn statements(&self, position: usize, columns: &[usize]) -> Option<Vec<Vec<Arc<str>>>> {
        let side = self.sides.get(position).filter(|_| !columns.is_empty())?;
        side.arms.iter().map(|arm| self.statements_of(&arm.node, columns)).collect()
    }

    fn statements_of(&self, node: &FragmentNode, columns: &[usize]) -> Option<Vec<Arc<str>>> {
        let choices = 1..1_usize << columns.len();
        let reduced = choices.map(|choice| {
            let mut chosen = columns.iter().enumerate().filter(|(index, _)| choice >> index & 1 == 1);
            let plan = chosen.try_fold(node.plan().clone(), |plan, (index, column)| {
                semi_join(plan, *column, u32::try_from(index + 1).unwrap_or(u32::MAX))
            });
            let statement = written(self.state, &plan.ok()?, &Accepts::default()).ok()?;
            Some(Arc::from(statement.text))
        });
        let plain = Arc::clone(&node.fragment().statement);
        Some([plain].into_iter().chain(reduced.collect::<Option<Vec<_>>>()?).collect())
    }

    fn accept(&mut self, position: usize, candidates: Vec<Candidate>, statements: Vec<Vec<Arc<str>>>) {
        let Some(side) = self.sides.get(position) else { return };
        let destinations: Vec<SiteId> = side.sites().cloned().collect();
        for candidate in &candidates {
            destinations.iter().for_each(|site| self.announce(candidate.from, candidate.column, site));
        }
        let mut uses = Vec::new();
        let mut depends_on = Vec::new();
        let kept = candidates.first().map_or(1.0, |best| 1.0 - best.saving.part_of(best.keys));
        for candidate in candidates {
            let Some(from) = self.sides.get_mut(candidate.from) else { continue };
            from.is_source = true;
            let of_source = from.depends_on.iter().copied().chain([(candidate.from, candidate.column)]);
            depends_on.extend(of_source.filter(|other| !depends_on.contains(other)).collect::<Vec<_>>());
            uses.push(KeySetUse {
                source: Arc::clone(&from.source),
                column: candidate.column,
                name: from.name(candidate.column),
                keys_min: candidate.keys_min,
                saving: candidate.saving,
            });
        }
        if let Some(side) = self.sides.get_mut(position) {
            side.key_sets = uses;
            side.say(statements);
            side.depends_on = depends_on;
            side.profile = side.profile.clone().thinned(kept);
        }
    }

    /// The sites whose values they are, or by whose values they were chosen, are told where they go.
    fn announce(&mut self, from: usize, column: usize, destination: &SiteId) {
        let others = self.sides.get(from).map(|side| side.depends_on.clone()).unwrap_or_default();
        for (side, column) in others.into_iter().chain([(from, column)]) {
            for arm in self.sides.get_mut(side).into_iter().flat_map(|side| &mut side.arms) {
                let told = leave::keys_to(arm.node.plan(), column, destination.as_str());
                arm.keys_to.extend(told.filter(|told| !arm.keys_to.contains(told)));
            }
        }
    }

    /// The plan with the reduced fragments in the places of the plain ones, and their sources held.
    fn into_plan(self, cut: CutPlan) -> Result<CutPlan> {
        let replaced: Vec<_> = self.sides.iter().map(Side::replaced).collect();
        let side_of = |node: &LogicalPlan, position: usize| {
            let fragment = FragmentNode::of(node)?;
            replaced.iter().position(|arms| arms.get(position).is_some_and(|(plain, _, _)| plain == fragment))
        };
        let plan = cut.plan.transform_down(|node| {
            let (first, arms) = match &node {
                LogicalPlan::Union(union) => (union.inputs.first().map(AsRef::as_ref), union.inputs.len()),
                other => (Some(other), 1),
            };
            let side = first.and_then(|first| side_of(first, 0));
            let Some(position) = side.filter(|position| replaced.get(*position).is_some_and(|it| it.len() == arms))
            else {
                return Ok(Transformed::no(node));
            };
            let mut leaves = replaced.iter().skip(position).take(1).flatten().map(|(_, _, leaf)| leaf.clone());
            let plan = match node {
                LogicalPlan::Union(union) => {
                    LogicalPlan::Union(Union { inputs: leaves.map(Arc::new).collect(), schema: union.schema })
                }
                other => leaves.next().unwrap_or(other),
            };
            let held = self.sides.get(position).map(|side| side.held(plan.clone())).unwrap_or(plan);
            Ok(Transformed::new(held, true, TreeNodeRecursion::Jump))
        })?;
        let arms: Vec<_> = replaced.iter().flatten().collect();
        let fragments = cut.fragments.into_iter().map(|fragment| {
            let replaced = arms.iter().find(|(plain, _, _)| Arc::ptr_eq(plain.fragment(), &fragment));
            replaced.map_or(fragment, |(_, reduced, _)| Arc::clone(reduced))
        });
        Ok(CutPlan { plan: plan.data, fragments: fragments.collect(), withheld: self.withheld, ..cut })
    }
}

impl Candidate {
    fn is_same(&self, other: &Self) -> bool {
        (self.from, self.column, self.to_column) == (other.from, other.column, other.to_column)
    }
}

/// The rows of `plan` whose `column` is in the key set of that number.
fn semi_join(plan: LogicalPlan, column: usize, id: u32) -> DataFusionResult<LogicalPlan> {
    let key = Column::from(plan.schema().qualified_field(column));
    let keys = schema(plan.schema().field(column).data_type());
    let keys = provider_as_source(Arc::new(EmptyTable::new(keys)));
    let keys = LogicalPlanBuilder::scan(relation(id), keys, None)?.build()?;
    let own = Column::new(Some(relation(id)), COLUMN);
    LogicalPlanBuilder::from(plan).join(keys, JoinType::LeftSemi, (vec![key], vec![own]), None)?.build()
}

fn key_bytes(data_type: &DataType) -> f64 {
    if data_type.is_integer() || *data_type == DataType::Date32 { KEY_BYTES } else { width_bytes(data_type) }
}
