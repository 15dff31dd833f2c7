//! What a source evaluates, in the logical plan of a site: a leaf that stands where the subtree was.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use async_trait::async_trait;
use connectors::pushdown::{Evaluated, Evaluates};
use datafusion::catalog::Session;
use datafusion::common::DFSchemaRef;
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNode, UserDefinedLogicalNodeCore};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner};

/// What is left of a subtree that a source evaluates: its columns, and what the source is asked.
#[derive(Debug, Clone)]
pub struct SourceNode {
    evaluator: Arc<dyn Evaluates>,
    evaluated: Arc<Evaluated>,
    schema: DFSchemaRef,
}

impl SourceNode {
    /// The leaf for what `evaluator` has made, with the names that the plan above uses.
    pub fn new(evaluator: Arc<dyn Evaluates>, evaluated: Arc<Evaluated>, schema: DFSchemaRef) -> Self {
        Self { evaluator, evaluated, schema }
    }

    /// Who evaluates it.
    pub fn evaluator(&self) -> &Arc<dyn Evaluates> {
        &self.evaluator
    }

    /// What the source evaluates.
    pub fn evaluated(&self) -> &Arc<Evaluated> {
        &self.evaluated
    }
}

impl PartialEq for SourceNode {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.evaluated, &other.evaluated)
    }
}

impl Eq for SourceNode {}

impl PartialOrd for SourceNode {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.evaluated.text.partial_cmp(&other.evaluated.text)
    }
}

impl Hash for SourceNode {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.evaluated.text.hash(state);
    }
}

impl UserDefinedLogicalNodeCore for SourceNode {
    fn name(&self) -> &'static str {
        "Source"
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
        write!(f, "Source: {}", self.evaluated.text.replace('\n', " "))
    }

    fn with_exprs_and_inputs(&self, _exprs: Vec<Expr>, _inputs: Vec<LogicalPlan>) -> DataFusionResult<Self> {
        Ok(self.clone())
    }
}

/// Plans a [`SourceNode`] to the scan that reads its answer.
#[derive(Debug)]
pub struct SourcePlanner;

#[async_trait]
impl ExtensionPlanner for SourcePlanner {
    async fn plan_extension(
        &self,
        _planner: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _logical_inputs: &[&LogicalPlan],
        _physical_inputs: &[Arc<dyn ExecutionPlan>],
        _session: &dyn Session,
        _planning_ctx: &PhysicalPlanningContext,
    ) -> DataFusionResult<Option<Arc<dyn ExecutionPlan>>> {
        Ok(node.as_any().downcast_ref::<SourceNode>().map(|node| Arc::clone(&node.evaluated().scan)))
    }
}
