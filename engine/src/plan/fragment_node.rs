//! A fragment in the logical plan: a leaf that stands where the site's subtree was, planned to a remote scan; and the node
//! above one whose keys go to other sites.

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

use crate::error::EngineError;
use crate::exec::key_source::{KeySource, KeySourceExec};
use crate::exec::remote_scan::{Fragment, RemoteAccess, RemoteScanExec};

/// What is left of a subtree that a site runs: its columns, and the fragment.
#[derive(Debug, Clone)]
pub struct FragmentNode {
    fragment: Arc<Fragment>,
    plan: Arc<LogicalPlan>,
}

impl FragmentNode {
    /// The leaf for `fragment`, which says `plan`.
    pub fn new(fragment: Arc<Fragment>, plan: LogicalPlan) -> Self {
        Self { fragment, plan: Arc::new(plan) }
    }

    /// The fragment at `plan`, if it is one.
    pub fn of(plan: &LogicalPlan) -> Option<&Self> {
        match plan {
            LogicalPlan::Extension(extension) => extension.node.as_any().downcast_ref(),
            _ => None,
        }
    }

    /// The same leaf with another fragment in it, which says the same.
    #[must_use]
    pub fn with_fragment(&self, fragment: Arc<Fragment>) -> Self {
        Self { fragment, plan: Arc::clone(&self.plan) }
    }

    /// What the fragment says; the plan above uses its names.
    pub fn plan(&self) -> &LogicalPlan {
        &self.plan
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
        self.plan.schema()
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

/// The rows of its input, of which the keys go to other sites before these are asked.
#[derive(Debug, Clone)]
pub struct KeySourceNode {
    source: Arc<KeySource>,
    input: LogicalPlan,
}

impl KeySourceNode {
    /// Over `input`, whose rows `source` holds.
    pub fn new(source: Arc<KeySource>, input: LogicalPlan) -> Self {
        Self { source, input }
    }

    /// The source of keys at `plan`, if it is one.
    pub fn of(plan: &LogicalPlan) -> Option<&Self> {
        match plan {
            LogicalPlan::Extension(extension) => extension.node.as_any().downcast_ref(),
            _ => None,
        }
    }

    /// What holds its rows.
    pub fn source(&self) -> &Arc<KeySource> {
        &self.source
    }
}

impl PartialEq for KeySourceNode {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.source, &other.source)
    }
}

impl Eq for KeySourceNode {}

impl PartialOrd for KeySourceNode {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.input.partial_cmp(&other.input)
    }
}

impl Hash for KeySourceNode {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.input.hash(state);
    }
}

impl UserDefinedLogicalNodeCore for KeySourceNode {
    fn name(&self) -> &'static str {
        "KeySource"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        self.input.schema()
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeySource")
    }

    fn with_exprs_and_inputs(&self, _exprs: Vec<Expr>, mut inputs: Vec<LogicalPlan>) -> DataFusionResult<Self> {
        match inputs.pop() {
            Some(input) if inputs.is_empty() => Ok(Self::new(Arc::clone(&self.source), input)),
            _ => Err(EngineError::defect("a key source has one input").into()),
        }
    }
}

/// Plans a [`FragmentNode`] to a [`RemoteScanExec`], and a [`KeySourceNode`] to a [`KeySourceExec`].
#[derive(Debug)]
pub struct FragmentPlanner;

#[async_trait]
impl ExtensionPlanner for FragmentPlanner {
    async fn plan_extension(
        &self,
        _planner: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _logical_inputs: &[&LogicalPlan],
        physical_inputs: &[Arc<dyn ExecutionPlan>],
        session: &dyn Session,
        _planning_ctx: &PhysicalPlanningContext,
    ) -> DataFusionResult<Option<Arc<dyn ExecutionPlan>>> {
        if let (Some(node), [input]) = (node.as_any().downcast_ref::<KeySourceNode>(), physical_inputs) {
            let access = RemoteAccess::of(session.config())?;
            let source = KeySourceExec::new(Arc::clone(&node.source), Arc::clone(input), access.bounds());
            return Ok(Some(Arc::new(source)));
        }
        Ok(node
            .as_any()
            .downcast_ref::<FragmentNode>()
            .map(|node| Arc::new(RemoteScanExec::new(Arc::clone(node.fragment()))) as Arc<dyn ExecutionPlan>))
    }
}
