//! Which fragments reduce which: the keys of one site's rows go to another site before it is asked.
//!
//! ```text
//! before   HashJoin(Fragment sales: orders of a day, Fragment logistics: lineitem)
//! after    HashJoin(KeySource(Fragment sales: …), Fragment logistics: … LEFT SEMI JOIN system.key_sets."1" ON l_orderkey = k)
//! never    for the side of an outer or anti join whose rows stay in any case; below a LIMIT or a window; between fragments
//!          of one site; without the leave of whose values they are (`leave.rs`)
//! ```
//!
//! Keys go from the fragment with fewer expected rows to the one with more, so that they never go in a circle. A fragment that
//! was reduced has fewer, and may then reduce another: a chain. A set holds all that the join could ask for, so that the answer is the
//! same with it and without it. Whether it is sent is decided last when it is there
//! ([`crate::exec::remote_scan::KeySetUse`]); for each choice there is a statement, proven like every other.

mod edges;
mod leave;

use std::sync::Arc;

use arrow::datatypes::DataType;
use connectors::statement::Accepts;
use datafusion::catalog::default_table_source::provider_as_source;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, JoinType};
use datafusion::datasource::empty::EmptyTable;
use datafusion::error::Result as DataFusionResult;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{Extension, LogicalPlan, LogicalPlanBuilder};

use self::edges::{Edge, LateEdge, edges, late_edges};
use self::leave::{Leave, leave};
use crate::catalog::site_table::SiteId;
use crate::error::Result;
use crate::exec::key_source::KeySource;
use crate::exec::remote_scan::{Fragment, KeySetUse, Reduction, Saving};
use crate::key_set::{COLUMN, KEY_SETS_MAX, KeysTo, relation, schema};
use crate::plan::cut_fragments::{CutPlan, written};
use crate::plan::estimate::{Profile, width_bytes};
use crate::plan::fragment_node::{FragmentNode, KeySourceNode};

