//! The operator that reads statements of a server: one a partition, all at one moment.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use arrow::datatypes::SchemaRef;
use datafusion_common::tree_node::TreeNodeRecursion;
use datafusion_common::{Result, Statistics};
use datafusion_execution::TaskContext;
use datafusion_physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion_physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion_physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion_physical_plan::statistics::StatisticsArgs;
use datafusion_physical_plan::stream::RecordBatchStreamAdapter;
use datafusion_physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, SendableRecordBatchStream,
};
use futures::TryStreamExt;

use super::read::Reading;
use super::server::Server;
use crate::error::ConnectorError;
use crate::read_scope::ReadScope;

/// Reads one statement a partition. The texts compute columns of exactly the schema's types, by position.
#[derive(Debug)]
pub struct PostgresScan {
    server: Arc<Server>,
    texts: Vec<Arc<str>>,
    schema: SchemaRef,
    /// What is read, as errors name it.
    location: Arc<str>,
    statistics: Arc<Statistics>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
    /// The moment of an execution that no [`ReadScope`] came with.
    own_scope: Mutex<Weak<ReadScope>>,
}

impl PostgresScan {
    /// Reads parts of a table, of which each text gives one.
    pub(super) fn of_table(server: Arc<Server>, texts: Vec<String>, schema: SchemaRef, table: &str) -> Self {
        Self::new(server, texts, schema, format!("table `{table}`"))
    }

    /// Reads the answer to one statement, which may be a whole subtree of a plan.
    pub fn of_statement(server: Arc<Server>, text: String, schema: SchemaRef) -> Self {
        let location = server.config().shown();
        Self::new(server, vec![text], schema, location)
    }

    /// The same, with what is expected of its rows.
    #[must_use]
    pub fn with_statistics(mut self, statistics: Statistics) -> Self {
        self.statistics = Arc::new(statistics);
        self
    }

    fn new(server: Arc<Server>, texts: Vec<String>, schema: SchemaRef, location: String) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&schema)),
            Partitioning::UnknownPartitioning(texts.len()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self {
            server,
            texts: texts.into_iter().map(Arc::from).collect(),
            statistics: Arc::new(Statistics::new_unknown(&schema)),
            schema,
            location: location.into(),
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
            own_scope: Mutex::default(),
        }
    }

    /// Where the moment is kept: with the statement's other scans, or among the partitions of this one.
    fn scope(&self, context: &TaskContext) -> Option<Arc<ReadScope>> {
        if let Some(scope) = context.session_config().get_extension::<ReadScope>() {
            return Some(scope);
        }
        (self.texts.len() > 1).then(|| self.own_scope())
    }

    fn own_scope(&self) -> Arc<ReadScope> {
        let mut own = self.own_scope.lock().unwrap_or_else(PoisonError::into_inner);
        own.upgrade().unwrap_or_else(|| {
            let scope = Arc::new(ReadScope::default());
            *own = Arc::downgrade(&scope);
            scope
        })
    }
}

impl DisplayAs for PostgresScan {
    fn fmt_as(&self, _format: DisplayFormatType, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = self.texts.first().map_or("", AsRef::as_ref);
        write!(out, "PostgresScan: partitions={}, statement={first}", self.texts.len())
    }
}

impl ExecutionPlan for PostgresScan {
    fn name(&self) -> &'static str {
        "PostgresScan"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn with_new_children(self: Arc<Self>, _children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn apply_expressions(
        &self,
        _visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let text = self.texts.get(partition).ok_or_else(|| ConnectorError::Unsupported {
            feature: format!("partition {partition} of {}", self.texts.len()),
            advice: "read those that there are".to_owned(),
        })?;
        let reading = Reading {
            server: Arc::clone(&self.server),
            text: Arc::clone(text),
            schema: Arc::clone(&self.schema),
            location: Arc::clone(&self.location),
            batch_rows: context.session_config().batch_size(),
            scope: self.scope(&context),
        };
        let counted = BaselineMetrics::new(&self.metrics, partition);
        let batches = reading.stream().inspect_ok(move |batch| counted.record_output(batch.num_rows()));
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), batches.map_err(Into::into))))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn statistics_from_inputs(&self, _inputs: &[Arc<Statistics>], args: &StatisticsArgs) -> Result<Arc<Statistics>> {
        match args.partition() {
            None => Ok(Arc::clone(&self.statistics)),
            Some(_) => Ok(Arc::new(Statistics::new_unknown(&self.schema))),
        }
    }
}
