//! Where the plan is cut: every largest subtree whose tables are all of one site becomes a fragment of that site.
//!
//! ```text
//! before   Aggregate(Join(Filter(Scan sales.tpch.orders), Filter(Scan logistics.tpch.lineitem)))
//! after    Aggregate(Join(Fragment site=sales, Fragment site=logistics))
//! never    Values, EmptyRelation, tables of the coordinator: no site, no fragment
//! ```
//!
//! A subtree that cannot be written or proven is cut smaller: its top stays here, its inputs are tried each.

use std::collections::BTreeMap;
use std::sync::Arc;

use connectors::statement::{Accepts, Refusal, Statement};
use datafusion::common::TableReference;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::error::Result as DataFusionResult;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{Extension, LogicalPlan};

use crate::catalog::site_table::{SiteId, SiteTable};
use crate::error::{EngineError, Result};
use crate::exec::remote_scan::{Fragment, Reduction};
use crate::plan::estimate::estimate_statistics;
use crate::plan::fragment_node::FragmentNode;
use crate::plan::order::Order;
use crate::plan::prove::{Unsent, prove};
use crate::plan::sites::{Location, Sites};

/// A plan in which every table of a site lies in a fragment.
#[derive(Debug)]
pub struct CutPlan {
    /// What is left for the coordinator, with fragments as leaves.
    pub plan: LogicalPlan,
    /// The fragments, from left to right.
    pub fragments: Vec<Arc<Fragment>>,
    /// Why subtrees of one site were cut smaller than they are.
    pub unsent: Vec<(SiteId, Unsent)>,
    /// Sites that get no key set that would have saved them sending rows, and why.
    pub withheld: Vec<(SiteId, String)>,
}

/// Cuts `plan`.
///
/// # Errors
/// When even the scan of a table cannot be written.
pub fn cut_fragments(state: &SessionState, plan: LogicalPlan) -> Result<CutPlan> {
    let mut cutter = Cutter { state, accepts: Accepts::default(), fragments: Vec::new(), unsent: Vec::new() };
    let plan = match cutter.place(&plan)? {
        Location::At(site) => cutter.cut_whole(plan, &site)?,
        _ => cutter.cut(plan)?,
    };
    Ok(CutPlan { plan, fragments: cutter.fragments, unsent: cutter.unsent, withheld: Vec::new() })
}

/// One subtree of one site as a fragment, and the leaf that stands for it.
///
/// # Errors
/// Why it is not sent as it is.
pub fn whole_fragment(
    state: &SessionState,
    plan: &LogicalPlan,
    site: &SiteId,
) -> Result<(Arc<Fragment>, LogicalPlan), Unsent> {
    let mut cutter = Cutter { state, accepts: Accepts::default(), fragments: Vec::new(), unsent: Vec::new() };
    let node = cutter.fragment(plan, site)?;
    let lost = || Unsent::NotWritten(Refusal::new("fragment", "was not kept"));
    Ok((cutter.fragments.pop().ok_or_else(lost)?, node))
}

struct Cutter<'a> {
    state: &'a SessionState,
    accepts: Accepts,
    fragments: Vec<Arc<Fragment>>,
    unsent: Vec<(SiteId, Unsent)>,
}