/// Rows of a fragment whose site publishes no count.
const ROWS_UNKNOWN: f64 = 1_000_000.0;
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
    edges.retain(|edge| late.iter().all(|late| late.to.node != edge.to.node && late.to.node != edge.from.node));
    if edges.is_empty() && late.is_empty() {
        return Ok(cut);
    }
    let mut planner = Planner { state, sides: Vec::new(), withheld: Vec::new() };
    for edge in &late {
        planner.reduce_late(edge);
    }
    for edge in &edges {
        planner.add(&edge.from.node);
        planner.add(&edge.to.node);
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

/// A fragment that may reduce others, or be reduced.
struct Side {
    node: FragmentNode,
    profile: Profile,
    rows: f64,
    source: Arc<KeySource>,
    /// Whether its keys go anywhere.
    is_source: bool,
    reduction: Reduction,
    /// Whether what reduces it is settled; a fragment is reduced only by those that are.
    is_settled: bool,
    /// Whose values its rows depend on by the keys that it was sent: positions, and the columns of these keys.
    depends_on: Vec<(usize, usize)>,
    /// Where its keys go.
    keys_to: Vec<KeysTo>,
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
    fn add(&mut self, node: &FragmentNode) {
        if self.sides.iter().any(|side| side.node == *node) {
            return;
        }
        let columns = node.plan().schema().fields().len();
        let profile = Profile::of(node.plan()).unwrap_or_else(|| Profile::unknown(ROWS_UNKNOWN, columns));
        self.sides.push(Side {
            node: node.clone(),
            rows: profile.rows,
            profile,
            source: Arc::default(),
            is_source: false,
            reduction: Reduction::default(),
            is_settled: false,
            depends_on: Vec::new(),
            keys_to: Vec::new(),
        });
    }

    /// The rows of what comes late are those of the keys that are left.
    fn reduce_late(&mut self, edge: &LateEdge) {
        self.add(&edge.to.node);
        let Some(position) = self.sides.iter().position(|side| side.node == edge.to.node) else { return };
        let Some(statements) = self.statements(position, &[edge.to.column]) else { return };
        let Some(side) = self.sides.get_mut(position) else { return };
        let key_set = KeySetUse {
            source: Arc::clone(&edge.source),
            column: edge.column,
            name: leave::name(&side.node, edge.to.column),
            keys_min: 0,
            saving: Saving { bytes: side.rows * row_bytes(&side.node) * COUNTED, keys: side.rows },
        };
        side.reduction = Reduction { key_sets: vec![key_set], statements };
        side.is_settled = true;
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
            let to_here = edges.iter().filter(|edge| edge.to.node == side.node);
            let candidates = to_here.filter_map(|edge| self.candidate(position, edge)?.ok());
            let kept = candidates.map(|candidate| 1.0 - candidate.saving.part_of(candidate.keys)).fold(1.0, f64::min);
            (position, side.rows * kept)
        });
        expected.min_by(|(_, rows), (_, others)| rows.total_cmp(others)).map(|(position, _)| position)
    }

    /// The sets that are worth their bytes and have leave, the best first.
    fn reduce(&mut self, position: usize, edges: &[Edge]) {
        let Some(side) = self.sides.get(position) else { return };
        let to_here = edges.iter().filter(|edge| edge.to.node == side.node);
        let mut candidates: Vec<Candidate> = Vec::new();
        let mut withheld = Vec::new();
        for edge in to_here {
            match self.candidate(position, edge) {
                Some(Ok(candidate)) if candidates.iter().all(|known| !known.is_same(&candidate)) => {
                    candidates.push(candidate);
                }
                Some(Err(reason)) => withheld.push((side.node.fragment().site.clone(), reason)),
                _ => {}
            }
        }
        self.withheld.extend(withheld);
        candidates.sort_by(|a, b| b.saved.total_cmp(&a.saved));
        candidates.truncate(KEY_SETS_MAX);
        let columns: Vec<usize> = candidates.iter().map(|candidate| candidate.to_column).collect();
        if let Some(statements) = self.statements(position, &columns) {
            self.accept(position, candidates, statements);
        }
    }

    /// The set of one edge; `None` where it cannot or need not be, an error where it has no leave.
    fn candidate(&self, position: usize, edge: &Edge) -> Option<Result<Candidate, String>> {
        let to = self.sides.get(position)?;
        let (from, source) = self.sides.iter().enumerate().find(|(_, side)| side.node == edge.from.node)?;
        if !source.is_settled || source.node.fragment().site == to.node.fragment().site {
            return None;
        }
        let data_type = source.node.plan().schema().field(edge.from.column).data_type();
        let keys = source.profile.distinct(edge.from.column);
        let keys_here = to.profile.distinct(edge.to.column);
        let saving = Saving { bytes: to.rows * row_bytes(&to.node) * COUNTED, keys: keys_here };
        let saved = saving.bytes * saving.part_of(keys) - keys * key_bytes(data_type);
        if saved <= 0.0 {
            return None;
        }
        let destination = to.node.fragment().site.as_str();
        let keys_min = match self.leave(from, edge.from.column, destination) {
            Leave::Free => 0,
            Leave::AtLeast(keys) => keys,
            Leave::Denied(reason) => return Some(Err(reason)),
        };
        let (column, to_column) = (edge.from.column, edge.to.column);
        Some(Ok(Candidate { from, column, to_column, keys_min, saving, keys, saved }))
    }

    /// The leave of whose keys they are, and of everybody by whose keys these rows were chosen.
    fn leave(&self, from: usize, column: usize, destination: &str) -> Leave {
        let Some(side) = self.sides.get(from) else { return Leave::Denied(String::new()) };
        let own = leave(side.node.plan(), column, destination);
        side.depends_on.iter().fold(own, |leave, (other, column)| leave.and(self.leave(*other, *column, destination)))
    }

    /// The statement for each choice of the sets; `None` when one of them cannot be said.
    fn statements(&self, position: usize, columns: &[usize]) -> Option<Vec<Arc<str>>> {
        let side = self.sides.get(position).filter(|_| !columns.is_empty())?;
        let choices = 1..1_usize << columns.len();
        let reduced = choices.map(|choice| {
            let mut chosen = columns.iter().enumerate().filter(|(index, _)| choice >> index & 1 == 1);
            let plan = chosen.try_fold(side.node.plan().clone(), |plan, (index, column)| {
                semi_join(plan, *column, u32::try_from(index + 1).unwrap_or(u32::MAX))
            });
            let statement = written(self.state, &plan.ok()?, &Accepts::default()).ok()?;
            Some(Arc::from(statement.text))
        });
        let plain = Arc::clone(&side.node.fragment().statement);
        Some([plain].into_iter().chain(reduced.collect::<Option<Vec<_>>>()?).collect())
    }

    fn accept(&mut self, position: usize, candidates: Vec<Candidate>, statements: Vec<Arc<str>>) {
        let Some(destination) = self.sides.get(position).map(|side| side.node.fragment().site.clone()) else { return };
        for candidate in &candidates {
            self.announce(candidate.from, candidate.column, &destination);
        }
        let mut uses = Vec::new();
        let mut depends_on = Vec::new();
        let kept = candidates.first().map_or(1.0, |best| 1.0 - best.saving.part_of(best.keys));
        for candidate in candidates {
            let Some(from) = self.sides.get_mut(candidate.from) else { continue };
            from.is_source = true;
            depends_on.push((candidate.from, candidate.column));
            uses.push(KeySetUse {
                source: Arc::clone(&from.source),
                column: candidate.column,
                name: leave::name(&from.node, candidate.column),
                keys_min: candidate.keys_min,
                saving: candidate.saving,
            });
        }
        if let Some(side) = self.sides.get_mut(position) {
            side.reduction = Reduction { key_sets: uses, statements };
            side.depends_on = depends_on;
            side.profile = side.profile.clone().thinned(kept);
        }
    }

    /// The sites whose values they are, or by whose values they were chosen, are told where they go.
    fn announce(&mut self, from: usize, column: usize, destination: &SiteId) {
        let Some(side) = self.sides.get_mut(from) else { return };
        let told = leave::keys_to(side.node.plan(), column, destination.as_str());
        side.keys_to.extend(told.filter(|told| !side.keys_to.contains(told)));
        for (other, column) in side.depends_on.clone() {
            self.announce(other, column, destination);
        }
    }

    /// The plan with the reduced fragments in the places of the plain ones, and their sources held.
    fn into_plan(self, cut: CutPlan) -> Result<CutPlan> {
        let sides: Vec<_> = self.sides.into_iter().map(Side::replaced).collect();
        let replacement = |node: &LogicalPlan| {
            let fragment = FragmentNode::of(node)?;
            sides.iter().find(|(plain, _, _)| plain == fragment)
        };
        let plan = cut.plan.transform_up(|node| {
            Ok(match replacement(&node) {
                Some((_, _, replaced)) => Transformed::yes(replaced.clone()),
                None => Transformed::no(node),
            })
        })?;
        let fragments = cut.fragments.into_iter().map(|fragment| {
            let replaced = sides.iter().find(|(plain, _, _)| Arc::ptr_eq(plain.fragment(), &fragment));
            replaced.map_or(fragment, |(_, reduced, _)| Arc::clone(reduced))
        });
        let withheld = self.withheld;
        Ok(CutPlan { plan: plan.data, fragments: fragments.collect(), withheld, ..cut })
    }
}

