//! A fragment in the logical plan: a leaf that stands where the site's subtree was, planned to a remote scan.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::DFSchemaRef;
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNode, UserDefinedLogicalNodeCore};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner};

use crate::exec::remote_scan::{Fragment, RemoteScanExec};

/// What is left of a subtree that a site runs: its columns, and the fragment.
#[derive(Debug, Clone)]
pub struct FragmentNode {
    fragment: Arc<Fragment>,
    schema: DFSchemaRef,
}

impl FragmentNode {
    /// The leaf for `fragment`, with the names that the plan above uses.
    pub fn new(fragment: Arc<Fragment>, schema: DFSchemaRef) -> Self {
        Self { fragment, schema }
    }

    /// What the site runs.
    pub fn fragment(&self) -> &Arc<Fragment> {
        &self.fragment
    }
}

impl PartialEq for FragmentNode {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.fragment, &other.fragment)
    }
}

impl Eq for FragmentNode {}

impl PartialOrd for FragmentNode {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        let key = |node: &Self| (node.fragment.site.clone(), Arc::clone(&node.fragment.statement));
        key(self).partial_cmp(&key(other))
    }
}

impl Hash for FragmentNode {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.fragment.statement.hash(state);
    }
}

impl UserDefinedLogicalNodeCore for FragmentNode {
    fn name(&self) -> &'static str {
        "Fragment"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        Vec::new()
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fragment: site={}", self.fragment.site)
    }

    fn with_exprs_and_inputs(&self, _exprs: Vec<Expr>, _inputs: Vec<LogicalPlan>) -> DataFusionResult<Self> {
        Ok(self.clone())
    }
}

/// Plans a [`FragmentNode`] to a [`RemoteScanExec`].
#[derive(Debug)]
pub struct FragmentPlanner;

#[async_trait]
impl ExtensionPlanner for FragmentPlanner {
    async fn plan_extension(
        &self,
        _planner: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _logical_inputs: &[&LogicalPlan],
        _physical_inputs: &[Arc<dyn ExecutionPlan>],
        _session: &dyn Session,
        _planning_ctx: &PhysicalPlanningContext,
    ) -> DataFusionResult<Option<Arc<dyn ExecutionPlan>>> {
        Ok(node
            .as_any()
            .downcast_ref::<FragmentNode>()
            .map(|node| Arc::new(RemoteScanExec::new(Arc::clone(node.fragment()))) as Arc<dyn ExecutionPlan>))
    }
}
