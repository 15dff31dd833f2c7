//! What reduces and is reduced: a fragment, or all the fragments of a union, which are asked alike.

use std::sync::Arc;

use datafusion::logical_expr::{Extension, LogicalPlan};

use super::edges::End;
use super::leave;
use crate::catalog::site_table::SiteId;
use crate::exec::key_source::KeySource;
use crate::exec::remote_scan::{Fragment, KeySetUse, Reduction};
use crate::key_set::KeysTo;
use crate::plan::estimate::{Profile, width_bytes};
use crate::plan::fragment_node::{FragmentNode, KeySourceNode};

/// Rows of a fragment whose site publishes no count.
const ROWS_UNKNOWN: f64 = 1_000_000.0;

/// A fragment or a union of fragments that may reduce others, or be reduced.
pub(super) struct Side {
    /// One, or those of a union, which have the same columns.
    pub(super) arms: Vec<Arm>,
    pub(super) profile: Profile,
    pub(super) rows: f64,
    pub(super) source: Arc<KeySource>,
    /// Whether its keys go anywhere.
    pub(super) is_source: bool,
    /// The sets that reduce it.
    pub(super) key_sets: Vec<KeySetUse>,
    /// Whether what reduces it is settled; a side is reduced only by those that are.
    pub(super) is_settled: bool,
    /// Whose values its rows depend on by the keys that it was sent, and by those that these depended on: positions, and the
    /// columns of the keys.
    pub(super) depends_on: Vec<(usize, usize)>,
}

/// A fragment of a side.
pub(super) struct Arm {
    pub(super) node: FragmentNode,
    /// Its statement for each choice of the sets that reduce it.
    pub(super) statements: Vec<Arc<str>>,
    /// Where its keys go.
    pub(super) keys_to: Vec<KeysTo>,
}

impl Side {
    pub(super) fn new(end: &End) -> Self {
        let profiles = end.arms.iter().map(|arm| {
            let columns = arm.plan().schema().fields().len();
            Profile::of(arm.plan()).unwrap_or_else(|| Profile::unknown(ROWS_UNKNOWN, columns))
        });
        let profile = Profile::together(profiles.collect());
        let arm = |node: &FragmentNode| Arm { node: node.clone(), statements: Vec::new(), keys_to: Vec::new() };
        Self {
            arms: end.arms.iter().map(arm).collect(),
            rows: profile.rows,
            profile,
            source: Arc::default(),
            is_source: false,
            key_sets: Vec::new(),
            is_settled: false,
            depends_on: Vec::new(),
        }
    }

    /// Whether `end` is a column of this side.
    pub(super) fn is_of(&self, end: &End) -> bool {
        self.arms.first().map(|arm| &arm.node) == end.arms.first()
    }

    pub(super) fn sites(&self) -> impl Iterator<Item = &SiteId> {
        self.arms.iter().map(|arm| &arm.node.fragment().site)
    }

    /// Whether all of both lies at one site, where nothing crosses.
    pub(super) fn is_beside(&self, other: &Side) -> bool {
        let mut sites = self.sites().chain(other.sites());
        let first = sites.next();
        sites.all(|site| Some(site) == first)
    }

    /// Bytes of a row, before they are compressed.
    pub(super) fn row_bytes(&self) -> f64 {
        let fields = self.arms.first().map(|arm| arm.node.plan().schema().fields());
        fields.into_iter().flatten().map(|field| width_bytes(field.data_type())).sum()
    }

    /// Where the values of a column come from, for people.
    pub(super) fn name(&self, column: usize) -> String {
        let names = self.arms.iter().map(|arm| leave::name(&arm.node, column));
        names.collect::<Vec<_>>().join(" and ")
    }

    /// Gives each arm its statements.
    pub(super) fn say(&mut self, statements: Vec<Vec<Arc<str>>>) {
        for (arm, statements) in self.arms.iter_mut().zip(statements) {
            arm.statements = statements;
        }
    }

    /// The plain node of each arm, the fragment in its place, and the leaf with it.
    pub(super) fn replaced(&self) -> Vec<(FragmentNode, Arc<Fragment>, LogicalPlan)> {
        let replaced = self.arms.iter().map(|arm| {
            let plain = arm.node.fragment();
            let fragment = Arc::new(Fragment {
                site: plain.site.clone(),
                statement: Arc::clone(arm.statements.last().unwrap_or(&plain.statement)),
                reduction: Reduction { key_sets: self.key_sets.clone(), statements: arm.statements.clone() },
                keys_to: arm.keys_to.clone(),
                schema: Arc::clone(&plain.schema),
                versions: Arc::clone(&plain.versions),
                statistics: Arc::clone(&plain.statistics),
            });
            let node = arm.node.with_fragment(Arc::clone(&fragment));
            (arm.node.clone(), fragment, LogicalPlan::Extension(Extension { node: Arc::new(node) }))
        });
        replaced.collect()
    }

    /// `plan`, which has the rows of this side, with what holds them above it, if its keys go anywhere.
    pub(super) fn held(&self, plan: LogicalPlan) -> LogicalPlan {
        if !self.is_source {
            return plan;
        }
        LogicalPlan::Extension(Extension { node: Arc::new(KeySourceNode::new(Arc::clone(&self.source), plan)) })
    }
}