impl Cutter<'_> {
    fn place(&self, plan: &LogicalPlan) -> Result<Location> {
        Ok(Sites::default().locate(plan)?)
    }

    /// The whole statement is of one site: its order, if it has one, is the statement's own.
    fn cut_whole(&mut self, plan: LogicalPlan, site: &SiteId) -> Result<LogicalPlan> {
        match self.fragment(&plan, site) {
            Ok(node) => Ok(node),
            Err(unsent) => {
                self.note(site.clone(), unsent);
                self.cut_inputs(plan)
            }
        }
    }

    fn cut(&mut self, plan: LogicalPlan) -> Result<LogicalPlan> {
        let Location::At(site) = self.place(&plan)? else { return self.cut_inputs(plan) };
        let order = Order::of(&plan);
        if order == Order::Hidden {
            return self.cut_inputs(plan);
        }
        match self.fragment(&plan, &site) {
            Ok(node) => Ok(order.restored(node)),
            Err(unsent) => {
                self.note(site, unsent);
                self.cut_inputs(plan)
            }
        }
    }

    /// Every subtree above an operator that is not sent is refused for the same reason, which is told once.
    fn note(&mut self, site: SiteId, unsent: Unsent) {
        if !self.unsent.iter().any(|(at, known)| *at == site && *known == unsent) {
            self.unsent.push((site, unsent));
        }
    }

    /// The node stays; its inputs and subqueries are cut.
    fn cut_inputs(&mut self, plan: LogicalPlan) -> Result<LogicalPlan> {
        if let LogicalPlan::TableScan(scan) = &plan
            && let Some(table) = SiteTable::of(scan)
        {
            let why = self.unsent.last().map(|(_, unsent)| unsent.to_string()).unwrap_or_default();
            return Err(EngineError::internal(format!("a scan of site {} cannot be written: {why}", table.site())));
        }
        let mut cut = |input: LogicalPlan| -> DataFusionResult<Transformed<LogicalPlan>> {
            Ok(Transformed::yes(self.cut(input)?))
        };
        let plan = plan.map_subqueries(|subquery| match subquery {
            LogicalPlan::Subquery(subquery) => subquery_of(subquery, &mut cut),
            other => Ok(Transformed::no(other)),
        })?;
        Ok(plan.data.map_children(&mut cut)?.data)
    }

    fn fragment(&mut self, plan: &LogicalPlan, site: &SiteId) -> Result<LogicalPlan, Unsent> {
        let failed = |error: &dyn std::fmt::Display| Unsent::NotWritten(Refusal::new("fragment", error.to_string()));
        let statement = written(self.state, plan, &self.accepts)?;
        let fragment = Arc::new(Fragment {
            site: site.clone(),
            statement: Arc::from(statement.text),
            reduction: Reduction::default(),
            keys_to: Vec::new(),
            schema: Arc::clone(plan.schema().inner()),
            versions: Arc::new(versions(plan).map_err(|error| failed(&error))?),
            statistics: Arc::new(estimate_statistics(plan)),
        });
        self.fragments.push(Arc::clone(&fragment));
        let node = FragmentNode::new(fragment, plan.clone());
        Ok(LogicalPlan::Extension(Extension { node: Arc::new(node) }))
    }
}

/// The statement of a subtree of one site, proven.
///
/// # Errors
/// Why it is not sent.
pub fn written(state: &SessionState, plan: &LogicalPlan, accepts: &Accepts) -> Result<Statement, Unsent> {
    let named = with_full_names(plan.clone())
        .map_err(|error| Unsent::NotWritten(Refusal::new("fragment", error.to_string())))?;
    prove(state, &named, accepts)
}

fn subquery_of(
    subquery: datafusion::logical_expr::Subquery,
    cut: &mut dyn FnMut(LogicalPlan) -> DataFusionResult<Transformed<LogicalPlan>>,
) -> DataFusionResult<Transformed<LogicalPlan>> {
    let inner = cut(subquery.subquery.as_ref().clone())?.data;
    Ok(Transformed::yes(LogicalPlan::Subquery(subquery.with_plan(Arc::new(inner)))))
}

/// The same plan with every table named `site.source.table`, whatever the asker wrote.
fn with_full_names(plan: LogicalPlan) -> DataFusionResult<LogicalPlan> {
    let named = plan.transform_down_with_subqueries(|node| match node {
        LogicalPlan::TableScan(mut scan) => match SiteTable::of(&scan) {
            Some(table) => {
                let origin = table.origin();
                let catalog = origin.catalog.as_deref().unwrap_or(table.site().as_str());
                scan.table_name = TableReference::full(catalog, origin.source.as_str(), origin.table.as_str());
                Ok(Transformed::yes(LogicalPlan::TableScan(scan)))
            }
            None => Ok(Transformed::no(LogicalPlan::TableScan(scan))),
        },
        other => Ok(Transformed::no(other)),
    })?;
    Ok(named.data)
}

fn versions(plan: &LogicalPlan) -> DataFusionResult<BTreeMap<String, String>> {
    let mut versions = BTreeMap::new();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && let Some(table) = SiteTable::of(scan)
        {
            let origin = table.origin();
            versions.insert(format!("{}.{}", origin.source, origin.table), origin.version.clone());
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(versions)
}