impl Candidate {
    fn is_same(&self, other: &Self) -> bool {
        (self.from, self.column, self.to_column) == (other.from, other.column, other.to_column)
    }
}

impl Side {
    /// The plain node, the fragment in its place, and what stands in the plan.
    fn replaced(self) -> (FragmentNode, Arc<Fragment>, LogicalPlan) {
        let plain = self.node.fragment();
        let fragment = Arc::new(Fragment {
            site: plain.site.clone(),
            statement: Arc::clone(self.reduction.statements.last().unwrap_or(&plain.statement)),
            reduction: self.reduction,
            keys_to: self.keys_to,
            schema: Arc::clone(&plain.schema),
            versions: Arc::clone(&plain.versions),
            statistics: Arc::clone(&plain.statistics),
        });
        let node = self.node.with_fragment(Arc::clone(&fragment));
        let leaf = LogicalPlan::Extension(Extension { node: Arc::new(node) });
        let replaced = if self.is_source {
            LogicalPlan::Extension(Extension { node: Arc::new(KeySourceNode::new(self.source, leaf)) })
        } else {
            leaf
        };
        (self.node, fragment, replaced)
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

fn row_bytes(node: &FragmentNode) -> f64 {
    node.plan().schema().fields().iter().map(|field| width_bytes(field.data_type())).sum()
}

fn key_bytes(data_type: &DataType) -> f64 {
    if data_type.is_integer() || *data_type == DataType::Date32 { KEY_BYTES } else { width_bytes(data_type) }
}
